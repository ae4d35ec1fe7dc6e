//! Where positioner, table and dose plane stood for one frame of a classic multi-frame object.
//!
//! The classic XA object gives the angles of the first frame and one offset from them per frame (PS3.3
//! C.8.7.5.1.3); an increment of a single value is the average change from frame to frame. A single-frame
//! image has the sum as its angle, no increment, and Positioner Motion STATIC (C.8.7.5.1.1). Where the
//! positioner moved and the source does not say how, the angle is empty: unknown, not the one of frame 1.
//! Table increments have no absolute attribute to be added to and stay as the frame's offset. An RT Dose
//! plane moves along the normal (C.8.8.3.2).

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::values::{decimal, multiplicity, number, numbers, text};
use super::{Dataset, SplitError};

/// One offset per frame, or the same step from frame to frame.
#[derive(Debug, Clone)]
enum Offsets {
    Each(Vec<f64>),
    Step(f64),
}

impl Offsets {
    /// Takes the increments `tag` out of `data`: `None` when they are absent, empty or of no valid form.
    fn take(data: &mut Dataset, tag: Tag, frames: u32) -> Option<Offsets> {
        let list = numbers(data, tag);
        data.remove_element(tag);
        match list?.as_slice() {
            each if each.len() == frames as usize => Some(Offsets::Each(each.to_vec())),
            [step] => Some(Offsets::Step(*step)),
            _ => None,
        }
    }

    fn at(&self, index: usize) -> Option<f64> {
        match self {
            Offsets::Each(each) => each.get(index).copied(),
            Offsets::Step(step) => Some(step * index as f64),
        }
    }
}

/// An angle of the positioner, as it changes over the run.
#[derive(Debug)]
struct Angle {
    tag: Tag,
    start: f64,
    offsets: Option<Offsets>,
    /// Whether the angle runs over a full turn (PositionerPrimaryAngle: −180…180).
    wraps: bool,
}

/// The Grid Frame Offset Vector of an RT Dose.
#[derive(Debug)]
struct Grid {
    position: [f64; 3],
    normal: [f64; 3],
    offsets: Vec<f64>,
}

/// All movements of one source.
#[derive(Debug)]
pub(super) struct Motion {
    angles: Vec<Angle>,
    table: Vec<(Tag, Offsets)>,
    grid: Option<Grid>,
}

impl Motion {
    /// Takes the increments out of `data` and sets its motions to STATIC.
    pub(super) fn take(data: &mut Dataset, frames: u32) -> Result<Motion, SplitError> {
        let moves = text(data, tags::POSITIONER_MOTION).is_some_and(|motion| motion == "DYNAMIC");
        let mut angles = Vec::new();
        for (tag, increment, wraps) in [
            (tags::POSITIONER_PRIMARY_ANGLE, tags::POSITIONER_PRIMARY_ANGLE_INCREMENT, true),
            (tags::POSITIONER_SECONDARY_ANGLE, tags::POSITIONER_SECONDARY_ANGLE_INCREMENT, false),
        ] {
            let given = data.get(increment).is_some_and(|element| multiplicity(element) > 0);
            let offsets = Offsets::take(data, increment, frames);
            if let Some(start) = number(data, tag)
                && (moves || given)
            {
                angles.push(Angle { tag, start, offsets, wraps });
            }
        }
        let mut table = Vec::new();
        for tag in [
            tags::TABLE_VERTICAL_INCREMENT,
            tags::TABLE_LATERAL_INCREMENT,
            tags::TABLE_LONGITUDINAL_INCREMENT,
        ] {
            if let Some(offsets) = Offsets::take(data, tag, frames) {
                table.push((tag, offsets));
            }
        }
        for tag in [tags::POSITIONER_MOTION, tags::TABLE_MOTION] {
            if text(data, tag).is_some() {
                data.put(DataElement::new(tag, VR::CS, "STATIC"));
            }
        }
        let grid = Grid::take(data, frames)?;
        Ok(Motion { angles, table, grid })
    }

    /// Puts the position of frame `index` (0-based) into `data`.
    pub(super) fn put(&self, data: &mut Dataset, index: usize) {
        for angle in &self.angles {
            // The start is the angle of frame 1, whatever is known of the others.
            let offset =
                angle.offsets.as_ref().map_or((index == 0).then_some(0.0), |offsets| offsets.at(index));
            data.put(match offset {
                Some(offset) => DataElement::new(angle.tag, VR::DS, decimal(angle.at(offset))),
                None => DataElement::new(angle.tag, VR::DS, PrimitiveValue::Empty),
            });
        }
        for (tag, offsets) in &self.table {
            if let Some(offset) = offsets.at(index) {
                data.put(DataElement::new(*tag, VR::DS, decimal(offset)));
            }
        }
        if let Some(grid) = &self.grid {
            grid.put(data, index);
        }
    }
}

impl Angle {
    fn at(&self, offset: f64) -> f64 {
        let sum = self.start + offset;
        // A sum beyond one turn is no angle any more and is left to show itself.
        let over = self.wraps && sum.abs() > 180.0 && sum.abs() <= 360.0;
        if over { sum - 360_f64.copysign(sum) } else { sum }
    }
}

