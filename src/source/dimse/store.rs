//! Receives the data set of one C-STORE and publishes its instances while it arrives.
//!
//! The [`Assembler`] says where the next bytes go; they are read from the socket into that buffer,
//! and what has become whole is published at once. An object that is refused is read to its end
//! all the same, so that the peer gets its status and the association lives on.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::association::{AssociationError, Service};
use super::negotiate::Context;
use crate::config::settings::DimseLimits;
use crate::context::order::Order;
use crate::dimse::command::Status;
use crate::dimse::pdu::{Next, PduStream};
use crate::hub::Published;
use crate::instance::Uid;
use crate::instance::assemble::{Assembler, Event, Limits, Transfer};
use crate::instance::scan::HeadLimits;
use crate::source::claims::Claims;
use crate::source::refused::{self, Cause};

const DISCARD: usize = 256 << 10;

/// Why an object is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("Affected SOP Class UID is not that of the presentation context")]
    SopClass,
    #[error(transparent)]
    Object(#[from] refused::Refused),
}

impl Refused {
    fn cause(&self) -> Cause {
        match self {
            Self::SopClass => Cause::SopClassNotSupported,
            Self::Object(refused) => refused.cause(),
        }
    }

    /// The status that tells the peer.
    pub(super) fn status(&self) -> Status {
        match self.cause() {
            Cause::OutOfResources => Status::OutOfResources,
            Cause::DataSetMismatch => Status::DataSetMismatch,
            Cause::SopClassNotSupported => Status::SopClassNotSupported,
            Cause::CannotUnderstand | Cause::TransferSyntaxNotSupported => Status::CannotUnderstand,
            Cause::ProcessingFailure => Status::ProcessingFailure,
        }
    }

    /// A word for the counter's label.
    pub(super) fn kind(&self) -> &'static str {
        self.cause().word()
    }

    /// How to mend it, for the log.
    pub(super) fn mend(&self) -> &'static str {
        match self.status() {
            Status::OutOfResources => {
                "; if such objects are wanted, raise the bound in [dimse.limits] or [hub]"
            }
            Status::DataSetMismatch | Status::CannotUnderstand => "; the sender's object is at fault",
            _ => "",
        }
    }
}

/// What a C-STORE-RQ says.
pub(super) struct Request<'a> {
    pub(super) context: u8,
    pub(super) negotiated: &'a Context,
    pub(super) sop_class: &'a Uid,
    pub(super) sop_instance: &'a Uid,
    pub(super) calling: &'a str,
}

/// Reads the data set of a C-STORE to its end, publishing what becomes whole.
///
/// # Errors
/// Outer: the association is broken. Inner: the object is refused.
pub(super) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    service: &Service,
    claims: &mut Claims,
    request: Request<'_>,
) -> Result<Result<(), Refused>, AssociationError> {
    let mut assembler = match begin(service, &request) {
        Ok(assembler) => assembler,
        Err(refused) => {
            discard(stream, request.context).await?;
            return Ok(Err(refused));
        }
    };
    loop {
        let last = next_fragment(stream, request.context).await?;
        service.counters.bytes.inc_by(stream.payload_left() as u64);
        while stream.payload_left() > 0 {
            let (target, room) = assembler.target();
            stream.payload(target, room).await?;
            // The last byte of the data set is known as such only with the end of its fragment.
            if let Err(refused) = publish(&mut assembler, service, claims, request.calling, false).await {
                drop(assembler);
                skip_payload(stream).await?;
                if !last {
                    discard(stream, request.context).await?;
                }
                return Ok(Err(refused));
            }
        }
        if last {
            return Ok(publish(&mut assembler, service, claims, request.calling, true).await);
        }
    }
}

/// Begins to take the object of a C-STORE.
pub(super) fn begin(service: &Service, request: &Request<'_>) -> Result<Assembler, Refused> {
    if *request.sop_class != request.negotiated.abstract_syntax {
        return Err(Refused::SopClass);
    }
    let transfer = Transfer {
        transfer_syntax: request.negotiated.transfer_syntax.clone(),
        sop_class: request.sop_class.clone(),
        sop_instance: request.sop_instance.clone(),
        source_ae_title: Some(request.calling.to_owned()),
    };
    Ok(Assembler::new(transfer, limits(&service.settings.limits)).map_err(refused::Refused::from)?)
}

fn limits(dimse: &DimseLimits) -> Limits {
    Limits {
        head: HeadLimits { bytes: dimse.head_bytes, elements: dimse.elements, nesting: dimse.nesting },
        frame_bytes: dimse.frame_bytes,
        frames: dimse.frames,
    }
}

/// Publishes everything that has become whole.
async fn publish(
    assembler: &mut Assembler,
    service: &Service,
    claims: &mut Claims,
    calling: &str,
    ended: bool,
) -> Result<(), Refused> {
    while let Some(is_instance) = publish_next(assembler, service, claims, calling, ended)? {
        if is_instance {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Publishes the next of what has become whole, if there is any, and says whether it was an instance. Never waits.
pub(super) fn publish_next(
    assembler: &mut Assembler,
    service: &Service,
    claims: &mut Claims,
    calling: &str,
    ended: bool,
) -> Result<Option<bool>, Refused> {
    let Some(event) = assembler.poll(ended).map_err(refused::Refused::from)? else { return Ok(None) };
    if let Event::Opened(opened) = &event
        && service.desk.wants_objects_of(calling)
        && let Ok(head) = opened.dataset()
    {
        service.desk.imaging(calling, Arc::new(Order::from_instance(&head).order), Instant::now());
    }
    match claims.take(&service.hub, assembler, event)? {
        Some(Published::Accepted) => service.counters.published.inc(),
        Some(Published::Duplicate) => service.counters.duplicates.inc(),
        None => return Ok(Some(false)),
    };
    Ok(Some(true))
}

/// Reads a data set to its end for nobody.
pub(super) async fn discard<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    context: u8,
) -> Result<(), AssociationError> {
    loop {
        let last = next_fragment(stream, context).await?;
        skip_payload(stream).await?;
        if last {
            return Ok(());
        }
    }
}

async fn skip_payload<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
) -> Result<(), AssociationError> {
    let mut sink = BytesMut::new();
    while stream.payload_left() > 0 {
        sink.clear();
        stream.payload(&mut sink, DISCARD).await?;
    }
    Ok(())
}

/// The next fragment of a data set; says whether it is the last.
pub(super) async fn next_fragment<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut PduStream<S>,
    context: u8,
) -> Result<bool, AssociationError> {
    let patience = stream.stall();
    match stream.next(patience).await? {
        Next::Pdv(pdv) if !pdv.command && pdv.context == context => Ok(pdv.last),
        Next::Pdv(_) => Err(AssociationError::Protocol("a fragment that is not of the data set")),
        Next::Release => Err(AssociationError::Protocol("a release inside a message")),
    }
}
