//! The Image Pixel module (PS3.3 §C.7.6.3) of somebody else's object, checked.
//!
//! Whoever decodes trusts these numbers: buffers are sized by them. So they are read in one place, and
//! a contradiction among them is an error here instead of a surprise there.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

/// What is wrong with an Image Pixel module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImagePixelError {
    /// The attribute is absent, empty or not of its VR.
    #[error("{0} is missing or unreadable")]
    Missing(&'static str),
    /// The value is none that the standard allows, or contradicts another.
    #[error("{0} has a value that fits no image")]
    Invalid(&'static str),
}

/// The Image Pixel module without the pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ImagePixel {
    /// Pixels.
    pub(super) rows: usize,
    /// Pixels.
    pub(super) columns: usize,
    /// 1 or 3.
    pub(super) samples: usize,
    /// 1, 8, 16 or 32.
    pub(super) bits_allocated: u32,
    /// At most `bits_allocated`.
    pub(super) bits_stored: u32,
    /// At least `bits_stored` − 1, less than `bits_allocated`.
    pub(super) high_bit: u32,
    /// Pixel Representation 1: two's complement.
    pub(super) signed: bool,
    /// Photometric Interpretation as it stands.
    pub(super) photometric: String,
    /// Planar Configuration 1: plane by plane.
    pub(super) planar: bool,
}

impl ImagePixel {
    /// Reads the module.
    pub(super) fn of(dataset: &InMemDicomObject) -> Result<Self, ImagePixelError> {
        let bits_allocated = required(dataset, tags::BITS_ALLOCATED, "Bits Allocated")?;
        let bits_stored = required(dataset, tags::BITS_STORED, "Bits Stored")?;
        let high_bit = required(dataset, tags::HIGH_BIT, "High Bit")?;
        let samples = required(dataset, tags::SAMPLES_PER_PIXEL, "Samples per Pixel")?;
        let rows = required(dataset, tags::ROWS, "Rows")?;
        let columns = required(dataset, tags::COLUMNS, "Columns")?;
        let invalid = [
            ("Bits Allocated", !matches!(bits_allocated, 1 | 8 | 16 | 32)),
            ("Bits Stored", bits_stored == 0 || bits_stored > bits_allocated),
            ("High Bit", high_bit >= bits_allocated || high_bit + 1 < bits_stored),
            ("Samples per Pixel", !matches!(samples, 1 | 3)),
            ("Rows", rows == 0),
            ("Columns", columns == 0),
        ];
        if let Some((name, _)) = invalid.into_iter().find(|(_, invalid)| *invalid) {
            return Err(ImagePixelError::Invalid(name));
        }
        let photometric = dataset
            .get(tags::PHOTOMETRIC_INTERPRETATION)
            .and_then(|element| element.to_str().ok())
            .map(|value| value.trim_matches(['\0', ' ']).to_owned())
            .filter(|value| !value.is_empty())
            .ok_or(ImagePixelError::Missing("Photometric Interpretation"))?;
        Ok(Self {
            rows: rows as usize,
            columns: columns as usize,
            samples: samples as usize,
            bits_allocated,
            bits_stored,
            high_bit,
            signed: number(dataset, tags::PIXEL_REPRESENTATION) == Some(1),
            photometric,
            planar: number(dataset, tags::PLANAR_CONFIGURATION) == Some(1),
        })
    }

    /// Bytes of one sample; 1-bit samples share one.
    pub(super) fn sample_bytes(&self) -> usize {
        self.bits_allocated.div_ceil(8) as usize
    }

    /// Pixels of the frame.
    pub(super) fn pixels(&self) -> usize {
        self.rows * self.columns
    }

    /// Bytes of the frame when native, without the padding of an odd length. At most 48 GiB, which a
    /// `usize` of 64 bits holds; a smaller one saturates, which is above any limit.
    pub(super) fn frame_bytes(&self) -> usize {
        let pixels = self.rows.saturating_mul(self.columns);
        if self.bits_allocated == 1 {
            pixels.saturating_mul(self.samples).div_ceil(8)
        } else {
            pixels.saturating_mul(self.samples * self.sample_bytes())
        }
    }
}

fn number(dataset: &InMemDicomObject, tag: Tag) -> Option<u32> {
    dataset.get(tag).and_then(|element| element.to_int::<u32>().ok())
}

fn required(dataset: &InMemDicomObject, tag: Tag, name: &'static str) -> Result<u32, ImagePixelError> {
    number(dataset, tag).ok_or(ImagePixelError::Missing(name))
}
