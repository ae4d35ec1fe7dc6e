//! The first PDU of a connection: read, negotiated, and its answer written.
#![no_main]

use std::time::Duration;

use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use framegate::config::settings::DimseSettings;
use framegate::source::dimse::negotiate::negotiate;
use framegate::dimse::pdu::PduStream;
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

const LIMIT: u32 = 512 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
    static POLICY: DimseSettings =
        DimseSettings { accept_any_called_ae_title: true, ..DimseSettings::default() };
}

fuzz_target!(|input: &[u8]| RUNTIME.with(|runtime| runtime.block_on(answer(input))));

async fn answer(input: &[u8]) {
    let (mut peer, ours) = tokio::io::duplex(64 << 10);
    let write = async move {
        // The reader may have given up.
        let _ = peer.write_all(input).await;
    };
    let mut stream = PduStream::new(ours, None, LIMIT, PATIENCE);
    let ((), request) = tokio::join!(write, stream.associate_request(LIMIT));
    let Ok(request) = request else { return };
    let Ok(Some(Pdu::AssociationRQ(request))) = read_pdu(&request.0[..], LIMIT, true) else { return };
    let proposed = request.presentation_contexts.len();
    let answer = match POLICY.with(|policy| negotiate(request, policy)) {
        Ok(accepted) => {
            assert!(accepted.contexts.len() <= proposed);
            assert_eq!(accepted.answer.presentation_contexts.len(), proposed);
            Pdu::AssociationAC(accepted.answer)
        }
        Err(refusal) => Pdu::AssociationRJ(refusal.answer()),
    };
    // What cannot be written is not sent, and must not panic either.
    let _ = write_pdu(&mut Vec::new(), &answer);
}
