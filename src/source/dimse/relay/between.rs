//! An association that is passed on, from its answer to its end: both directions, and who is told what when one of
//! them ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use dicom_ul::pdu::{Pdu, PresentationContextResultReason, read_pdu};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::super::association::Service;
use super::super::establish::{REQUEST_LIMIT, ae_title};
use super::super::negotiate::{Context, trim};
use super::counters::Of;
use super::events;
use super::passing::Passing;
use super::pump::{Direction, Ended, Traffic, Watch, Way};
use super::steps::Steps;
use super::tap::{Guarded, Tap, unharmed};
use super::upstream::{Answer, CALLED};
use super::{Relay, Upstream};
use crate::audit::{Party, Transfers};
use crate::dimse::command::{C_STORE, Heading, RESPONSE};
use crate::dimse::pdu::PduStream;
use crate::net::counters::Open;

/// How often an association is looked at for silence.
const LOOK: Duration = Duration::from_secs(1);
/// The same while the service is shutting down.
const LOOK_STOPPING: Duration = Duration::from_millis(20);
/// When one direction has ended, the other one has so long to pass on what is under way.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// How an association that was passed on ended, if not by release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::source::dimse) enum Broken {
    #[error("the modality ended it without release")]
    Modality,
    #[error("the upstream ended it without release")]
    Upstream,
    #[error("nothing has passed for relay.NAME.idle_seconds")]
    Idle,
    #[error("the service is shutting down")]
    Draining,
}

impl Broken {
    /// A word for the counter's label.
    pub(in crate::source::dimse) fn word(self) -> &'static str {
        match self {
            Self::Modality => "modality",
            Self::Upstream => "upstream",
            Self::Idle => "idle",
            Self::Draining => "draining",
        }
    }
}

impl Upstream {
    /// What the modality is to get: the whole PDU.
    pub(in crate::source::dimse) fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The relay's name in the configuration.
    pub(in crate::source::dimse) fn name(&self) -> &str {
        &self.relay.name
    }

    /// Passes everything on, both ways, until it is over.
    ///
    /// # Errors
    /// How it ended, if not by release; both sides have been told.
    pub(in crate::source::dimse) async fn pass_on<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: PduStream<S>,
        request: &[u8],
        calling: &str,
        service: Service,
    ) -> Result<(), Broken> {
        let Self { relay, stream: upstream, socket, answer, early } = self;
        let shutdown = service.shutdown.clone();
        let counters = relay.counters.clone();
        let open = Open::new(&counters.open.get_or_create(&Of { relay: relay.name.clone() }).clone());
        let contexts = match &answer {
            Answer::Accepted(answer) => contexts(&relay, request, answer),
            _ => HashMap::new(),
        };
        let steps = Steps::new(service.desk.clone(), calling);
        let us = Party::us(&service.settings.ae_title);
        let to = Party::configured(&relay.name, &relay.settings.address).titled(&ae_title(request, CALLED));
        let from = service.peer.clone().titled(calling);
        let transfers = Transfers::passed_on(&service.audit, from, us, to);
        let tap = (!contexts.is_empty()).then(|| {
            Tap::new(service, relay.clone(), contexts, calling.to_owned(), steps.clone(), transfers)
        });
        let mut tap = Guarded::new(tap);
        let (modality, modality_socket, ahead) = stream.into_parts();
        let (from_modality, to_modality) = tokio::io::split(modality);
        let (from_upstream, to_upstream) = tokio::io::split(upstream);
        let traffic = Traffic::new();
        let mut there = Direction {
            from: from_modality,
            to: to_upstream,
            socket: modality_socket,
            way: Way::There,
            traffic: &traffic,
            bytes: counters.passed(&relay.name, "there"),
            passing: Passing::default(),
        };
        let back = Direction {
            from: from_upstream,
            to: to_modality,
            socket: Some(socket),
            way: Way::Back,
            traffic: &traffic,
            bytes: counters.passed(&relay.name, "back"),
            passing: Passing::default(),
        };
        there.look(&early, &mut tap);
        let mut replies = Replies { relay: relay.clone(), steps };
        let ended = both(there, back, ahead, &mut tap, &mut replies, &relay, shutdown).await;
        drop(open);
        if traffic.released() {
            tap.complete();
            return Ok(());
        }
        counters.broke(&relay.name, ended.word());
        Err(ended)
    }
}

