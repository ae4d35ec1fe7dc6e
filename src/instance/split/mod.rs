//! Splitting of a multi-frame object: the data set of every single-frame SOP Instance, without Pixel Data.
//!
//! A modality sends a run as one object with many frames. While its pixels still arrive, every frame
//! becomes an instance of its own. Reading the bytes and finding frame borders is the source's work,
//! encoding is the writer's; here stands what the frame's data set says. [`Splitter::new`] takes the head
//! of the object (all that comes before Pixel Data), works out once what all frames share, and
//! [`Splitter::frame`] adds what is true of one frame:
//!
//! ```text
//! source ─► classes    which SOP Class the frames get
//!        ─► run        what speaks of the whole run, and goes
//!        ─► vectors    one value per frame            ┐
//!        ─► motion     positioner, table, dose plane  │ taken out once,
//!        ─► time       when the frame was acquired    │ put back per frame
//!        ─► overlay    the frame's overlay plane      │
//!        ─► fold       the frame's functional groups  ┘ (classic: in the words of a classic image)
//! ```
//!
//! Study and Series stay. Each frame has a new SOP Instance UID, always the same for the same source and
//! frame. Image Type and the derivation attributes stay as they are and no Derivation Description is
//! added: a frame that was only cut out is not a derived image. Its Source Image Sequence names the source
//! and the frame, behind the items that were there, which still hold. That item has no Purpose of
//! Reference, which is optional (PS3.3 C.12.4): the usual code, "source image for image processing
//! operation", would say too much. Attributes of the enhanced object that the classic image does not know
//! stay (PS3.2 7.3, Standard Extended SOP Class).

mod classes;
mod classic;
mod fold;
mod motion;
mod overlay;
mod run;
mod time;
mod values;
mod vectors;

use std::fmt;

use dicom_core::header::Header as _;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;

use self::classes::{Family, Target};
use self::motion::Motion;
use self::overlay::Overlay;
use self::time::Clock;
use self::values::{append_items, sequence, take_items, text};
use self::vectors::Vectors;
use super::{Dataset, uid};

