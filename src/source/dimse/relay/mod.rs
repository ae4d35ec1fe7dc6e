//! The relay: framegate stands between a modality and the peer that it calls, the *upstream*, and neither notices.
//!
//! ```text
//!   modality ══ association ══► relay ══ association of its own ══► upstream
//!      ▲                          │ tap                                │
//!      └──────── the upstream's own answers, byte for byte ◄───────────┘
//!                                 ▼
//!                                hub
//! ```
//!
//! `upstream` asks for the association what the modality asked for, and the modality gets the upstream's own
//! answer. Then every byte is passed on both ways as it comes (`pump`), so that whatever message and whatever
//! status passes is the sender's own. `follower` and `passing` look on and say what passes; `tap` makes instances
//! of the objects among it, `steps` contexts of the performed procedure steps. What cannot be made anything of
//! passes all the same.
//!
//! While the upstream is away, objects may wait in the spool: `deposit` puts them there, `drain` delivers them.

pub mod counters;
mod deposit;
mod drain;
pub mod follower;
mod known;
pub mod passing;
mod pump;
mod steps;
mod tap;
mod upstream;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use dicom_ul::pdu::{Pdu, PresentationContextResultReason, read_pdu};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use self::counters::{Of, RelayCounters};
pub(super) use self::deposit::{Depositing, deposit};
pub use self::drain::drain;
use self::known::Known;
use self::passing::Passing;
use self::pump::{Direction, Ended, Traffic, Watch, Way};
use self::steps::Steps;
pub(super) use self::tap::Guarded;
use self::tap::{Tap, unharmed};
pub(super) use self::upstream::{Answer, CALLED, CALLING};
use self::upstream::{Connection, Unreachable};
use super::association::Service;
use super::establish::REQUEST_LIMIT;
use super::negotiate::Context;
use crate::config::settings::{RelaySettings, WhenUnreachable};
use crate::dimse::command::{C_STORE, Heading, RESPONSE};
use crate::dimse::pdu::PduStream;
use crate::instance::Uid;
use crate::net::counters::Open;
use crate::net::tls::{ClientTls, DICOM_ALPN, Trust};
use crate::spool::Spool;

/// How often an association is looked at for silence.
const LOOK: Duration = Duration::from_secs(1);
/// The same while the service is shutting down.
const LOOK_STOPPING: Duration = Duration::from_millis(20);
/// When one direction has ended, the other one has so long to pass on what is under way.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// One relay.
#[derive(Debug)]
pub struct Relay {
    name: String,
    settings: RelaySettings,
    /// Follows its files.
    tls: Option<Arc<ClientTls>>,
    counters: RelayCounters,
    /// What the upstream accepts.
    known: Known,
    spool: Option<Spool>,
}

/// All relays of the configuration.
#[derive(Debug, Default)]
pub struct Relays {
    relays: Vec<Arc<Relay>>,
}

impl Relays {
    /// Makes them; nothing is connected and no file is read yet. `spools` is where objects wait, by
    /// relay.
    pub fn new(
        settings: &BTreeMap<String, RelaySettings>,
        counters: &RelayCounters,
        spools: &BTreeMap<String, Spool>,
    ) -> Self {
        let relay = |(name, settings): (&String, &RelaySettings)| {
            let tls = settings.tls.as_ref().map(|tls| {
                let trust = Trust { ca: tls.ca.clone(), identity: tls.identity.clone() };
                Arc::new(ClientTls::new(trust, DICOM_ALPN))
            });
            let spool = spools.get(name).cloned();
            let (name, settings) = (name.clone(), settings.clone());
            Arc::new(Relay {
                name,
                settings,
                tls,
                counters: counters.clone(),
                known: Known::default(),
                spool,
            })
        };
        Self { relays: settings.iter().map(relay).collect() }
    }

    /// The relay of this name.
    pub fn named(&self, name: &str) -> Option<Arc<Relay>> {
        self.relays.iter().find(|relay| relay.name == name).cloned()
    }

    /// The relay that an association is meant for, by the AE titles of its A-ASSOCIATE-RQ. One that names the
    /// caller goes before one that does not.
    pub fn find(&self, called: &str, calling: &str) -> Option<Arc<Relay>> {
        let meant = self.relays.iter().filter(|relay| relay.settings.called_ae_title == called);
        let by_name =
            meant.clone().find(|relay| relay.settings.calling_ae_titles.iter().any(|t| t == calling));
        by_name.or_else(|| meant.clone().find(|relay| relay.settings.calling_ae_titles.is_empty())).cloned()
    }
}

