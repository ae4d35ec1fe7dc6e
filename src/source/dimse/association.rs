//! One association, from A-ASSOCIATE-RQ to its end.
//!
//! ```text
//!   request ──► negotiate ──► message ──► message ──► … ──► release   (series complete)
//!      │            │            │
//!      └ A-ABORT    └ RJ         └ broken, stalled, aborted           (series aborted)
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, AssociationRQ, Pdu, read_pdu, write_pdu};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::counters::{DimseCounters, Reason};
use super::negotiate::{Accepted, Context, Refusal, negotiate};
use super::relay::{Answer, Broken, CALLED, CALLING, Opened, Relay, Relays, Upstream};
use super::store;
use crate::config::settings::{DimseSettings, WhenUnreachable};
use crate::context::desk::Desk;
use crate::dimse::command::{self, Command, CommandError, Status};
use crate::dimse::pdu::{AssociateRequest, Next, PduError, PduStream, Pdv, command_pdu};
use crate::hub::Hub;
use crate::net::counters::Open;
use crate::source::claims::Claims;

/// The longest A-ASSOCIATE-RQ: 128 contexts with dozens of transfer syntaxes each fit.
pub(super) const REQUEST_LIMIT: u32 = 512 << 10;
/// The longest command set; real ones have a few hundred bytes.
const COMMAND_LIMIT: usize = 64 << 10;

/// What a peer is told of a message that should have been passed on.
const AWAY: &str = "the upstream cannot be reached; try again later";

/// Why an association ended, other than by release.
#[derive(Debug, thiserror::Error)]
pub(super) enum AssociationError {
    /// The stream.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// Not let in.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The request could not be read.
    #[error("the A-ASSOCIATE-RQ is malformed: {0}")]
    Request(String),
    /// The negotiation took too long (ARTIM).
    #[error("no association was negotiated within dimse.limits.handshake_seconds")]
    Handshake,
    /// A message broke the protocol.
    #[error("protocol violation: {0}")]
    Protocol(&'static str),
    /// A command set broke the protocol.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// We are shutting down.
    #[error("the service is shutting down")]
    Draining,
    /// An association that was passed on has ended; both sides have been told.
    #[error(transparent)]
    Relayed(#[from] Broken),
    /// The upstream has refused it, and the peer has got its answer.
    #[error("the upstream of [relay.{0}] refuses it")]
    RefusedUpstream(String),
    /// A reload no longer accepts the peer's certificate.
    #[error("its certificate is no longer accepted: {0}")]
    Withdrawn(rustls::Error),
}

impl AssociationError {
    /// A word for the counter's label.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Pdu(error) => error.kind(),
            Self::Refused(refusal) => refusal.kind(),
            Self::Request(_) => "malformed_request",
            Self::Handshake => "handshake_timeout",
            Self::Protocol(_) => "protocol",
            Self::Command(_) => "command",
            Self::Draining => "draining",
            Self::Relayed(broken) => broken.word(),
            Self::RefusedUpstream(_) => "upstream",
            Self::Withdrawn(_) => "revoked",
        }
    }

    fn abort(&self) -> Option<Pdu> {
        let provider = |reason| Some(Pdu::AbortRQ { source: AbortRQSource::ServiceProvider(reason) });
        match self {
            Self::Pdu(error) => error.abort(),
            Self::Refused(_) | Self::RefusedUpstream(_) | Self::Relayed(_) | Self::Withdrawn(_) => None,
            Self::Request(_) | Self::Protocol(_) | Self::Command(_) => {
                provider(AbortRQServiceProviderReason::InvalidPduParameter)
            }
            Self::Handshake | Self::Draining => provider(AbortRQServiceProviderReason::ReasonNotSpecified),
        }
    }
}

/// What an association works with.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) hub: Hub,
    pub(super) desk: Desk,
    pub(super) settings: Arc<DimseSettings>,
    pub(super) counters: DimseCounters,
    pub(super) shutdown: watch::Receiver<bool>,
    /// Associations that are passed on.
    pub(super) relays: Arc<Relays>,
    /// Where the listener belongs to a relay: everything is passed on by that one.
    pub(super) relay: Option<Arc<Relay>>,
}

/// What is done with the objects of an association that is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Duty {
    /// They are streamed.
    Stream,
    /// They are streamed, and the peer is told that they did not get where they were meant to.
    StreamOnly,
}

