//! Sequence numbers of the driver become Instance Numbers.
//!
//! The driver counts every frame that it saw, also those for which it had no buffer. So the distance of
//! two numbers says how many were lost between, and Instance Number rises by as many: a gap that every
//! reader can see. The numbers go round at 2³² and begin again when a stream does, which loses nothing
//! that anybody could count.

/// A jump beyond this is a driver that has begun to count anew, and not a loss (frames; over an hour).
const MOST_LOST: u32 = 1 << 18;

/// Counts frames, seen and lost.
#[derive(Debug, Default)]
pub struct Gaps {
    /// Frames of the series so far, lost ones included.
    position: u32,
    last: Option<u32>,
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
    /// The place of the frame that the driver gave this number. `None` at the end of all numbers, or for
    /// a frame that came before.
    pub fn place(&mut self, sequence: u32) -> Option<Place> {
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
        let position = self.position.checked_add(step).filter(|&position| i32::try_from(position).is_ok())?;
        self.position = position;
        Some(Place { number: i32::try_from(position).ok()?, lost: step - 1 })
    }

    /// The driver begins to count anew.
    pub fn restarted(&mut self) {
        self.last = None;
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
        gaps.restarted();
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
    fn instance_numbers_end_where_the_standard_ends_them() {
        let mut gaps = Gaps { position: i32::MAX as u32 - 1, last: Some(1) };
        assert_eq!(gaps.place(2).map(|place| place.number), Some(i32::MAX));
        assert_eq!(gaps.place(3), None);
        gaps.new_series();
        assert_eq!(gaps.place(9), Some(Place { number: 1, lost: 0 }));
    }
}
