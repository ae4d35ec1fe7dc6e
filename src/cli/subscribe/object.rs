//! One part of a retrieved stream: a Part 10 file that becomes instances, or a picture.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::cli::save::Saved;
use crate::cli::statistics::{Arrival, Facts};
use crate::config::settings::DimseLimits;
use crate::instance::assemble::{AssembleError, Assembler, Event, Limits, Transfer};
use crate::instance::part10::{MetaError, MetaReader};
use crate::instance::scan::HeadLimits;
use crate::instance::uid::is_plausible;
use crate::instance::{Instance, Uid};
use crate::net::multipart::PartHead;

/// Bytes of one part; more than a frame and its head may have.
pub(super) const PART_BYTES: u64 = 128 << 20;

/// Why a part cannot be read. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPart {
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error("its File Meta Information lacks {0}")]
    Lacks(&'static str),
    #[error(transparent)]
    Object(#[from] AssembleError),
    #[error("its Content-Location names no instance")]
    Location,
}

/// What a part came to.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) arrival: Arrival,
    pub(super) saved: Saved,
}

/// A part on its way in.
pub(super) enum Object {
    Meta(MetaReader),
    DataSet {
        assembler: Box<Assembler>,
        instances: Vec<Instance>,
    },
    Picture {
        location: Option<String>,
        content: BytesMut,
    },
    /// The rest of one that cannot be read.
    Skipped,
}

impl Object {
    /// A part begins.
    pub(super) fn begin(head: &PartHead) -> Self {
        if head.content_type.as_bytes().starts_with(b"image/") {
            let location = head.content_location.as_ref().and_then(|value| value.to_str().ok());
            return Self::Picture { location: location.map(str::to_owned), content: BytesMut::new() };
        }
        Self::Meta(MetaReader::default())
    }

    /// Takes some of its octets. After an error the rest is passed over.
    ///
    /// # Errors
    /// When the part is no object.
    pub(super) fn feed(&mut self, bytes: Bytes) -> Result<(), BadPart> {
        self.take(bytes).inspect_err(|_| *self = Self::Skipped)
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<(), BadPart> {
        if let Self::Meta(reader) = self {
            let Some(meta) = reader.read(&mut bytes)? else { return Ok(()) };
            let transfer = Transfer {
                transfer_syntax: meta.transfer_syntax.ok_or(BadPart::Lacks("Transfer Syntax UID"))?,
                sop_class: meta.sop_class.ok_or(BadPart::Lacks("Media Storage SOP Class UID"))?,
                sop_instance: meta.sop_instance.ok_or(BadPart::Lacks("Media Storage SOP Instance UID"))?,
                source_ae_title: meta.source_ae_title,
            };
            let assembler = Box::new(Assembler::new(transfer, limits())?);
            *self = Self::DataSet { assembler, instances: Vec::new() };
        }
        match self {
            Self::DataSet { assembler, instances } => {
                while !bytes.is_empty() {
                    let (target, room) = assembler.target();
                    target.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
                    poll(assembler, instances, false)?;
                }
            }
            Self::Picture { content, .. } => content.extend_from_slice(&bytes),
            Self::Meta(_) | Self::Skipped => {}
        }
        Ok(())
    }

    /// Its last octet is in, at `at`. One that was skipped gives nothing.
    ///
    /// # Errors
    /// When the part is no whole object.
    pub(super) fn end(self, at: SystemTime, show_phi: bool) -> Result<Vec<Taken>, BadPart> {
        match self {
            Self::Meta(reader) => Err(reader.end().into()),
            Self::Skipped => Ok(Vec::new()),
            Self::DataSet { mut assembler, mut instances } => {
                poll(&mut assembler, &mut instances, true)?;
                Ok(instances.iter().map(|instance| Taken::of(instance, at, show_phi)).collect())
            }
            Self::Picture { location, content } => {
                let named = location.as_deref().and_then(names).ok_or(BadPart::Location)?;
                Ok(vec![Taken::picture(named, content.freeze())])
            }
        }
    }
}

impl Taken {
    fn of(instance: &Instance, at: SystemTime, show_phi: bool) -> Self {
        let arrival = Arrival::of(instance, at, show_phi);
        let saved = Saved::of(&arrival, "dcm", instance.part10().into());
        Self { arrival, saved }
    }

