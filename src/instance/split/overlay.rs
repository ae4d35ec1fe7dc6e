//! The overlay planes (groups 60xx, PS3.3 C.9.2) of one frame.
//!
//! An overlay belongs to the frames from Image Frame Origin on, as many as Number of Frames in Overlay
//! says; one that gives neither lies over every frame and stays as it is. Planes are packed bit after bit,
//! so the plane of a frame seldom starts on a byte. A frame outside gets no overlay group at all.

use dicom_core::header::Header as _;
use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_object::mem::InMemElement;

use super::SplitError;
use super::values::{number, text};
use crate::instance::Dataset;

const ROWS: u16 = 0x0010;
const COLUMNS: u16 = 0x0011;
const NUMBER_OF_FRAMES_IN_OVERLAY: u16 = 0x0015;
const IMAGE_FRAME_ORIGIN: u16 = 0x0051;
const OVERLAY_DATA: u16 = 0x3000;

/// One overlay group that is not the same for all frames.
pub(super) struct Overlay {
    /// First frame with a plane, 0-based.
    first: usize,
    /// Bits of one plane.
    plane_bits: usize,
    /// Planes back to back, least significant bit first.
    bits: Vec<u8>,
    planes: usize,
    data_tag: Tag,
    data_vr: VR,
    /// The rest of the group.
    description: Vec<InMemElement>,
}

/// Takes the overlay groups that differ from frame to frame out of `data`.
pub(super) fn take(data: &mut Dataset) -> Result<Vec<Overlay>, SplitError> {
    let mut overlays = Vec::new();
    for group in (0x6000..=0x60FE).step_by(2) {
        let has = |element: u16| text(data, Tag(group, element)).is_some();
        let of_some_frames = has(NUMBER_OF_FRAMES_IN_OVERLAY) || has(IMAGE_FRAME_ORIGIN);
        // Retired overlays embedded in the pixel data (PS3.5 8.1.2) come with their frame anyway.
        if of_some_frames && data.get(Tag(group, OVERLAY_DATA)).is_some() {
            overlays.push(Overlay::take(data, group)?);
        }
    }
    Ok(overlays)
}

impl Overlay {
    fn take(data: &mut Dataset, group: u16) -> Result<Overlay, SplitError> {
        let whole = |element: u16, keyword: &'static str, default: Option<f64>| {
            let tag = Tag(group, element);
            let given = if text(data, tag).is_some() { number(data, tag) } else { default };
            given
                .filter(|n| n.fract() == 0.0 && *n >= 1.0 && *n <= f64::from(i32::MAX))
                .map(|n| n as usize)
                .ok_or(SplitError::Invalid(keyword))
        };
        let rows = whole(ROWS, "OverlayRows", None)?;
        let columns = whole(COLUMNS, "OverlayColumns", None)?;
        let planes = whole(NUMBER_OF_FRAMES_IN_OVERLAY, "NumberOfFramesInOverlay", Some(1.0))?;
        let first = whole(IMAGE_FRAME_ORIGIN, "ImageFrameOrigin", Some(1.0))? - 1;

        let invalid = SplitError::Invalid("OverlayData");
        let data_tag = Tag(group, OVERLAY_DATA);
        let element = data.take(data_tag).ok_or(SplitError::Missing("OverlayData"))?;
        let data_vr = element.vr();
        let bits = match element.into_value().into_primitive() {
            Some(PrimitiveValue::U8(bytes)) => bytes.into_vec(),
            Some(PrimitiveValue::U16(words)) => words.iter().flat_map(|word| word.to_le_bytes()).collect(),
            _ => return Err(invalid),
        };
        let plane_bits = rows.checked_mul(columns).ok_or(SplitError::Invalid("OverlayRows"))?;
        if plane_bits.checked_mul(planes).is_none_or(|needed| needed.div_ceil(8) > bits.len()) {
            return Err(invalid);
        }

