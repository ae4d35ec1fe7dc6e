//! One request's body while it arrives.
//!
//! ```text
//!   chunk ──► multipart reader ──► file ───────────► object ──► claims ──► hub
//!                              └─► metadata form ──►
//! ```
//!
//! Nothing of a body is kept but what the object that is arriving has made room for. A part that is
//! refused is read to its end for nobody, and the next one has its chance. With a Content-Length a
//! part ends with its last byte, else with the delimiter behind it.

use std::sync::Arc;

use bytes::Bytes;

use super::counters::Reason;
use super::events;
use super::failure::Failure;
use super::file::File;
use super::media::PartType;
use super::metadata_form::{Form, METADATA};
use super::object::Outlet;
use super::report::{End, Report};
use super::{Place, SendSource};
use crate::audit::Transfers;
use crate::config::settings::SendSettings;
use crate::instance::{Source, Uid};
use crate::net::counters::Open;
use crate::net::multipart::reader::{Event, ReadError, Reader};
use crate::net::multipart::{Boundary, PartHead};
use crate::source::claims::Claims;

/// Media type of a part that is a Part 10 file.
const FILE: &str = "application/dicom";

/// In which form a body has its instances.
#[derive(Debug)]
pub(super) enum Kind {
    /// The request does not say; the first part does.
    Unknown,
    Files,
    Described(Box<Form>),
}

impl Kind {
    /// That of a body whose root has this media type; `None` where it is none that is taken.
    pub(super) fn of(root: Option<&str>) -> Option<Self> {
        match root {
            None => Some(Self::Unknown),
            Some(FILE) => Some(Self::Files),
            Some(METADATA) => Some(Self::Described(Box::default())),
            Some(_) => None,
        }
    }
}

/// The part that is arriving.
#[derive(Debug)]
enum Part {
    /// None is.
    Between,
    File(Box<File>),
    /// One of the metadata form, which knows more.
    Described,
    /// One that nobody wants.
    Skipped,
}

/// One request's body while it arrives. Dropped before [`Intake::finish`], it tells the hub that
/// the source died.
#[derive(Debug)]
pub struct Intake {
    outlet: Outlet,
    reader: Reader,
    kind: Kind,
    part: Part,
    /// Bytes of the part that are still to come, where that is known.
    left: Option<u64>,
    has_ended: bool,
    _open: Open,
    _place: Place,
}

impl Intake {
    pub(super) fn new(
        source: &SendSource,
        place: Place,
        boundary: &Boundary,
        kind: Kind,
        request: Of,
    ) -> Self {
        let counters = &source.counters;
        counters.requests.inc();
        let settings = source.settings.load_full();
        let outlet = Outlet {
            hub: source.hub.clone(),
            claims: Claims::of(Source::Send, request.transfers),
            counters: counters.clone(),
            study: request.study,
            report: Report::new(settings.listed),
            settings,
            principal: request.principal,
        };
        Self {
            outlet,
            // The bounds are the assembler's: a file has no length of its own.
            reader: Reader::new(boundary, u64::MAX),
            kind,
            part: Part::Between,
            left: None,
            has_ended: false,
            _open: Open::new(&counters.open),
            _place: place,
        }
    }

    /// The bounds that hold for this request.
    pub fn settings(&self) -> &SendSettings {
        &self.outlet.settings
    }

    /// Whether a part has begun and not ended.
    pub fn is_in_part(&self) -> bool {
        !matches!(self.part, Part::Between)
    }

    /// Takes the next bytes of the body and publishes what they make whole. Never waits for a reader.
    ///
    /// # Errors
    /// When the body is no multipart body: nothing more can be read of it.
    pub async fn feed(&mut self, mut chunk: Bytes) -> Result<(), ReadError> {
        self.outlet.counters.bytes.inc_by(chunk.len() as u64);
        while let Some(event) = self.reader.read(&mut chunk)? {
            match event {
                Event::PartHead(head) => self.begin(&head).await,
                Event::PartData(data) => self.data(data).await,
                Event::PartEnd => self.end_part().await,
                Event::Close => {}
            }
        }
        Ok(())
    }