    fn picture([study, series, instance]: [Uid; 3], content: Bytes) -> Self {
        let arrival = Arrival {
            study,
            series,
            instance,
            number: None,
            bytes: content.len(),
            latency: None,
            facts: Facts::default(),
        };
        let saved = Saved::of(&arrival, "jpg", vec![content]);
        Self { arrival, saved }
    }
}

fn poll(assembler: &mut Assembler, instances: &mut Vec<Instance>, ended: bool) -> Result<(), AssembleError> {
    while let Some(event) = assembler.poll(ended)? {
        if let Event::Instance(instance) = event {
            instances.push(instance);
        }
    }
    Ok(())
}

/// The bounds that the gateway itself has.
fn limits() -> Limits {
    let DimseLimits { head_bytes, elements, nesting, frame_bytes, frames, .. } = DimseLimits::default();
    Limits { head: HeadLimits { bytes: head_bytes, elements, nesting }, frame_bytes, frames }
}

/// Study, Series and SOP Instance UID of a URL of an instance, or of something of one.
fn names(location: &str) -> Option<[Uid; 3]> {
    let mut steps = location.split('/');
    let mut after = |what: &str| {
        steps.by_ref().find(|step| *step == what)?;
        steps.next().filter(|uid| is_plausible(uid)).map(Uid::from)
    };
    Some([after("studies")?, after("series")?, after("instances")?])
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, PrimitiveValue, VR, dicom_value};
    use dicom_dictionary_std::{tags, uids};
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::instance::Dataset;

    fn instance() -> Instance {
        let text = |tag, value: &str| DataElement::new(tag, VR::UI, PrimitiveValue::from(value));
        let us = |tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
        let dataset = Dataset::from_element_iter([
            text(tags::SOP_CLASS_UID, uids::SECONDARY_CAPTURE_IMAGE_STORAGE),
            text(tags::SOP_INSTANCE_UID, "1.2.3.4"),
            text(tags::STUDY_INSTANCE_UID, "1.2"),
            text(tags::SERIES_INSTANCE_UID, "1.2.3"),
            DataElement::new(tags::INSTANCE_NUMBER, VR::IS, PrimitiveValue::from("7")),
            us(tags::ROWS, 2),
            us(tags::COLUMNS, 2),
            us(tags::BITS_ALLOCATED, 8),
        ]);
        Instance::native(&dataset, Bytes::from_static(&[1, 2, 3, 4])).unwrap()
    }

    fn head(content_type: &'static str, location: Option<&'static str>) -> PartHead {
        PartHead {
            content_type: HeaderValue::from_static(content_type),
            content_length: None,
            content_location: location.map(HeaderValue::from_static),
        }
    }

    fn taken(head: &PartHead, bytes: &[u8], step: usize) -> Result<Vec<Taken>, BadPart> {
        let mut object = Object::begin(head);
        for piece in bytes.chunks(step) {
            object.feed(Bytes::copy_from_slice(piece))?;
        }
        object.end(SystemTime::now(), false)
    }

    #[test]
    fn a_file_becomes_the_instance_that_it_was_however_it_is_cut() {
        let bytes = instance().part10().concat();
        for step in [1, 7, 132, 400, bytes.len()] {
            let taken = taken(&head("application/dicom", None), &bytes, step).unwrap();
            let [one] = &taken[..] else { panic!("{}", taken.len()) };
            assert_eq!((&*one.arrival.series, one.arrival.number), ("1.2.3", Some(7)));
            assert_eq!(one.arrival.facts.rows, Some(2));
            assert_eq!(one.saved.content.concat(), bytes, "saved as it came");
        }
    }

    #[test]
    fn a_picture_is_known_by_its_location() {
        let url = "https://gate/dicomweb/studies/1.2/series/1.2.3/instances/1.2.3.4/rendered";
        let taken = taken(&head("image/jpeg", Some(url)), b"picture", 3).unwrap();
        assert_eq!((&*taken[0].arrival.instance, taken[0].saved.extension), ("1.2.3.4", "jpg"));
        assert!(Object::begin(&head("image/jpeg", None)).end(SystemTime::now(), false).is_err());
        assert_eq!(names("/studies/1.2/series/../instances/1"), None);
    }

    #[test]
    fn what_is_broken_is_skipped_to_its_end() {
        let mut object = Object::begin(&head("application/dicom", None));
        assert!(object.feed(Bytes::from(vec![0; 200])).is_err());
        assert!(object.feed(Bytes::from(vec![0; 200])).is_ok());
        assert!(object.end(SystemTime::now(), false).unwrap().is_empty());
        let bytes = instance().part10().concat();
        assert!(taken(&head("application/dicom", None), &bytes[..bytes.len() - 2], 64).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_parts_never_panic(keep in 0usize..500, noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = instance().part10().concat();
            bytes.truncate(keep);
            bytes.extend(noise);
            let _ = taken(&head("application/dicom", None), &bytes, 50);
        }
    }
}