        let described: Vec<Tag> = data.tags().filter(|tag| tag.group() == group).collect();
        let description = described
            .into_iter()
            .filter_map(|tag| data.take(tag))
            .filter(|element| {
                !matches!(element.tag().element(), 0 | NUMBER_OF_FRAMES_IN_OVERLAY | IMAGE_FRAME_ORIGIN)
            })
            .collect();
        Ok(Overlay { first, plane_bits, bits, planes, data_tag, data_vr, description })
    }

    /// Puts the overlay of frame `index` (0-based) into `data`, if the frame has one.
    pub(super) fn put(&self, data: &mut Dataset, index: usize) {
        let Some(plane) = index.checked_sub(self.first).filter(|plane| *plane < self.planes) else { return };
        let mut bytes = self.plane(plane);
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        let value = match self.data_vr {
            VR::OW => PrimitiveValue::U16(
                bytes
                    .chunks_exact(2)
                    .map(|pair| pair.iter().rev().fold(0, |word, b| word << 8 | u16::from(*b)))
                    .collect(),
            ),
            _ => PrimitiveValue::from(bytes),
        };
        for element in &self.description {
            data.put(element.clone());
        }
        data.put(DataElement::new(self.data_tag, self.data_vr, value));
    }

    /// The bits of one plane from bit 0 on; bits past the last pixel are 0.
    fn plane(&self, plane: usize) -> Vec<u8> {
        let start = plane * self.plane_bits;
        let (byte, shift) = (start / 8, start % 8);
        let length = self.plane_bits.div_ceil(8);
        let at = |position: usize| u16::from(self.bits.get(position).copied().unwrap_or(0));
        let mut out: Vec<u8> = (byte..byte + length)
            .map(|position| ((at(position) | at(position + 1) << 8) >> shift) as u8)
            .collect();
        let used = self.plane_bits % 8;
        if let (Some(last), 1..) = (out.last_mut(), used) {
            *last &= (1u8 << used) - 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three planes of 3 × 3 bits: plane n has bit n alone set.
    fn source() -> Dataset {
        let mut packed = [0u8; 4];
        for bit in [0, 9 + 1, 18 + 2] {
            packed[bit / 8] |= 1 << (bit % 8);
        }
        let mut data = Dataset::new_empty();
        data.put(DataElement::new(Tag(0x6002, ROWS), VR::US, PrimitiveValue::from(3u16)));
        data.put(DataElement::new(Tag(0x6002, COLUMNS), VR::US, PrimitiveValue::from(3u16)));
        data.put_str(Tag(0x6002, NUMBER_OF_FRAMES_IN_OVERLAY), VR::IS, "3");
        data.put(DataElement::new(Tag(0x6002, IMAGE_FRAME_ORIGIN), VR::US, PrimitiveValue::from(2u16)));
        let words: Vec<u16> = packed.chunks(2).map(|w| u16::from_le_bytes([w[0], w[1]])).collect();
        data.put(DataElement::new(Tag(0x6002, OVERLAY_DATA), VR::OW, PrimitiveValue::U16(words.into())));
        data
    }

    #[test]
    fn a_frame_gets_its_plane_alone() {
        let mut data = source();
        let overlays = take(&mut data).unwrap();
        assert_eq!(data.tags().count(), 0);
        for (frame, bit) in [(2, 0), (3, 1), (4, 2)] {
            let mut out = Dataset::new_empty();
            overlays[0].put(&mut out, frame - 1);
            let plane = out.get(Tag(0x6002, OVERLAY_DATA)).unwrap();
            assert_eq!((plane.vr(), plane.to_multi_int::<u16>().unwrap()), (VR::OW, vec![1 << bit]));
            assert!(out.get(Tag(0x6002, NUMBER_OF_FRAMES_IN_OVERLAY)).is_none());
            assert!(out.get(Tag(0x6002, ROWS)).is_some());
        }
    }

    #[test]
    fn frames_without_plane_have_no_group() {
        let mut data = source();
        let overlays = take(&mut data).unwrap();
        for index in [0, 4] {
            let mut out = Dataset::new_empty();
            overlays[0].put(&mut out, index);
            assert_eq!(out.tags().count(), 0);
        }
    }

    #[test]
    fn an_overlay_over_all_frames_stays() {
        let mut data = source();
        data.remove_element(Tag(0x6002, NUMBER_OF_FRAMES_IN_OVERLAY));
        data.remove_element(Tag(0x6002, IMAGE_FRAME_ORIGIN));
        assert!(take(&mut data).unwrap().is_empty());
        assert!(data.get(Tag(0x6002, OVERLAY_DATA)).is_some());
    }

    #[test]
    fn too_few_bits_are_refused() {
        let mut data = source();
        data.put_str(Tag(0x6002, NUMBER_OF_FRAMES_IN_OVERLAY), VR::IS, "4");
        assert_eq!(take(&mut data).err(), Some(SplitError::Invalid("OverlayData")));
        data = source();
        data.put_str(Tag(0x6002, NUMBER_OF_FRAMES_IN_OVERLAY), VR::IS, "-1");
        assert_eq!(take(&mut data).err(), Some(SplitError::Invalid("NumberOfFramesInOverlay")));
    }
}
