//! Asks a Modality Worklist SCP (PS3.4 Annex K): C-FIND for each station, responses up to the bound, then
//! C-CANCEL.

use std::time::Duration;

use dicom_dictionary_std::uids;

use super::found::Found;
use super::query::Query;
use crate::dimse::scu::{Operation, Peer, ScuError, SopClass};

const CLASS: SopClass =
    SopClass { uid: uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND, name: "Modality Worklist" };
/// For all of it.
const WHOLE: Duration = Duration::from_secs(60);
/// Responses that may still come after a C-CANCEL, since they were under way or the peer does not know it.
const AFTER_CANCEL: usize = 1000;

/// At most `most` entries of a peer.
///
/// # Errors
/// When it does not answer, or says that it cannot.
pub(super) async fn find(peer: &Peer, query: &Query, most: usize) -> Result<Found, ScuError> {
    tokio::time::timeout(WHOLE, Box::pin(ask(peer, query, most))).await.unwrap_or(Err(ScuError::Timeout))
}

async fn ask(peer: &Peer, query: &Query, most: usize) -> Result<Found, ScuError> {
    let mut found = Found::default();
    let mut association = peer.associate(&[CLASS]).await?;
    for identifier in query.identifiers() {
        let message = association.ask(CLASS, Operation::Find, Some(&identifier)).await?;
        let mut beyond = 0;
        loop {
            let answer = association.answer(Operation::Find).await?;
            match answer.status {
                _ if answer.is_pending() => {}
                0x0000 => break,
                // Terminated due to C-CANCEL.
                0xFE00 if found.more => break,
                status => return Err(ScuError::Status { operation: Operation::Find.name(), status }),
            }
            if found.looked_at() < most {
                match answer.dataset() {
                    Some(entry) => found.take(entry),
                    None => found.unreadable += 1,
                }
                continue;
            }
            if !std::mem::replace(&mut found.more, true) {
                association.cancel(CLASS, message).await?;
            }
            beyond += 1;
            if beyond > AFTER_CANCEL {
                // It does not stop: closing the connection does.
                return Ok(found);
            }
        }
        if found.more {
            break;
        }
    }
    association.release().await;
    Ok(found)
}
