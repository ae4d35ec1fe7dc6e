//! An occurrence as a line of the log, with the target `framegate::audit`: the same event, without the patient, the
//! accession number and the question.

use super::occurrence::{Occurrence, Outcome, Party, Transfer};

/// Writes the line.
pub(super) fn tell(occurrence: &Occurrence) {
    match occurrence {
        Occurrence::ApplicationStarted => {
            tracing::info!(target: "framegate::audit", version = env!("CARGO_PKG_VERSION"), "the application has started");
        }
        Occurrence::ApplicationStopped => {
            tracing::info!(target: "framegate::audit", version = env!("CARGO_PKG_VERSION"), "the application stops");
        }
        Occurrence::UserAuthenticated { user, peer, outcome, how } => {
            let user = printable(user);
            tracing::info!(target: "framegate::audit", user, %peer, ?how, ?outcome, "somebody was authenticated, or was not");
        }
        Occurrence::SecurityAlert { alert, outcome, peer, user, said } => {
            let (peer, user) = (peer.map(|peer| peer.to_string()), user.as_deref().map(printable));
            if *outcome == Outcome::Success {
                tracing::info!(target: "framegate::audit", peer, user, ?alert, "{said}");
            } else {
                tracing::warn!(target: "framegate::audit", peer, user, ?alert, "{said}");
            }
        }
        Occurrence::TransferBegins(transfer) => {
            let Transfer { from, to, study, .. } = transfer;
            let (from, to, study) = (named(from), named(to), printable(&study.uid));
            tracing::info!(target: "framegate::audit", from, to, study, "a transfer begins");
        }
        Occurrence::Transferred(transfer) => {
            let Transfer { from, to, study, outcome, .. } = transfer;
            let (from, to, instances) = (named(from), named(to), study.instances());
            let study = printable(&study.uid);
            tracing::info!(target: "framegate::audit", from, to, study, instances, ?outcome, "a transfer has ended");
        }
        Occurrence::InstancesAccessed { by, study } => {
            let (by, study) = (named(by), printable(&study.uid));
            tracing::info!(target: "framegate::audit", by, study, "the attributes of a study were read");
        }
        Occurrence::Query { by, to, of, .. } => {
            let (by, to, of) = (named(by), named(to), printable(of));
            tracing::info!(target: "framegate::audit", by, to, of, "something was searched for");
        }
        Occurrence::ContextChanges { capture, change, provider, by, .. } => {
            let by = by.as_ref().map(named);
            tracing::info!(target: "framegate::audit", capture, provider, change, by, "the context changes");
        }
    }
}

/// A party in one word or two.
fn named(party: &Party) -> String {
    let name = party.id.as_deref().map_or("framegate", |name| name);
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
