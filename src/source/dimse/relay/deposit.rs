//! An object is spooled while it arrives: its upstream is away, and the modality gets success once it is on the
//! disk, encrypted and synced. It is streamed all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::association::AssociationError;
use super::super::store::next_fragment;
use super::Relay;
use super::pump::Watch;
use super::tap::Guarded;
use crate::dimse::command::{C_STORE, Heading};
use crate::dimse::pdu::PduStream;
use crate::instance::Uid;
use crate::spool::{Spool, SpoolError};

/// Read at a time (bytes).
const CHUNK: usize = 64 << 10;
/// Chunks that may wait for the disk.
const WAITING: usize = 16;

/// What has to be known to deliver an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// AE titles of the association in which it came.
    pub(super) called: String,
    pub(super) calling: String,
    /// Affected SOP Class and Instance UID.
    pub(super) sop_class: String,
    pub(super) sop_instance: String,
    /// What its data set is in.
    pub(super) transfer_syntax: String,
}

/// Where an object goes.
pub(in crate::source::dimse) struct Depositing<'a> {
    pub(in crate::source::dimse) relay: &'a Relay,
    pub(in crate::source::dimse) called: &'a str,
    pub(in crate::source::dimse) calling: &'a str,
    pub(in crate::source::dimse) transfer_syntax: &'a Uid,
}

/// The thread that writes an object.
struct Writing {
    chunks: mpsc::Sender<Bytes>,
    written: JoinHandle<Result<u64, SpoolError>>,
}

impl Writing {
    fn begin(spool: Spool, meta: Vec<u8>, whole: Arc<AtomicBool>) -> Self {
        let (chunks, mut waiting) = mpsc::channel::<Bytes>(WAITING);
        let written = tokio::task::spawn_blocking(move || {
            let mut writer = spool.begin(&meta)?;
            while let Some(chunk) = waiting.blocking_recv() {
                writer.write(&chunk)?;
            }
            if whole.load(Ordering::Acquire) { writer.commit() } else { Err(SpoolError::Failed) }
        });
        Self { chunks, written }
    }
}

/// Reads the data set of a C-STORE to its end, into the spool and the hub.
///
/// # Errors
/// Outer: the association is broken, and nothing is kept. Inner: it could not be kept.
pub(in crate::source::dimse) async fn deposit<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    to: Depositing<'_>,
    tap: &mut Guarded,
    context: u8,
    (message, sop_class, sop_instance): (u16, &Uid, &Uid),
) -> Result<Result<(), SpoolError>, AssociationError> {
    let meta = Meta {
        called: to.called.to_owned(),
        calling: to.calling.to_owned(),
        sop_class: sop_class.to_string(),
        sop_instance: sop_instance.to_string(),
        transfer_syntax: to.transfer_syntax.to_string(),
    };
    // Five short texts can be written.
    let meta = serde_json::to_vec(&meta).unwrap_or_default();
    let whole = Arc::default();
    let Some(spool) = to.relay.spool.clone() else { return Ok(Err(SpoolError::Failed)) };
    let writing = Writing::begin(spool, meta, Arc::clone(&whole));
    let heading = Heading {
        field: C_STORE,
        message,
        data_set: true,
        status: None,
        sop_class: Some(sop_class.clone()),
        sop_instance: Some(sop_instance.clone()),
    };
    tap.command(context, &heading);
    let mut buffer = BytesMut::new();
    loop {
        let last = next_fragment(stream, context).await?;
        while stream.payload_left() > 0 {
            buffer.reserve(CHUNK);
            stream.payload(&mut buffer, CHUNK).await?;
            let chunk = buffer.split().freeze();
            tap.data(&chunk);
            // One that has failed takes no more; why, it says at the end.
            let _ = writing.chunks.send(chunk).await;
        }
        tap.fragment(last);
        if last {
            break;
        }
    }
    whole.store(true, Ordering::Release);
    drop(writing.chunks);
    Ok(match writing.written.await {
        Ok(written) => written.map(drop),
        Err(_) => Err(SpoolError::Failed),
    })
}
