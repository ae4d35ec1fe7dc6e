//! Sequence numbers of the driver become Instance Numbers.
//!
//! The driver counts every frame that it saw, also those for which it had no buffer. So the distance of
//! two numbers says how many were lost between, and Instance Number rises by as many: a gap that every
//! reader can see. The numbers go round at 2³² and begin again when a stream does, which loses nothing
//! that anybody could count.

/// A jump beyond this is a driver that has begun to count anew, and not a loss (frames; over an hour).
const MOST_LOST: u32 = 1 << 18;

/// Counts frames, seen and lost.
#[derive(Debug)]
pub struct Gaps {
    /// Frames of the series so far, lost ones included.
    position: u32,
    last: Option<u32>,
    /// Frames that a buffer becomes: 2 where both its fields do.
    per_buffer: u32,
    /// The last number of the driver's, where two buffers, each with a field that becomes a frame, have one
    /// (`V4L2_FIELD_ALTERNATE`).
    fields: Option<Option<u32>>,
}

impl Default for Gaps {
    fn default() -> Self {
        Self { position: 0, last: None, per_buffer: 1, fields: None }
    }
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its Instance Number (0020,0013), from 1.
    pub number: i32,
    /// Frames that were lost since the one before.
    pub lost: u32,
}

impl Gaps {
    /// The place of the (first) frame of the buffer that the driver gave this number. `None` at the end of
    /// all numbers, or for a buffer that came before.
    pub fn place(&mut self, sequence: u32) -> Option<Place> {
        let lost = self.lost(sequence)?;
        self.rise(lost + 1).map(|number| Place { number, lost })
    }

    /// The place of the next frame of the same buffer. `None` at the end of all numbers.
    pub fn place_next(&mut self) -> Option<Place> {
        self.rise(1).map(|number| Place { number, lost: 0 })
    }

    /// A buffer that does not go out because nobody wants it: what was lost before it is a gap, and it is
    /// none. Returns how many frames were lost.
    pub fn pass_over(&mut self, sequence: u32) -> u32 {
        let lost = self.lost(sequence).unwrap_or_default();
        if self.position > 0 {
            self.rise(lost);
        }
        lost
    }

    /// Frames lost between the buffer before and this one. `None` for a buffer that came before.
    fn lost(&mut self, sequence: u32) -> Option<u32> {
        let sequence = match &mut self.fields {
            None => sequence,
            Some(last) => {
                let second = *last == Some(sequence);
                *last = Some(sequence);
                sequence.wrapping_mul(2).wrapping_add(second.into())
            }
        };
        let step = match self.last {
            None => 1,
            Some(last) => match sequence.wrapping_sub(last) {
                0 => return None,
                step if step <= MOST_LOST => step,
                // Backwards, or very far: a driver that counts anew.
                _ => 1,
            },
        };
        self.last = Some(sequence);
        Some((step - 1) * self.per_buffer)
    }

    fn rise(&mut self, by: u32) -> Option<i32> {
        let position = self.position.checked_add(by).filter(|&position| i32::try_from(position).is_ok())?;
        self.position = position;
        i32::try_from(position).ok()
    }

    /// The driver begins to count anew, in buffers that become so many frames each, or in pairs of fields
    /// that come apart and become a frame each.
    pub fn restarted(&mut self, per_buffer: u32, fields_apart: bool) {
        self.last = None;
        self.per_buffer = per_buffer;
        self.fields = fields_apart.then_some(None);
    }

    /// A new series begins with the next frame.
    pub fn new_series(&mut self) {
        self.position = 0;
        // What was lost before a series began is not missing from it.
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_of_the_driver_is_a_gap_of_the_series() {
        let mut gaps = Gaps::default();
        let seen: Vec<_> = [7, 8, 11, 12].map(|sequence| gaps.place(sequence).unwrap()).into();
        let numbers: Vec<_> = seen.iter().map(|place| (place.number, place.lost)).collect();
        assert_eq!(numbers, [(1, 0), (2, 0), (5, 2), (6, 0)]);
    }

    #[test]
    fn the_numbers_go_round() {
        let mut gaps = Gaps::default();
        gaps.place(u32::MAX - 1);
        assert_eq!(gaps.place(1), Some(Place { number: 4, lost: 2 }));
    }

    #[test]
    fn a_stream_that_begins_again_loses_nothing() {
        let mut gaps = Gaps::default();
        gaps.place(500);
        gaps.restarted(1, false);
        assert_eq!(gaps.place(0), Some(Place { number: 2, lost: 0 }));
        assert_eq!(gaps.place(5).map(|place| place.lost), Some(4));
        // A driver that says nothing and counts anew.
        assert_eq!(gaps.place(0).map(|place| place.lost), Some(0));
    }

    #[test]
    fn a_frame_that_came_twice_is_one_frame() {
        let mut gaps = Gaps::default();
        gaps.place(3);
        assert_eq!(gaps.place(3), None);
    }

    #[test]
    fn a_lost_buffer_of_two_fields_is_two_lost_frames() {
        let mut gaps = Gaps::default();
        gaps.restarted(2, false);
        assert_eq!(gaps.place(3), Some(Place { number: 1, lost: 0 }));
        assert_eq!(gaps.place_next(), Some(Place { number: 2, lost: 0 }));
        assert_eq!(gaps.place(5), Some(Place { number: 5, lost: 2 }));
    }

    #[test]
    fn two_fields_of_one_number_are_two_frames() {
        let mut gaps = Gaps::default();
        gaps.restarted(1, true);
        let mut place = |sequence| gaps.place(sequence).map(|place| (place.number, place.lost));
        assert_eq!([place(7), place(7), place(8)], [Some((1, 0)), Some((2, 0)), Some((3, 0))]);
        // One field of 8 is lost, all of 9, and a third of 10 is none.
        assert_eq!([place(10), place(10), place(10)], [Some((7, 3)), Some((8, 0)), None]);
        assert_eq!(place(11), Some((9, 0)));
    }

    #[test]
    fn a_frame_that_nobody_wants_leaves_no_gap_and_one_lost_beside_it_does() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.pass_over(1), 0);
        assert_eq!(gaps.place(2).map(|place| place.number), Some(1));
        assert_eq!(gaps.pass_over(3), 0);
        assert_eq!(gaps.pass_over(6), 2);
        assert_eq!(gaps.place(7), Some(Place { number: 4, lost: 0 }));
    }

    #[test]
    fn instance_numbers_end_where_the_standard_ends_them() {
        let mut gaps = Gaps { position: i32::MAX as u32 - 1, last: Some(1), per_buffer: 1, fields: None };
        assert_eq!(gaps.place(2).map(|place| place.number), Some(i32::MAX));
        assert_eq!(gaps.place(3), None);
        gaps.new_series();
        assert_eq!(gaps.place(9), Some(Place { number: 1, lost: 0 }));
    }
}
