//! An occurrence as a line of the log, with the target `framegate::audit`: the same event, without the patient, the
//! study, the accession number and the question, and without what somebody claims to be who is not let in.

use super::events;
use super::occurrence::{Occurrence, Outcome, Party, Transfer};

/// Writes the line. `version` is the name and version of the program.
pub(super) fn tell(occurrence: &Occurrence, version: &str) {
    match occurrence {
        Occurrence::ApplicationStarted => events::Started { version }.tell(),
        Occurrence::ApplicationStopped => events::Stopped { version }.tell(),
        Occurrence::UserAuthenticated { user, peer, outcome, how } => {
            let peer = *peer;
            if *outcome == Outcome::Success {
                events::Authenticated { user: &printable(user), peer, how }.tell();
            } else {
                events::NotAuthenticated { peer, how }.tell();
            }
        }
        Occurrence::SecurityAlert { alert, outcome, peer, user, said } => {
            let peer = &peer.map(|peer| peer.to_string()).unwrap_or_default();
            let (user, said) = (&printable(user.as_deref().unwrap_or_default()), &printable(said));
            if *outcome == Outcome::Success {
                events::Alert { peer, user, alert, said }.tell();
            } else {
                events::Alarm { peer, user, alert, said }.tell();
            }
        }
        Occurrence::TransferBegins(transfer) => {
            events::TransferBegins { from: &named(&transfer.from), to: &named(&transfer.to) }.tell();
        }
        Occurrence::Transferred(transfer) => {
            let Transfer { from, to, study, outcome, .. } = transfer;
            let (from, to, instances) = (&named(from), &named(to), study.instances());
            events::TransferEnded { from, to, instances, outcome }.tell();
        }
        Occurrence::InstancesAccessed { by, .. } => events::Accessed { by: &named(by) }.tell(),
        Occurrence::Query { by, to, of, .. } => {
            events::Asked { by: &named(by), to: &named(to), of: &printable(of) }.tell();
        }
        Occurrence::ContextChanges { capture, change, provider, by, .. } => {
            let by = &by.as_ref().map(named).unwrap_or_default();
            events::ContextChanges { capture, provider, change, by }.tell();
        }
    }
}

/// A party in one word or two.
fn named(party: &Party) -> String {
    let name = party.id.as_deref().unwrap_or("framegate");
    let mut known: Vec<String> = Vec::new();
    for part in [Some(name), party.ae_title.as_deref(), party.at.as_deref()].into_iter().flatten() {
        let part = printable(part);
        if !part.is_empty() && !known.contains(&part) {
            known.push(part);
        }
    }
    known.join(" ")
}

/// Names are a peer's text: only what cannot break a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{FFFD}' } else { c }).take(256).collect()
}
