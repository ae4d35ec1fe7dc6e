//! The beginning of an association: its request is read, and passed on, accepted, or refused.

use std::ops::Range;
use std::sync::Arc;

use bytes::BytesMut;
use dicom_ul::pdu::{AssociationRQ, Pdu, read_pdu};
use tokio::io::{AsyncRead, AsyncWrite};

use super::association::{AssociationError, Service, send};
use super::negotiate::{Accepted, Refusal, negotiate, negotiate_for};
use super::relay::{CALLED, CALLING, Guarded, Modality, Opened, Relay, Upstream};
use crate::config::settings::{DimseSettings, WhenUnreachable};
use crate::dimse::pdu::{AssociateRequest, PduError, PduStream};

/// The longest A-ASSOCIATE-RQ: 128 contexts with dozens of transfer syntaxes each fit.
pub(super) const REQUEST_LIMIT: u32 = 512 << 10;
/// What is done with the objects of an association that is not passed on.
#[derive(Debug)]
pub(super) enum Duty {
    /// They are streamed.
    Stream,
    /// They are streamed, and the peer is told that they did not get where they were meant to.
    StreamOnly,
    /// They are streamed, and wait in the spool of this relay.
    Spool(Arc<Relay>, Box<Guarded>),
}

/// An association that there is to be.
#[derive(Debug)]
pub(super) enum Established {
    /// With us, though `called` may be another.
    Here { accepted: Box<Accepted>, called: String, duty: Duty },
    /// With an upstream, which has answered.
    PassedOn(AssociateRequest, Box<Upstream>),
}

pub(super) async fn establish<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: &mut PduStream<S>,
    service: &Service,
    admitted: Result<(), Refusal>,
) -> Result<Established, AssociationError> {
    let handshake = service.settings.limits.handshake;
    let request = tokio::time::timeout(handshake, stream.associate_request(REQUEST_LIMIT)).await;
    let request = request.map_err(|_| AssociationError::Handshake)??;
    let answer = match admitted {
        Ok(()) => decide(stream, request, service).await?,
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
async fn decide<S: AsyncRead + AsyncWrite + Unpin + Send>(
    stream: &mut PduStream<S>,
    request: AssociateRequest,
    service: &Service,
) -> Result<Result<Established, Refusal>, AssociationError> {
    let (called, calling) = (ae_title(&request.0, CALLED), ae_title(&request.0, CALLING));
    let relay = service.relay.clone().or_else(|| service.relays.find(&called, &calling));
    let Some(relay) = relay else {
        let accepted = negotiate(parse(&request)?, &service.settings);
        return Ok(accepted.map(|accepted| Established::Here {
            accepted: Box::new(accepted),
            called,
            duty: Duty::Stream,
        }));
    };
    let patience = service.settings.limits.handshake;
    match Box::pin(relay.open(&request.0, patience, &mut Waits(stream))).await {
        Opened::Left => Err(AssociationError::Pdu(PduError::Closed)),
        Opened::Answered(upstream) => Ok(Ok(Established::PassedOn(request, upstream))),
        Opened::Unreachable(relay) => away(&request, service, relay),
    }
}

/// The peer, while its upstream is asked.
struct Waits<'s, S>(&'s mut PduStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Modality for Waits<'_, S> {
    async fn says(&mut self) -> BytesMut {
        // Whoever is out of reach has left.
        self.0.out_of_turn().await.unwrap_or_default()
    }
}

/// What is answered for an upstream that is away.
fn away(
    request: &AssociateRequest,
    service: &Service,
    relay: Arc<Relay>,
) -> Result<Result<Established, Refusal>, AssociationError> {
    let when = relay.when_unreachable();
    if when == WhenUnreachable::Reject {
        return Ok(Err(Refusal::Unreachable));
    }
    let policy = DimseSettings {
        accept_any_called_ae_title: true,
        calling_ae_titles: Vec::new(),
        ..(*service.settings).clone()
    };
    let accepted = negotiate_for(parse(request)?, &policy, |uid| relay.syntaxes(uid));
    Ok(accepted.map(|accepted| {
        let duty = if when == WhenUnreachable::Spool {
            let tap = relay.tap(service, &accepted.contexts, &accepted.calling);
            Duty::Spool(relay, Box::new(tap))
        } else {
            Duty::StreamOnly
        };
        Established::Here { accepted: Box::new(accepted), called: ae_title(&request.0, CALLED), duty }
    }))
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

/// The AE title in this field of an A-ASSOCIATE-RQ, trimmed; bytes that none may have do not match any.
pub(super) fn ae_title(request: &[u8], field: Range<usize>) -> String {
    String::from_utf8_lossy(request.get(field).unwrap_or_default()).trim_matches([' ', '\0']).to_owned()
}