impl Grid {
    fn take(data: &mut Dataset, frames: u32) -> Result<Option<Grid>, SplitError> {
        let is_dose = text(data, tags::SOP_CLASS_UID).is_some_and(|class| class == uids::RT_DOSE_STORAGE);
        if !is_dose || data.get(tags::GRID_FRAME_OFFSET_VECTOR).is_none() {
            return Ok(None);
        }
        // A dose in the wrong plane is worse than none, so nothing is guessed here.
        let offsets = numbers(data, tags::GRID_FRAME_OFFSET_VECTOR)
            .filter(|offsets| offsets.len() == frames as usize)
            .ok_or(SplitError::Invalid("GridFrameOffsetVector"))?;
        let Some([x, y, z]) =
            numbers(data, tags::IMAGE_POSITION_PATIENT).and_then(|v| <[f64; 3]>::try_from(v).ok())
        else {
            return Err(SplitError::Invalid("ImagePositionPatient"));
        };
        let Some([rx, ry, rz, cx, cy, cz]) =
            numbers(data, tags::IMAGE_ORIENTATION_PATIENT).and_then(|v| <[f64; 6]>::try_from(v).ok())
        else {
            return Err(SplitError::Invalid("ImageOrientationPatient"));
        };
        let normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx];
        Ok(Some(Grid { position: [x, y, z], normal, offsets }))
    }

    fn put(&self, data: &mut Dataset, index: usize) {
        let (Some(first), Some(own)) = (self.offsets.first(), self.offsets.get(index)) else { return };
        let [x, y, z] = self.position;
        let [nx, ny, nz] = self.normal;
        let by = own - first;
        let position = [x + nx * by, y + ny * by, z + nz * by].map(decimal);
        // Offsets that start at 0 are relative to the first plane, others are absolute.
        let offset = if *first == 0.0 { 0.0 } else { *own };
        data.put(DataElement::new(
            tags::IMAGE_POSITION_PATIENT,
            VR::DS,
            PrimitiveValue::Strs(position.into_iter().collect()),
        ));
        data.put(DataElement::new(tags::GRID_FRAME_OFFSET_VECTOR, VR::DS, decimal(offset)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(increments: &[&str]) -> Dataset {
        let mut data = Dataset::new_empty();
        data.put_str(tags::POSITIONER_MOTION, VR::CS, "DYNAMIC");
        data.put_str(tags::POSITIONER_PRIMARY_ANGLE, VR::DS, "170");
        data.put_str(tags::POSITIONER_PRIMARY_ANGLE_INCREMENT, VR::DS, increments.join("\\"));
        data
    }

    fn angle_of(mut data: Dataset, index: usize) -> String {
        let motion = Motion::take(&mut data, 3).unwrap();
        motion.put(&mut data, index);
        assert!(data.get(tags::POSITIONER_PRIMARY_ANGLE_INCREMENT).is_none());
        assert_eq!(data.get(tags::POSITIONER_MOTION).unwrap().to_str().unwrap(), "STATIC");
        data.get(tags::POSITIONER_PRIMARY_ANGLE).unwrap().to_str().unwrap().into_owned()
    }

    #[test]
    fn offsets_are_added_to_the_first_angle() {
        assert_eq!(angle_of(rotation(&["0", "5.5", "20"]), 1), "175.5");
        assert_eq!(angle_of(rotation(&["0", "5.5", "20"]), 2), "-170");
    }

    #[test]
    fn one_increment_is_a_step_per_frame() {
        assert_eq!(angle_of(rotation(&["2"]), 2), "174");
    }

    #[test]
    fn an_unknown_angle_is_empty_but_for_the_first_frame() {
        assert_eq!(angle_of(rotation(&["0", "5"]), 0), "170");
        assert_eq!(angle_of(rotation(&["0", "5"]), 1), "");
        assert_eq!(angle_of(rotation(&[""]), 1), "");
    }

    #[test]
    fn a_table_offset_stays_the_frames_own() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::TABLE_LONGITUDINAL_INCREMENT, VR::DS, "0\\-10\\-20");
        let motion = Motion::take(&mut data, 3).unwrap();
        motion.put(&mut data, 1);
        assert_eq!(data.get(tags::TABLE_LONGITUDINAL_INCREMENT).unwrap().to_str().unwrap(), "-10");
    }

    #[test]
    fn a_dose_plane_moves_along_the_normal() {
        let mut data = Dataset::new_empty();
        data.put_str(tags::SOP_CLASS_UID, VR::UI, uids::RT_DOSE_STORAGE);
        data.put_str(tags::IMAGE_POSITION_PATIENT, VR::DS, "1\\2\\3");
        data.put_str(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, "1\\0\\0\\0\\1\\0");
        data.put_str(tags::GRID_FRAME_OFFSET_VECTOR, VR::DS, "0\\2.5\\5");
        let motion = Motion::take(&mut data, 3).unwrap();
        motion.put(&mut data, 2);
        assert_eq!(data.get(tags::IMAGE_POSITION_PATIENT).unwrap().to_str().unwrap(), "1\\2\\8");
        assert_eq!(data.get(tags::GRID_FRAME_OFFSET_VECTOR).unwrap().to_str().unwrap(), "0");
        data.put_str(tags::GRID_FRAME_OFFSET_VECTOR, VR::DS, "0\\2.5");
        assert!(Motion::take(&mut data, 3).is_err());
    }
}