/// What became of an A-ASSOCIATE-RQ that was passed on.
#[derive(Debug)]
pub(super) enum Opened {
    /// The upstream has answered.
    Answered(Box<Upstream>),
    /// It cannot be reached.
    Unreachable(Arc<Relay>),
}

/// An association with the upstream.
#[derive(Debug)]
pub(super) struct Upstream {
    relay: Arc<Relay>,
    stream: Connection,
    socket: socket2::Socket,
    answer: Answer,
}

impl Relay {
    /// What a modality gets while the upstream is away.
    pub(super) fn when_unreachable(&self) -> WhenUnreachable {
        match self.settings.when_unreachable {
            // The configuration does not let that happen.
            WhenUnreachable::Spool if self.spool.is_none() => WhenUnreachable::Reject,
            when => when,
        }
    }

    /// The relay's name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The transfer syntaxes that the upstream takes for an abstract syntax; `None` where that is not known.
    pub(super) fn syntaxes(&self, abstract_syntax: &str) -> Option<Vec<Uid>> {
        self.known.syntaxes(abstract_syntax)
    }

    /// Streams the objects of an association that is not passed on.
    pub(super) fn tap(
        self: &Arc<Self>,
        service: &Service,
        contexts: &HashMap<u8, Context>,
        calling: &str,
    ) -> Guarded {
        let steps = Steps::new(service.desk.clone(), calling);
        let tap = || Tap::new(service.clone(), self.clone(), contexts.clone(), calling.to_owned(), steps);
        Guarded::new(self.settings.stream.then(tap))
    }

    /// Passes an A-ASSOCIATE-RQ on and waits for the answer, at most `patience` once there is a connection.
    pub(super) async fn open(self: Arc<Self>, request: &[u8], patience: Duration) -> Opened {
        match upstream::associate(&self, request, patience).await {
            Ok((stream, socket, answer)) => {
                let how = if matches!(answer, Answer::Accepted(_)) { "accepted" } else { "refused" };
                self.counters.association(&self.name, how);
                Opened::Answered(Box::new(Upstream { relay: self, stream, socket, answer }))
            }
            Err(error) => {
                self.counters.association(&self.name, "unreachable");
                let mend = match error {
                    Unreachable::Name | Unreachable::Files(_) => "",
                    _ => "; is it running, and does the network between let us through?",
                };
                tracing::warn!(
                    relay = %self.name,
                    upstream = %self.settings.address,
                    "the upstream cannot be reached: {error}{mend}"
                );
                Opened::Unreachable(self)
            }
        }
    }
}

/// How an association that was passed on ended, if not by release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
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
    pub(super) fn word(self) -> &'static str {
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
    pub(super) fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The relay's name in the configuration.
    pub(super) fn name(&self) -> &str {
        &self.relay.name
    }

    /// Passes everything on, both ways, until it is over.
    ///
    /// # Errors
    /// How it ended, if not by release; both sides have been told.
    pub(super) async fn pass_on<S: AsyncRead + AsyncWrite + Unpin>(
        self,
        stream: PduStream<S>,
        request: &[u8],
        calling: &str,
        service: Service,
    ) -> Result<(), Broken> {
        let Self { relay, stream: upstream, socket, answer } = self;
        let shutdown = service.shutdown.clone();
        let counters = relay.counters.clone();
        let open = Open::new(&counters.open.get_or_create(&Of { relay: relay.name.clone() }).clone());
        let contexts = match &answer {
            Answer::Accepted(answer) => contexts(&relay, request, answer),
            _ => HashMap::new(),
        };
        let steps = Steps::new(service.desk.clone(), calling);
        let tap = (!contexts.is_empty())
            .then(|| Tap::new(service, relay.clone(), contexts, calling.to_owned(), steps.clone()));
        let mut tap = Guarded::new(tap);
        let (modality, modality_socket, ahead) = stream.into_parts();
        let (from_modality, to_modality) = tokio::io::split(modality);
        let (from_upstream, to_upstream) = tokio::io::split(upstream);
        let traffic = Traffic::new();
        let there = Direction {
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
                let idle = traffic.still() > relay.settings.idle;
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
        tracing::warn!("an association is passed on and not streamed: its negotiation cannot be read");
        return HashMap::new();
    };
    relay.known.learn(&request, &answer);
    if !relay.settings.stream {
        return HashMap::new();
    }
    let trim = |uid: &str| uid.trim_matches(['\0', ' ']).to_owned();
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

#[cfg(test)]
mod tests;
