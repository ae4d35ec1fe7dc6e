//! Receives the data set of one C-STORE and publishes its instances while it arrives.
//!
//! The [`Assembler`] says where the next bytes go; they are read from the socket into that buffer,
//! and what has become whole is published at once. An object that is refused is read to its end
//! all the same, so that the peer gets its status and the association lives on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};

use super::association::{AssociationError, Service};
use super::command::Status;
use super::negotiate::Context;
use super::pdu::{Next, PduStream};
use crate::config::settings::DimseLimits;
use crate::hub::{OpenError, PublishError, Published, Publisher};
use crate::instance::assemble::{AssembleError, Assembler, Event, Limits, Opened, Transfer};
use crate::instance::scan::{HeadLimits, ScanError};
use crate::instance::{DecodeError, Uid};

const DISCARD: usize = 256 << 10;

/// The series that an association publishes into. Dropped as it is, it tells the hub that the
/// source died.
#[derive(Debug, Default)]
pub(super) struct Claims {
    publishers: HashMap<(Uid, Uid), Publisher>,
}

impl Claims {
    /// The association was released: its part of every series is complete.
    pub(super) fn complete(&mut self) {
        for (_, publisher) in self.publishers.drain() {
            publisher.complete();
        }
    }

    fn claim(&mut self, service: &Service, opened: &Opened) -> Result<&Publisher, Refused> {
        let identity = &opened.identity;
        let key = (identity.study.clone(), identity.series.clone());
        // A series may have ended by quiet in the meantime; then it opens again.
        if let Entry::Occupied(entry) = self.publishers.entry(key.clone())
            && entry.get().series().end().is_some()
        {
            let again = open(service, opened)?;
            entry.remove().complete();
            return Ok(self.publishers.entry(key).or_insert(again));
        }
        match self.publishers.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(open(service, opened)?)),
        }
    }
}

fn open(service: &Service, opened: &Opened) -> Result<Publisher, Refused> {
    let identity = &opened.identity;
    service.hub.open(&identity.study, &identity.series, || opened.dataset()).map_err(Refused::Open)
}

/// Why an object is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("Affected SOP Class UID is not that of the presentation context")]
    SopClass,
    #[error(transparent)]
    Object(#[from] AssembleError),
    #[error(transparent)]
    Open(OpenError<DecodeError>),
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Refused {
    /// The status that tells the peer.
    pub(super) fn status(&self) -> Status {
        use AssembleError as E;
        match self {
            Self::SopClass => Status::SopClassNotSupported,
            Self::Publish(PublishError::TooLarge(_))
            | Self::Open(OpenError::Full(_) | OpenError::Draining) => Status::OutOfResources,
            Self::Open(OpenError::Context(_)) => Status::CannotUnderstand,
            Self::Object(error) => match error {
                E::Scan(ScanError::Malformed { .. } | ScanError::Truncated(_)) => Status::CannotUnderstand,
                E::Scan(_) | E::FrameTooLarge(_) | E::TooManyFrames(_) | E::Trailing(_) => {
                    Status::OutOfResources
                }
                E::Mismatch(_)
                | E::PixelLength { .. }
                | E::FrameCount { .. }
                | E::Attribute(_)
                | E::Split(_) => Status::DataSetMismatch,
                E::Encode(_) => Status::ProcessingFailure,
                E::Group(_) | E::Decode(_) | E::Fragments(_) | E::Deflate | E::Truncated => {
                    Status::CannotUnderstand
                }
            },
        }
    }

    /// A word for the counter's label.
    pub(super) fn kind(&self) -> &'static str {
        match self.status() {
            Status::OutOfResources => "out_of_resources",
            Status::DataSetMismatch => "data_set_mismatch",
            Status::SopClassNotSupported => "sop_class",
            Status::CannotUnderstand => "cannot_understand",
            _ => "processing_failure",
        }
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
            if let Err(refused) = publish(&mut assembler, service, claims, false).await {
                drop(assembler);
                skip_payload(stream).await?;
                if !last {
                    discard(stream, request.context).await?;
                }
                return Ok(Err(refused));
            }
        }
        if last {
            return Ok(publish(&mut assembler, service, claims, true).await);
        }
    }
}

fn begin(service: &Service, request: &Request<'_>) -> Result<Assembler, Refused> {
    if *request.sop_class != request.negotiated.abstract_syntax {
        return Err(Refused::SopClass);
    }
    let transfer = Transfer {
        transfer_syntax: request.negotiated.transfer_syntax.clone(),
        sop_class: request.sop_class.clone(),
        sop_instance: request.sop_instance.clone(),
        source_ae_title: Some(request.calling.to_owned()),
    };
    Ok(Assembler::new(transfer, limits(&service.settings.limits))?)
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
    ended: bool,
) -> Result<(), Refused> {
    while let Some(event) = assembler.poll(ended)? {
        match event {
            Event::Opened(opened) => {
                let publisher = claims.claim(service, &opened)?;
                if opened.instances > 1 {
                    assembler.number_from(publisher.reserve_numbers(opened.instances));
                }
            }
            Event::Instance(instance) => {
                let identity = instance.identity();
                let key = (identity.study.clone(), identity.series.clone());
                // `Opened` comes before every instance of its object.
                let Some(publisher) = claims.publishers.get(&key) else { continue };
                match publisher.publish(instance)? {
                    Published::Accepted => service.counters.published.inc(),
                    Published::Duplicate => service.counters.duplicates.inc(),
                };
                // Readers were woken on this thread, and no other takes them from it: let them have
                // the frame before the next one is made. An object of very many small frames does
                // not keep the thread, either.
                tokio::task::yield_now().await;
            }
        }
    }
    Ok(())
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
async fn next_fragment<S: AsyncRead + AsyncWrite + Unpin>(
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
