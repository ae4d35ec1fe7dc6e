//! Where the few values stand that say which instance a data set is of: noted while walking, read
//! when they are needed.

use std::ops::Range;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Offsets of the values that identify an instance.
#[derive(Debug, Clone, Default)]
pub struct Found {
    sop_class: Option<Range<usize>>,
    sop_instance: Option<Range<usize>>,
    study: Option<Range<usize>>,
    series: Option<Range<usize>>,
    instance_number: Option<Range<usize>>,
    number_of_frames: Option<Range<usize>>,
}

/// Which of the identifying values to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// SOP Class UID (0008,0016).
    SopClass,
    /// SOP Instance UID (0008,0018).
    SopInstance,
    /// Study Instance UID (0020,000D).
    Study,
    /// Series Instance UID (0020,000E).
    Series,
    /// Instance Number (0020,0013).
    InstanceNumber,
    /// Number of Frames (0028,0008).
    NumberOfFrames,
}

impl Found {
    pub(super) fn slot(&mut self, tag: Tag) -> Option<&mut Option<Range<usize>>> {
        match tag {
            tags::SOP_CLASS_UID => Some(&mut self.sop_class),
            tags::SOP_INSTANCE_UID => Some(&mut self.sop_instance),
            tags::STUDY_INSTANCE_UID => Some(&mut self.study),
            tags::SERIES_INSTANCE_UID => Some(&mut self.series),
            tags::INSTANCE_NUMBER => Some(&mut self.instance_number),
            tags::NUMBER_OF_FRAMES => Some(&mut self.number_of_frames),
            _ => None,
        }
    }

    /// The value as text without its padding; `None` where it is absent, empty or not ASCII.
    pub fn text<'a>(&self, key: Key, dataset: &'a [u8]) -> Option<&'a str> {
        let range = match key {
            Key::SopClass => &self.sop_class,
            Key::SopInstance => &self.sop_instance,
            Key::Study => &self.study,
            Key::Series => &self.series,
            Key::InstanceNumber => &self.instance_number,
            Key::NumberOfFrames => &self.number_of_frames,
        };
        let bytes = dataset.get(range.clone()?)?;
        let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\0', ' ']);
        (!text.is_empty() && text.is_ascii()).then_some(text)
    }
}