/// Runs both directions. Says who ended the association, should it not have been released.
async fn both<R1, W1, R2, W2>(
    there: Direction<'_, R1, W2>,
    back: Direction<'_, R2, W1>,
    ahead: BytesMut,
    tap: &mut Guarded,
    replies: &mut Replies,
    relay: &Relay,
    mut shutdown: watch::Receiver<bool>,
) -> Broken
where
    R1: AsyncRead + Unpin,
    R2: AsyncRead + Unpin,
    W1: AsyncWrite + Unpin,
    W2: AsyncWrite + Unpin,
{
    let traffic = there.traffic;
    let (stop, stopping) = watch::channel(false);
    let mut there = Box::pin(there.pump(tap, ahead, stopping.clone()));
    let mut back = Box::pin(back.pump(replies, BytesMut::new(), stopping));
    let mut look = tokio::time::interval(LOOK);
    let mut draining = false;
    loop {
        tokio::select! {
            biased;
            (mut done, ended) = &mut there => {
                // The modality has gone, or the upstream takes nothing more. What the upstream still says is
                // passed on in any case.
                done.close().await;
                if let Ok((mut other, _)) = tokio::time::timeout(LAST_BYTES, &mut back).await {
                    other.close().await;
                    if ended == Ended::NotTaken {
                        done.linger().await;
                    }
                }
                break if ended == Ended::NotTaken { Broken::Upstream } else { Broken::Modality };
            }
            (mut done, ended) = &mut back => {
                done.close().await;
                let broken = if ended == Ended::NotTaken { Broken::Modality } else { Broken::Upstream };
                let _ = stop.send(true);
                if let Ok((mut other, _)) = tokio::time::timeout(LAST_BYTES, &mut there).await {
                    other.close().await;
                    if broken == Broken::Upstream {
                        other.linger().await;
                    }
                }
                break broken;
            }
            () = turned(&mut shutdown), if !draining => {
                draining = true;
                look = tokio::time::interval(LOOK_STOPPING);
            }
            _ = look.tick() => {
                // As the ARTIM timer has it (PS3.8 §9.1.5): whoever has to close the connection does so soon.
                let left_open = traffic.over() && traffic.still() > LAST_BYTES;
                let idle = left_open || traffic.still() > relay.settings.idle;
                if idle || (draining && traffic.between_messages()) {
                    let _ = stop.send(true);
                    let pumps = async { tokio::join!(&mut there, &mut back) };
                    if let Ok(((mut there, _), (mut back, _))) = tokio::time::timeout(LAST_BYTES, pumps).await {
                        tokio::join!(there.close(), back.close());
                    }
                    break if idle { Broken::Idle } else { Broken::Draining };
                }
            }
        }
    }
}

/// Waits until it is true, or cannot become so any more.
async fn turned(flag: &mut watch::Receiver<bool>) {
    // What it gives must not be held across a wait.
    let _ = flag.wait_for(|&is| is).await;
}

/// The presentation contexts that the upstream has accepted, by ID; none where request or answer are beyond the
/// library, which is no reason not to pass them on.
fn contexts(relay: &Relay, request: &[u8], answer: &[u8]) -> HashMap<u8, Context> {
    let (Ok(Some(Pdu::AssociationRQ(request))), Ok(Some(Pdu::AssociationAC(answer)))) =
        (read_pdu(request, REQUEST_LIMIT, false), read_pdu(answer, REQUEST_LIMIT, false))
    else {
        events::NegotiationUnreadable {}.tell();
        return HashMap::new();
    };
    relay.known.learn(&request, &answer);
    if !relay.settings.stream {
        return HashMap::new();
    }
    let accepted = answer
        .presentation_contexts
        .iter()
        .filter(|context| context.reason == PresentationContextResultReason::Acceptance);
    accepted
        .filter_map(|result| {
            let proposed = request.presentation_contexts.iter().find(|proposed| proposed.id == result.id)?;
            let context = Context {
                abstract_syntax: trim(&proposed.abstract_syntax).into(),
                transfer_syntax: trim(&result.transfer_syntax).into(),
            };
            Some((result.id, context))
        })
        .collect()
}

/// The answers of the upstream.
#[derive(Debug)]
struct Replies {
    relay: Arc<Relay>,
    steps: Steps,
}

impl Watch for Replies {
    fn first(&self) -> bool {
        self.steps.are_waiting()
    }

    fn room(&mut self) -> Option<(&mut BytesMut, usize)> {
        None
    }

    fn filled(&mut self, _: usize) {}

    fn command(&mut self, _: u8, heading: &Heading) {
        if let (true, Some(status)) = (heading.field == C_STORE | RESPONSE, heading.status) {
            self.relay.counters.answered(&self.relay.name, status);
        }
        // A fault of ours is not the relay's.
        let _ = unharmed(|| self.steps.answered(heading));
    }

    fn data(&mut self, _: &[u8]) {}

    fn fragment(&mut self, _: bool) {}

    fn lost(&mut self) {}
}