/// Runs an association on `stream` to its end. `admitted` is what the listener thinks of the peer.
///
/// # Errors
/// How it ended, if not by release; the peer has been told.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: PduStream<S>,
    peer: SocketAddr,
    service: Service,
    admitted: Result<(), Refusal>,
) -> Result<(), AssociationError> {
    let handshake = service.settings.limits.handshake;
    let refused = service.counters.refused.clone();
    let established = Box::pin(establish(&mut stream, &service, admitted)).await;
    let (accepted, duty) = match established {
        Ok(Established::Here(accepted, duty)) => (accepted, duty),
        Ok(Established::PassedOn(request, upstream)) => {
            return Box::pin(passed_on(stream, peer, service, request, *upstream)).await;
        }
        Err(error) => {
            refused.get_or_create(&Reason { reason: error.kind() }).inc();
            return fail(&mut stream, error).await;
        }
    };
    let answer = Pdu::AssociationAC(accepted.answer);
    let answered = tokio::time::timeout(handshake, send(&mut stream, &answer)).await;
    if let Err(error) = answered.unwrap_or(Err(AssociationError::Handshake)) {
        refused.get_or_create(&Reason { reason: error.kind() }).inc();
        return fail(&mut stream, error).await;
    }
    service.counters.accepted.inc();
    tracing::info!(%peer, calling = %printable(&accepted.calling), contexts = accepted.contexts.len(), "association accepted");
    let calling = accepted.calling.clone();
    let mut association = Association {
        stream,
        contexts: accepted.contexts,
        calling,
        service,
        claims: Claims::default(),
        duty,
    };
    let open = Open::new(&association.service.counters.open);
    let ended = association.messages().await;
    drop(open);
    match ended {
        Ok(()) => {
            association.claims.complete();
            Ok(())
        }
        Err(error) => {
            // Dropping the claims tells the hub that their source died.
            let Association { mut stream, service, .. } = association;
            service.counters.broken.get_or_create(&Reason { reason: error.kind() }).inc();
            fail(&mut stream, error).await
        }
    }
}

/// Runs an association that is passed on.
async fn passed_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: PduStream<S>,
    peer: SocketAddr,
    service: Service,
    request: AssociateRequest,
    upstream: Upstream,
) -> Result<(), AssociationError> {
    let relay = upstream.name().to_owned();
    match upstream.answer() {
        Answer::Accepted(answer) => {
            if let Err(error) = stream.send(answer).await {
                return fail(&mut stream, error.into()).await;
            }
        }
        Answer::Refused(answer) => {
            // The peer may be gone already.
            let _ = stream.send(answer).await;
            stream.close().await;
            return Err(AssociationError::RefusedUpstream(relay));
        }
    }
    let calling = ae_title(&request.0, CALLING);
    tracing::info!(%peer, calling = %printable(&calling), relay, "association passed on");
    Ok(upstream.pass_on(stream, &request.0, &calling, service).await?)
}

/// The AE title in this field of an A-ASSOCIATE-RQ, trimmed; bytes that none may have do not match any.
fn ae_title(request: &[u8], field: Range<usize>) -> String {
    String::from_utf8_lossy(request.get(field).unwrap_or_default()).trim_matches([' ', '\0']).to_owned()
}

/// An AE title is the peer's text: only what cannot break a log line.
pub(super) fn printable(title: &str) -> String {
    title.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(16).collect()
}

/// An association that there is to be.
#[derive(Debug)]
enum Established {
    /// With us.
    Here(Accepted, Duty),
    /// With an upstream, which has answered.
    PassedOn(AssociateRequest, Box<Upstream>),
}

async fn establish<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    service: &Service,
    admitted: Result<(), Refusal>,
) -> Result<Established, AssociationError> {
    let handshake = service.settings.limits.handshake;
    let request = tokio::time::timeout(handshake, stream.associate_request(REQUEST_LIMIT)).await;
    let request = request.map_err(|_| AssociationError::Handshake)??;
    let answer = match admitted {
        Ok(()) => decide(request, service).await?,
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(established) => Ok(established),
        Err(refusal) => {
            let answer = Pdu::AssociationRJ(refusal.answer());
            tokio::time::timeout(handshake, send(stream, &answer)).await.unwrap_or(Ok(()))?;
            Err(AssociationError::Refused(refusal))
        }
    }
}

/// Whether an association is passed on, is ours, or is refused.
async fn decide(
    request: AssociateRequest,
    service: &Service,
) -> Result<Result<Established, Refusal>, AssociationError> {
    let (called, calling) = (ae_title(&request.0, CALLED), ae_title(&request.0, CALLING));
    let relay = service.relay.clone().or_else(|| service.relays.find(&called, &calling));
    let Some(relay) = relay else {
        let accepted = negotiate(parse(&request)?, &service.settings);
        return Ok(accepted.map(|accepted| Established::Here(accepted, Duty::Stream)));
    };
    match Box::pin(relay.open(&request.0, service.settings.limits.handshake)).await {
        Opened::Answered(upstream) => Ok(Ok(Established::PassedOn(request, upstream))),
        Opened::Unreachable(WhenUnreachable::Reject) => Ok(Err(Refusal::Unreachable)),
        Opened::Unreachable(WhenUnreachable::Stream | WhenUnreachable::Spool) => {
            let policy = DimseSettings {
                accept_any_called_ae_title: true,
                calling_ae_titles: Vec::new(),
                ..(*service.settings).clone()
            };
            let accepted = negotiate(parse(&request)?, &policy);
            Ok(accepted.map(|accepted| Established::Here(accepted, Duty::StreamOnly)))
        }
    }
}

