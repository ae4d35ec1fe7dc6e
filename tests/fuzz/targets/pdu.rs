//! The PDUs of an association, after its request. First byte of the input: how many bytes the
//! stream hands over at a time.
#![no_main]

use std::time::Duration;

use bytes::BytesMut;
use framegate::dimse::command;
use framegate::dimse::pdu::{Next, PduStream};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};

const LIMIT: u32 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap();
}

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, bytes)) = input.split_first() else { return };
    RUNTIME.with(|runtime| runtime.block_on(read(usize::from(chunk) * 16 + 1, bytes)));
});

async fn read(chunk: usize, bytes: &[u8]) {
    let (mut peer, ours) = tokio::io::duplex(chunk);
    let write = async move {
        // The reader may have given up.
        let _ = peer.write_all(bytes).await;
    };
    let read = async {
        let mut stream = PduStream::new(ours, None, LIMIT, PATIENCE);
        let mut taken = 0;
        while let Ok(Next::Pdv(pdv)) = stream.next(PATIENCE).await {
            let mut payload = BytesMut::new();
            while stream.payload_left() > 0 {
                if stream.payload(&mut payload, 7000).await.is_err() {
                    return;
                }
            }
            taken += payload.len();
            if pdv.command && pdv.last {
                let _ = command::read(&payload);
            }
        }
        assert!(taken <= bytes.len(), "payload came from nowhere");
    };
    tokio::join!(write, read);
}