/// Why an object cannot be split. Names attributes, never their values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// An attribute without which no frame can be made is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An attribute that decides over the frames has no valid value.
    #[error("{0} has no valid value")]
    Invalid(&'static str),
    /// The Per-Frame Functional Groups Sequence does not have one item per frame (PS3.3 C.7.6.16).
    #[error("PerFrameFunctionalGroupsSequence has {found} items for {expected} frames")]
    FunctionalGroups {
        /// Number of Frames.
        expected: u32,
        /// Items that are there.
        found: usize,
    },
    /// The place of the frames follows from their number alone, as in a TILED_FULL slide image: one of
    /// them cannot stand for itself.
    #[error("frames described by {0} cannot stand alone")]
    NotSeparable(&'static str),
    /// The object has no such frame.
    #[error("frame {frame} asked for, the object has {frames}")]
    NoSuchFrame {
        /// The frame asked for, 1-based.
        frame: u32,
        /// Number of Frames.
        frames: u32,
    },
}

/// Makes the data sets of the single-frame instances of one multi-frame object.
pub struct Splitter {
    frames: u32,
    sop_class: String,
    /// `Some` when the frames are classic single-frame images.
    family: Option<Family>,
    /// The SOP Instance UID of the multi-frame object.
    origin: String,
    /// What all frames share.
    base: Dataset,
    /// The functional groups of each frame; empty for an object without.
    groups: Vec<Dataset>,
    vectors: Vectors,
    motion: Motion,
    clock: Option<Clock>,
    overlays: Vec<Overlay>,
    /// The Source Image Sequence item, without the frame number.
    reference: Dataset,
}

/// One single-frame instance, as far as its data set goes.
#[derive(Clone)]
pub struct Frame {
    /// All attributes but Pixel Data.
    pub dataset: Dataset,
    /// Its SOP Instance UID, as in `dataset`.
    pub sop_instance_uid: String,
}

impl Splitter {
    /// Prepares to split `source`: the data set of a multi-frame object up to Pixel Data (which is
    /// ignored, should it be there), decoded from any transfer syntax.
    ///
    /// # Errors
    /// When an identifier is missing or implausible, Number of Frames is no positive number, the
    /// functional groups do not fit the frames, or an attribute that must be cut per frame cannot be.
    pub fn new(mut source: Dataset) -> Result<Splitter, SplitError> {
        let frames = number_of_frames(&source)?;
        let source_class = required_uid(&source, tags::SOP_CLASS_UID, "SOPClassUID")?;
        let origin = required_uid(&source, tags::SOP_INSTANCE_UID, "SOPInstanceUID")?;
        required_uid(&source, tags::STUDY_INSTANCE_UID, "StudyInstanceUID")?;
        required_uid(&source, tags::SERIES_INSTANCE_UID, "SeriesInstanceUID")?;

        let (sop_class, family) = match classes::target(&source_class) {
            Target::Classic(class, family) => (class.to_owned(), Some(family)),
            Target::Same => (source_class.clone(), None),
        };
        let groups = take_groups(&mut source, &source_class, frames)?;
        let shared = take_shared(&mut source)?;
        let clock = Clock::take(&mut source, frames);
        let vectors = Vectors::take(&mut source, frames, family.is_some())?;
        let motion = Motion::take(&mut source, frames)?;
        let overlays = overlay::take(&mut source)?;

        let mut base = source;
        base.retain(|element| !run::belongs_to_run(element.tag(), family.is_some()));
        base.put(DataElement::new(tags::SOP_CLASS_UID, VR::UI, sop_class.as_str()));
        if let Some(family) = family {
            if matches!(family, Family::Xa | Family::Xrf) {
                // Of the cine module, which an X-ray image has only when it is multi-frame (C.8.7.1).
                base.remove_element(tags::FRAME_TIME);
            }
            let mut sources = Vec::new();
            if let Some(shared) = shared {
                fold::fold(&mut base, &shared, family, &mut sources);
            }
            if !sources.is_empty() {
                append_items(&mut base, tags::SOURCE_IMAGE_SEQUENCE, sources);
            }
            classic::add_names(&mut base, family);
            classes::add_missing_type_2(&mut base, family);
        } else {
            base.put(DataElement::new(tags::NUMBER_OF_FRAMES, VR::IS, "1"));
            if let Some(shared) = shared {
                base.put(sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared]));
            }
        }
        let reference = Dataset::from_element_iter([
            DataElement::new(tags::REFERENCED_SOP_CLASS_UID, VR::UI, source_class),
            DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, origin.as_str()),
            DataElement::new(tags::SPATIAL_LOCATIONS_PRESERVED, VR::CS, "YES"),
        ]);
        Ok(Splitter {
            frames,
            sop_class,
            family,
            origin,
            base,
            groups,
            vectors,
            motion,
            clock,
            overlays,
            reference,
        })
    }

    /// Number of Frames of the source, at least 1.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// SOP Class UID of the single-frame instances.
    pub fn sop_class(&self) -> &str {
        &self.sop_class
    }

    /// The data set of one frame (1-based), with `instance_number` as its Instance Number.
    ///
    /// # Errors
    /// When the object has no such frame.
    pub fn frame(&self, frame: u32, instance_number: i32) -> Result<Frame, SplitError> {
        if frame == 0 || frame > self.frames {
            return Err(SplitError::NoSuchFrame { frame, frames: self.frames });
        }
        let index = frame as usize - 1;
        let mut dataset = self.base.clone();
        self.vectors.put(&mut dataset, index);
        self.motion.put(&mut dataset, index);
        if let Some(clock) = &self.clock {
            clock.put(&mut dataset, index);
        }
        for overlay in &self.overlays {
            overlay.put(&mut dataset, index);
        }

        let mut sources = Vec::new();
        match (self.groups.get(index), self.family) {
            (Some(groups), Some(family)) => fold::fold(&mut dataset, groups, family, &mut sources),
            (Some(groups), None) => {
                dataset.put(sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, vec![groups.clone()]));
            }
            (None, _) => {}
        }
        if let Some(family) = self.family {
            time::from_frame_content(&mut dataset);
            classic::complete(&mut dataset, family);
        }
        let mut reference = self.reference.clone();
        reference.put(DataElement::new(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string()));
        sources.push(reference);
        append_items(&mut dataset, tags::SOURCE_IMAGE_SEQUENCE, sources);

        let sop_instance_uid = uid::of_frame(&self.origin, frame);
        dataset.put(DataElement::new(tags::SOP_INSTANCE_UID, VR::UI, sop_instance_uid.as_str()));
        dataset.put(DataElement::new(tags::INSTANCE_NUMBER, VR::IS, instance_number.to_string()));
        Ok(Frame { dataset, sop_instance_uid })
    }
}

