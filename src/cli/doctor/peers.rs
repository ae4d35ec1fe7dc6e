//! Peers: whether their names are known, whether each can be reached, and whether it answers as it should. Nothing is
//! sent to them but an OPTIONS, a C-ECHO, and the question that a worklist is asked anyway.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::lookup_host;

use super::check::Check;
use crate::config::Loaded;
use crate::config::settings::{DimsePeer, RelaySettings, Settings, WorklistPeer};
use crate::dimse::command::VERIFICATION;
use crate::dimse::scu::{Operation, Peer, ScuError, SopClass};
use crate::net::client::reach;
use crate::net::tls::host;
use crate::procedure::worklist;

/// Who an upstream takes for calling where the configuration names nobody.
const CALLING: &str = "FRAMEGATE";
const CLASS: SopClass = SopClass { uid: VERIFICATION, name: "Verification" };

/// Something that is tried.
pub(super) type Try = Pin<Box<dyn Future<Output = Vec<Check>> + Send>>;

/// One for each peer, with its area.
pub(super) fn tries(loaded: &Arc<Loaded>) -> Vec<(&'static str, Try)> {
    let settings = &loaded.settings;
    let mut tries: Vec<(&'static str, Try)> = Vec::new();
    for (name, destination) in &settings.destinations {
        let (name, destination) = (name.clone(), destination.clone());
        tries.push((
            "destinations",
            Box::pin(async move {
                let check = Check::of("destinations", format!("destination {name} ({})", destination.url));
                let reached = reach::destination(&destination).await;
                let steps = reached.steps.iter();
                let steps: Vec<_> = steps
                    .map(|step| format!("{} {} ms: {}", step.name, step.milliseconds, step.said))
                    .collect();
                let said = steps.join("; ");
                vec![if reached.ok { check.ok(said) } else { check.error(said, reached.mend) }]
            }),
        ));
    }
    for (what, peer) in echoed(settings) {
        tries.push(("DICOM peers", Box::pin(async move { vec![echo(&what, peer).await] })));
    }
    for (name, settings) in &settings.worklists {
        let (name, settings) = (name.clone(), settings.clone());
        tries.push((
            "worklists",
            Box::pin(async move {
                let check = Check::of("worklists", format!("worklist {name} answers a query"));
                vec![match worklist::ask_once(&name, settings).await {
                    Ok(entries) => check.ok(format!("{entries} entries")),
                    Err(error) => {
                        let mend =
                            format!("look at [worklist.{name}], and at what the peer lets our AE title do");
                        check.error(error, mend)
                    }
                }]
            }),
        ));
    }
    tries
}

/// Whom to send a C-ECHO.
fn echoed(settings: &Settings) -> Vec<(String, DimsePeer)> {
    let relays = settings.relays.iter().map(|(name, relay)| (format!("relay {name}"), upstream(relay)));
    let told =
        settings.availability.iter().map(|(name, one)| (format!("availability {name}"), one.peer.clone()));
    let mpps = settings.mpps.iter().map(|(name, one)| (format!("mpps {name}"), one.peer.clone()));
    let worklists = settings.worklists.iter().filter_map(|(name, one)| match &one.peer {
        WorklistPeer::Dimse(peer) => Some((format!("worklist {name}"), peer.clone())),
        WorklistPeer::Web(_) => None,
    });
    relays.chain(told).chain(mpps).chain(worklists).collect()
}

/// The upstream, as an association of our own would call it.
fn upstream(relay: &RelaySettings) -> DimsePeer {
    let calling = relay.upstream_calling_ae_title.as_ref().or(relay.calling_ae_titles.first());
    DimsePeer {
        address: relay.address.clone(),
        ae_title: relay.upstream_called_ae_title.clone().unwrap_or_else(|| relay.called_ae_title.clone()),
        calling_ae_title: calling.cloned().unwrap_or_else(|| CALLING.to_owned()),
        tls: relay.tls.clone(),
    }
}

/// Sends a C-ECHO (PS3.7 §9.1.5).
async fn echo(what: &str, peer: DimsePeer) -> Check {
    let DimsePeer { address, ae_title, calling_ae_title, .. } = &peer;
    let check =
        Check::of("DICOM peers", format!("C-ECHO to {what}, {ae_title} at {address} as {calling_ae_title}"));
    let begun = Instant::now();
    let (ours, theirs, section) = (calling_ae_title.clone(), ae_title.clone(), what.replacen(' ', ".", 1));
    match ask(peer).await {
        Ok(()) => check.ok(format!("answered after {} ms", begun.elapsed().as_millis())),
        Err(error @ ScuError::NotSupported(_)) => check.warning(
            format!("it takes the association, and {error}"),
            "nothing need be done where what it is for works; else let it support Verification",
        ),
        Err(error) => {
            let mend = match &error {
                ScuError::Rejected { .. } => format!(
                    "let the peer know our AE title {ours} with the address of this box, and answer to {theirs}"
                ),
                ScuError::Files(_) => format!("correct the files that [{section}] names"),
                ScuError::Connect(_) | ScuError::Timeout => {
                    "is it running, are address and port right, and does the network between let us through?"
                        .to_owned()
                }
                _ => "look at what the peer logged".to_owned(),
            };
            check.error(error.to_string(), mend)
        }
    }
}

async fn ask(peer: DimsePeer) -> Result<(), ScuError> {
    let mut association = Peer::new(peer).associate(&[CLASS]).await?;
    association.ask(CLASS, Operation::Echo, None).await?;
    let answer = association.answer(Operation::Echo).await?;
    association.release().await;
    match answer.status {
        0 => Ok(()),
        status => Err(ScuError::Status { operation: Operation::Echo.name(), status }),
    }
}

/// Whether the name servers know all names that the configuration has of peers.
pub(super) async fn names(loaded: Arc<Loaded>) -> Vec<Check> {
    let names = named(&loaded.settings);
    if names.is_empty() {
        return vec![Check::of("names", "DNS").skipped("the configuration names all peers by address")];
    }
    let mut checks = Vec::new();
    for name in names {
        let check = Check::of("names", &*name);
        checks.push(
            match lookup_host((&*name, 0))
                .await
                .map(|found| found.map(|one| one.ip()).collect::<BTreeSet<_>>())
            {
                Ok(found) if !found.is_empty() => {
                    let found: Vec<_> = found.iter().take(4).map(ToString::to_string).collect();
                    check.ok(found.join(", "))
                }
                Ok(_) => check
                    .error("it has no address", "is it spelled right? An address in its place needs no DNS"),
                Err(error) => check.error(
                    error.to_string(),
                    "is it spelled right, and do the name servers of this box answer (resolvectl status)?",
                ),
            },
        );
    }
    checks
}

fn named(settings: &Settings) -> BTreeSet<String> {
    let of_url = |url: &str| {
        let uri: http::Uri = url.parse().ok()?;
        Some(uri.host()?.trim_matches(['[', ']']).to_owned())
    };
    let mut names: BTreeSet<String> =
        settings.destinations.values().filter_map(|one| of_url(&one.url)).collect();
    names.extend(settings.worklists.values().filter_map(|one| match &one.peer {
        WorklistPeer::Web(peer) => of_url(&peer.url),
        WorklistPeer::Dimse(_) => None,
    }));
    names.extend(
        echoed(settings).iter().map(|(_, peer)| host(&peer.address).trim_matches(['[', ']']).to_owned()),
    );
    names.retain(|name| !name.is_empty() && name.parse::<IpAddr>().is_err());
    names
}

#[cfg(test)]
mod tests {
    use super::super::check::Outcome;
    use super::*;
    use crate::config::settings::{DestinationSettings, MppsSettings};

    fn peer(address: &str) -> DimsePeer {
        DimsePeer {
            address: address.to_owned(),
            ae_title: "RIS".to_owned(),
            calling_ae_title: "GATE".to_owned(),
            tls: None,
        }
    }

    #[tokio::test]
    async fn a_peer_that_is_away_says_how_to_mend_it() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let check = echo("mpps ris", peer(&closed.to_string())).await;
        assert!(check.outcome == Outcome::Error && check.mend.contains("is it running"), "{check:?}");
        assert!(check.what.contains("RIS at 127.0.0.1") && check.what.contains("as GATE"), "{check:?}");
    }

    #[test]
    fn whom_to_ask_and_which_names_are_those_of_the_configuration() {
        let mut settings = Settings::default();
        settings.mpps.insert("ris".to_owned(), MppsSettings { peer: peer("ris.example:104") });
        let relay = RelaySettings {
            called_ae_title: "PACS".to_owned(),
            address: "192.0.2.1:104".to_owned(),
            upstream_called_ae_title: Some("ARCHIVE".to_owned()),
            ..RelaySettings::default()
        };
        settings.relays.insert("pacs".to_owned(), relay);
        let url = "https://viewer.example:8443/dicom-web".to_owned();
        settings
            .destinations
            .insert("v".to_owned(), DestinationSettings { url, ..DestinationSettings::default() });
        let asked: Vec<_> = echoed(&settings).into_iter().map(|(what, peer)| (what, peer.ae_title)).collect();
        let known = [("relay pacs", "ARCHIVE"), ("mpps ris", "RIS")];
        assert_eq!(asked, known.map(|(what, title)| (what.to_owned(), title.to_owned())));
        assert_eq!(named(&settings), ["ris.example", "viewer.example"].map(str::to_owned).into());
    }
}