    /// Nothing more comes. Says what became of it all.
    pub fn finish(mut self, mut end: End) -> Report {
        self.has_ended = true;
        if end == End::Body && self.reader.finish().is_err() {
            end = End::Malformed;
        }
        self.cut_off();
        match end {
            End::Body => {}
            End::Malformed => self.outlet.refuse(None, &Failure::Body),
            End::Stalled | End::Stopping | End::Withdrawn => {}
        }
        if let Kind::Described(form) = &mut self.kind {
            form.finish(&mut self.outlet);
        }
        if end == End::Body {
            self.outlet.claims.complete();
        } else {
            self.note_broken(match end {
                End::Malformed => "malformed",
                End::Stalled => "stalled",
                End::Withdrawn => "withdrawn",
                End::Body | End::Stopping => "stopping",
            });
        }
        let mut report = std::mem::replace(&mut self.outlet.report, Report::new(0));
        report.end = end;
        report
    }

    async fn begin(&mut self, head: &PartHead) {
        let part_type = PartType::parse(head.content_type.as_bytes());
        self.left = head.content_length;
        let length = head.content_length.and_then(|length| usize::try_from(length).ok());
        if matches!(self.kind, Kind::Unknown) {
            let is_metadata = part_type.essence == METADATA;
            self.kind = if is_metadata { Kind::Described(Box::default()) } else { Kind::Files };
        }
        let begun = match &mut self.kind {
            Kind::Described(form) => {
                let location = head.content_location.as_ref().and_then(|location| location.to_str().ok());
                form.begin(location, &part_type, length, &mut self.outlet).await.map(|()| Part::Described)
            }
            Kind::Files | Kind::Unknown if part_type.essence == FILE => {
                Ok(Part::File(Box::new(File::new(part_type.transfer_syntax, length))))
            }
            Kind::Files | Kind::Unknown => Err(Failure::MediaType),
        };
        self.part = begun.unwrap_or_else(|failure| {
            self.outlet.refuse(None, &failure);
            Part::Skipped
        });
    }

    async fn data(&mut self, data: Bytes) {
        let length = data.len() as u64;
        let fed = match (&mut self.part, &mut self.kind) {
            (Part::File(file), _) => {
                file.feed(data, &mut self.outlet).await.map_err(|failure| (file.of().cloned(), failure))
            }
            (Part::Described, Kind::Described(form)) => {
                form.feed(&data, &mut self.outlet).await.map_err(|failure| (None, failure))
            }
            _ => Ok(()),
        };
        if let Err((of, failure)) = fed {
            self.outlet.refuse(of, &failure);
            self.part = Part::Skipped;
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(length);
            if *left == 0 {
                self.end_part().await;
            }
        }
    }

    /// The part's last byte is in, or its end is; whichever comes first.
    async fn end_part(&mut self) {
        match (std::mem::replace(&mut self.part, Part::Between), &mut self.kind) {
            (Part::File(file), _) => match file.end(&mut self.outlet).await {
                Ok((of, split)) => self.outlet.take(of, split),
                Err((of, failure)) => self.outlet.refuse(of, &failure),
            },
            (Part::Described, Kind::Described(form)) => {
                if let Err(failure) = form.end(&mut self.outlet).await {
                    self.outlet.refuse(None, &failure);
                }
            }
            _ => {}
        }
    }

    /// The request may end inside of a part.
    fn cut_off(&mut self) {
        match std::mem::replace(&mut self.part, Part::Between) {
            Part::File(file) => self.outlet.refuse(file.of().cloned(), &Failure::CutOff),
            Part::Described | Part::Skipped | Part::Between => {}
        }
    }

    fn note_broken(&self, reason: &'static str) {
        self.outlet.counters.broken.get_or_create(&Reason { reason }).inc();
        let (principal, taken) = (self.outlet.principal(), self.outlet.report.taken_count);
        events::Broken { principal, reason, taken }.tell();
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        if !self.has_ended {
            self.note_broken("gone");
        }
    }
}

/// What a request is for.
#[derive(Debug, Default)]
pub struct Of {
    /// The only study that its instances may be of, if it names one.
    pub study: Option<Uid>,
    /// The principal who sends; `None` is anonymous.
    pub principal: Option<Arc<str>>,
    /// What the audit trail is told of it.
    pub transfers: Transfers,
}