fn parse(request: &AssociateRequest) -> Result<AssociationRQ, AssociationError> {
    let request = match read_pdu(&request.0[..], REQUEST_LIMIT, true) {
        Ok(Some(Pdu::AssociationRQ(request))) => request,
        Ok(_) => return Err(AssociationError::Request("it ends early".to_owned())),
        Err(error) => return Err(AssociationError::Request(error.to_string())),
    };
    // PS3.8 §9.3.2.2: odd, and each for one context; a PDV could not be told from another's.
    let mut ids = [false; 256];
    for proposed in &request.presentation_contexts {
        let taken = ids.get_mut(usize::from(proposed.id)).is_none_or(|id| std::mem::replace(id, true));
        if taken || proposed.id.is_multiple_of(2) {
            return Err(AssociationError::Request(
                "a presentation context ID is even or stands twice".to_owned(),
            ));
        }
    }
    Ok(request)
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    pdu: &Pdu,
) -> Result<(), AssociationError> {
    let mut bytes = Vec::with_capacity(1024);
    write_pdu(&mut bytes, pdu).map_err(|error| AssociationError::Request(error.to_string()))?;
    Ok(stream.send(&bytes).await?)
}

/// Tells the peer, if it still listens, and closes.
async fn fail<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    error: AssociationError,
) -> Result<(), AssociationError> {
    if let Some(abort) = error.abort() {
        // The peer may be gone already.
        let _ = send(stream, &abort).await;
    }
    stream.close().await;
    Err(error)
}

struct Association<S> {
    stream: PduStream<S>,
    contexts: HashMap<u8, Context>,
    calling: String,
    service: Service,
    claims: Claims,
    duty: Duty,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Association<S> {
    /// Serves messages until the peer releases.
    async fn messages(&mut self) -> Result<(), AssociationError> {
        let mut shutdown = self.service.shutdown.clone();
        loop {
            let next = tokio::select! {
                biased;
                _ = shutdown.wait_for(|&down| down) => return Err(AssociationError::Draining),
                next = self.stream.next(self.service.settings.limits.idle) => next?,
            };
            let Next::Pdv(pdv) = next else {
                send(&mut self.stream, &Pdu::ReleaseRP).await?;
                self.stream.close().await;
                return Ok(());
            };
            self.message(pdv).await?;
        }
    }

    async fn message(&mut self, first: Pdv) -> Result<(), AssociationError> {
        let Some(context) = self.contexts.get(&first.context).cloned() else {
            return Err(AssociationError::Protocol("a presentation context that was not accepted"));
        };
        let command = self.command(first).await?;
        let (status, comment) = match &command {
            Command::Echo { .. } if self.duty == Duty::Stream => (Status::Success, None),
            Command::Echo { .. } => (Status::ProcessingFailure, Some(AWAY.to_owned())),
            Command::Store { sop_class, sop_instance, .. } => {
                let outcome = store::receive(
                    &mut self.stream,
                    &self.service,
                    &mut self.claims,
                    store::Request {
                        context: first.context,
                        negotiated: &context,
                        sop_class,
                        sop_instance,
                        calling: &self.calling,
                    },
                )
                .await?;
                match outcome {
                    Ok(()) if self.duty == Duty::StreamOnly => {
                        (Status::OutOfResources, Some(AWAY.to_owned()))
                    }
                    Ok(()) => {
                        self.service.counters.stored.inc();
                        (Status::Success, None)
                    }
                    Err(refused) => {
                        let reason = Reason { reason: refused.kind() };
                        self.service.counters.failed.get_or_create(&reason).inc();
                        tracing::warn!(
                            calling = %printable(&self.calling),
                            sop_class = %sop_class,
                            status = format_args!("{:04X}H", refused.status().code()),
                            "C-STORE refused: {refused}{}", refused.mend()
                        );
                        (refused.status(), Some(refused.to_string()))
                    }
                }
            }
            Command::Cancel => return Ok(()),
            Command::Other { data_set, .. } => {
                if *data_set {
                    store::discard(&mut self.stream, first.context).await?;
                }
                (Status::UnrecognizedOperation, None)
            }
        };
        let response = command::response(&command, status, comment.as_deref());
        Ok(self.stream.send(&command_pdu(first.context, &response)).await?)
    }

    /// Reads a whole command set, of which `pdv` is the first fragment.
    async fn command(&mut self, mut pdv: Pdv) -> Result<Command, AssociationError> {
        let context = pdv.context;
        let mut bytes = BytesMut::new();
        loop {
            if !pdv.command || pdv.context != context {
                return Err(AssociationError::Protocol("a fragment that is not of the command set"));
            }
            if bytes.len() + self.stream.payload_left() > COMMAND_LIMIT {
                return Err(AssociationError::Protocol("the command set is too long"));
            }
            while self.stream.payload_left() > 0 {
                self.stream.payload(&mut bytes, COMMAND_LIMIT).await?;
            }
            if pdv.last {
                return Ok(command::read(&bytes)?);
            }
            pdv = match self.stream.next(self.service.settings.limits.stall).await? {
                Next::Pdv(pdv) => pdv,
                Next::Release => return Err(AssociationError::Protocol("a release inside a message")),
            };
        }
    }
}