// A data set names a patient; neither may reach a log by way of `{:?}`.
impl fmt::Debug for Splitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splitter")
            .field("frames", &self.frames)
            .field("sop_class", &self.sop_class)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("sop_instance_uid", &self.sop_instance_uid).finish_non_exhaustive()
    }
}

/// Number of Frames (0028,0008) of an object; 1 when it is absent or empty, as in any single-frame image.
/// More than 1 means that the object must be split.
///
/// # Errors
/// [`SplitError::Invalid`] when the value is anything but one positive integer.
pub fn number_of_frames(source: &Dataset) -> Result<u32, SplitError> {
    const INVALID: SplitError = SplitError::Invalid("NumberOfFrames");
    let Some(element) = source.get(tags::NUMBER_OF_FRAMES) else { return Ok(1) };
    if element.value().primitive().is_none() {
        return Err(INVALID);
    }
    let Some(text) = text(source, tags::NUMBER_OF_FRAMES) else { return Ok(1) };
    // IS is a 32 bit signed integer (PS3.5 6.2).
    match text.parse::<i32>() {
        Ok(frames @ 1..) => Ok(frames.unsigned_abs()),
        _ => Err(INVALID),
    }
}

fn required_uid(source: &Dataset, tag: Tag, keyword: &'static str) -> Result<String, SplitError> {
    let value = text(source, tag).ok_or(SplitError::Missing(keyword))?;
    if uid::is_plausible(&value) { Ok(value) } else { Err(SplitError::Invalid(keyword)) }
}

/// Takes the Per-Frame Functional Groups Sequence, one item per frame, out of `source`.
fn take_groups(source: &mut Dataset, sop_class: &str, frames: u32) -> Result<Vec<Dataset>, SplitError> {
    const NAME: &str = "PerFrameFunctionalGroupsSequence";
    match take_items(source, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE) {
        Some(Ok(items)) if items.len() == frames as usize => Ok(items),
        Some(Ok(items)) => Err(SplitError::FunctionalGroups { expected: frames, found: items.len() }),
        Some(Err(())) => Err(SplitError::Invalid(NAME)),
        None if classes::needs_functional_groups(sop_class) => Err(SplitError::Missing(NAME)),
        None if text(source, tags::DIMENSION_ORGANIZATION_TYPE).is_some_and(|kind| kind == "TILED_FULL") => {
            Err(SplitError::NotSeparable("DimensionOrganizationType"))
        }
        None => Ok(Vec::new()),
    }
}

/// Takes the item of the Shared Functional Groups Sequence out of `source`.
fn take_shared(source: &mut Dataset) -> Result<Option<Dataset>, SplitError> {
    match take_items(source, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE) {
        Some(Ok(items)) if items.len() <= 1 => Ok(items.into_iter().next()),
        Some(_) => Err(SplitError::Invalid("SharedFunctionalGroupsSequence")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests;
