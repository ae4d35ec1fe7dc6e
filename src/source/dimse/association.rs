//! One association, from A-ASSOCIATE-RQ to its end.
//!
//! ```text
//!   request ──► negotiate ──► message ──► message ──► … ──► release   (series complete)
//!      │            │            │
//!      └ A-ABORT    └ RJ         └ broken, stalled, aborted           (series aborted)
//! ```

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use dicom_ul::pdu::{AbortRQServiceProviderReason, AbortRQSource, Pdu, write_pdu};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::counters::{DimseCounters, Reason};
use super::establish::{Duty, Established, ae_title, establish};
use super::events;
use super::negotiate::{Context, Refusal};
use super::relay::{self, Answer, Broken, CALLING, Depositing, Relay, Relays, Upstream};
use super::store;
use crate::audit::{Alert, Audit, Occurrence, Outcome, Party, Transfers};
use crate::config::settings::DimseSettings;
use crate::context::desk::Desk;
use crate::dimse::command::{self, Command, CommandError, Status};
use crate::dimse::pdu::{AssociateRequest, Next, PduError, PduStream, Pdv, command_pdu};
use crate::hub::Hub;
use crate::instance::{Source, Uid};
use crate::net::counters::Open;
use crate::source::claims::Claims;

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
    /// Who is told of what comes in, and who it comes from.
    pub(super) audit: Audit,
    pub(super) peer: Party,
}

impl Service {
    /// The peer does not get in, for what it is or what it shows.
    pub(super) fn turns_away(&self, peer: SocketAddr, why: &impl Display) {
        self.audit.record(Occurrence::SecurityAlert {
            alert: Alert::NodeAuthentication,
            outcome: Outcome::MinorFailure,
            peer: Some(peer.ip()),
            user: None,
            said: format!("DIMSE: {why}"),
        });
    }
}

/// Runs an association on `stream` to its end. `admitted` is what the listener thinks of the peer.
///
/// # Errors
/// How it ended, if not by release; the peer has been told.
pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin + Send>(
    mut stream: PduStream<S>,
    peer: SocketAddr,
    service: Service,
    admitted: Result<(), Refusal>,
) -> Result<(), AssociationError> {
    let handshake = service.settings.limits.handshake;
    let refused = service.counters.refused.clone();
    let established = Box::pin(establish(&mut stream, &service, admitted)).await;
    let (accepted, called, duty) = match established {
        Ok(Established::Here { accepted, called, duty }) => (accepted, called, duty),
        Ok(Established::PassedOn(request, upstream)) => {
            return Box::pin(passed_on(stream, peer, service, request, *upstream)).await;
        }
        Err(error) => {
            if let AssociationError::Refused(refusal) = &error
                && refusal.is_of_security()
            {
                service.turns_away(peer, refusal);
            }
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
    let (calling, contexts) = (printable(&accepted.calling), accepted.contexts.len());
    events::Accepted { peer, calling: &calling, contexts }.tell();
    let calling = accepted.calling.clone();
    let (from, to) = (service.peer.clone().titled(&calling), Party::us(&called));
    let transfers = Transfers::taken(&service.audit, from, to);
    let mut association = Association {
        stream,
        contexts: accepted.contexts,
        called,
        calling,
        service,
        claims: Claims::of(Source::Dimse, transfers),
        duty,
    };
    let open = Open::new(&association.service.counters.open);
    let ended = association.messages().await;
    drop(open);
    match ended {
        Ok(()) => {
            association.claims.complete();
            if let Duty::Spool(_, tap) = &mut association.duty {
                tap.complete();
            }
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
async fn passed_on<S: AsyncRead + AsyncWrite + Unpin + Send>(
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
    events::PassedOn { peer, calling: &printable(&calling), relay: &relay }.tell();
    Ok(upstream.pass_on(stream, &request.0, &calling, service).await?)
}

/// An AE title is the peer's text: only what cannot break a log line.
pub(super) fn printable(title: &str) -> String {
    title.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(16).collect()
}

pub(super) async fn send<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: &mut PduStream<S>,
    pdu: &Pdu,
) -> Result<(), AssociationError> {
    let mut bytes = Vec::with_capacity(1024);
    write_pdu(&mut bytes, pdu).map_err(|error| AssociationError::Request(error.to_string()))?;
    Ok(stream.send(&bytes).await?)
}

/// Tells the peer, if it still listens, and closes.
async fn fail<S: AsyncRead + AsyncWrite + Unpin + Send>(
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
    called: String,
    calling: String,
    service: Service,
    claims: Claims,
    duty: Duty,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Association<S> {
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
            Command::Echo { .. } if matches!(self.duty, Duty::StreamOnly) => {
                (Status::ProcessingFailure, Some(AWAY.to_owned()))
            }
            Command::Echo { .. } => (Status::Success, None),
            Command::Store { message, sop_class, sop_instance } => {
                self.store(first.context, &context, *message, (sop_class, sop_instance)).await?
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

    /// Takes the object of a C-STORE; gives what the peer is told.
    async fn store(
        &mut self,
        context: u8,
        negotiated: &Context,
        message: u16,
        (sop_class, sop_instance): (&Uid, &Uid),
    ) -> Result<(Status, Option<String>), AssociationError> {
        if let Duty::Spool(relay, tap) = &mut self.duty {
            let to = Depositing {
                relay,
                called: &self.called,
                calling: &self.calling,
                transfer_syntax: &negotiated.transfer_syntax,
            };
            let kept = relay::deposit(&mut self.stream, to, tap, context, (message, sop_class, sop_instance))
                .await?;
            return Ok(match kept {
                Ok(()) => {
                    self.service.counters.answered(Status::Success, "stored");
                    (Status::Success, None)
                }
                Err(error) => {
                    self.service.counters.answered(Status::OutOfResources, "spool");
                    let calling = &printable(&self.calling);
                    events::NotSpooled { relay: relay.name(), calling, error: &error }.tell();
                    (Status::OutOfResources, Some("it cannot be spooled; try again later".to_owned()))
                }
            });
        }
        let calling = self.calling.as_str();
        let request = store::Request { context, negotiated, sop_class, sop_instance, calling };
        let outcome = store::receive(&mut self.stream, &self.service, &mut self.claims, request).await?;
        Ok(match outcome {
            Ok(()) if matches!(self.duty, Duty::StreamOnly) => {
                self.service.counters.answered(Status::OutOfResources, "upstream_away");
                (Status::OutOfResources, Some(AWAY.to_owned()))
            }
            Ok(()) => {
                self.service.counters.answered(Status::Success, "stored");
                (Status::Success, None)
            }
            Err(refused) => {
                self.service.counters.answered(refused.status(), refused.kind());
                events::StoreRefused {
                    calling: &printable(&self.calling),
                    sop_class,
                    status: format_args!("{:04X}H", refused.status().code()),
                    refused: &refused,
                    mend: refused.mend(),
                }
                .tell();
                (refused.status(), Some(refused.to_string()))
            }
        })
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
