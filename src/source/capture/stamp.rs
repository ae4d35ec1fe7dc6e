//! The driver's monotonic stamps become moments of UTC.
//!
//! `CLOCK_MONOTONIC` runs evenly and says nothing of the date; `CLOCK_REALTIME` says the date and may be
//! set. Both are read together for every frame, and the age of the stamp is taken from the date: so a
//! frame's time is when the driver stamped it, in the date that is true now. When somebody sets the clock
//! the two part by a step; it is noticed, and from then on frames have the new date. Their order is told
//! by Instance Number, which does not care.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::picture::StampKind;

/// A frame that waited longer than this in the driver's buffers is stale.
pub const STALE: Duration = Duration::from_millis(500);
/// The clocks part by less than this in ordinary slewing between two frames.
const STEP: Duration = Duration::from_millis(50);
/// A stamp further back than this is no stamp (a clock that wraps, or is another).
const OLDEST: Duration = Duration::from_secs(10);
/// Drivers that compute their stamps may be ahead of the frame by less than this.
const AHEAD: Duration = Duration::from_millis(100);

/// Readings that are no further apart are of one moment.
const TOGETHER: Duration = Duration::from_micros(50);
/// The most attempts at that.
const ATTEMPTS: u32 = 8;

/// One reading of both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// `CLOCK_MONOTONIC`, since its beginning.
    pub monotonic: Duration,
    /// `CLOCK_REALTIME`, since 1970 (UTC).
    pub realtime: Duration,
}

impl Reading {
    /// Reads both at one moment.
    pub fn now() -> Self {
        Self::read(|clock| clock_gettime(clock).map(Duration::from).unwrap_or_default())
    }

    /// A thread that has to wait between two readings would take its wait for a piece of the date, and its
    /// frame for later than the next one. So the date is read between two looks at the other clock, again
    /// until those are close to each other; of attempts that all had to wait, the shortest counts.
    fn read(mut clock: impl FnMut(ClockId) -> Duration) -> Self {
        let mut attempt = || {
            let before = clock(ClockId::CLOCK_MONOTONIC);
            let realtime = clock(ClockId::CLOCK_REALTIME);
            let apart = clock(ClockId::CLOCK_MONOTONIC).saturating_sub(before);
            (apart, Self { monotonic: before + apart / 2, realtime })
        };
        let mut best = attempt();
        for _ in 1..ATTEMPTS {
            if best.0 <= TOGETHER {
                break;
            }
            let next = attempt();
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    }
}

/// What is known of the moment of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When it was captured.
    pub captured: SystemTime,
    /// How long ago that was: what it waited for us.
    pub age: Duration,
    /// The driver's stamp could not be used; this is when the frame came.
    pub arrival: bool,
    /// The date was set by this much since the frame before (µs, forwards positive).
    pub stepped: Option<i64>,
}

/// Remembers how the clocks stood.
#[derive(Debug, Default)]
pub struct Stamps {
    /// Realtime minus monotonic (µs).
    offset: Option<i128>,
}

impl Stamps {
    /// The moment of a frame that was stamped `stamp` and dequeued at `now`.
    pub fn moment(&mut self, stamp: Duration, kind: StampKind, now: Reading) -> Moment {
        let offset = now.realtime.as_micros() as i128 - now.monotonic.as_micros() as i128;
        let moved = self.offset.map_or(0, |before| offset - before);
        self.offset = Some(offset);
        let stepped =
            (moved.unsigned_abs() > STEP.as_micros()).then(|| i64::try_from(moved).unwrap_or_default());
        let age = now.monotonic.saturating_sub(stamp);
        let ahead = stamp.saturating_sub(now.monotonic);
        let usable = kind != StampKind::Unknown && age <= OLDEST && ahead <= AHEAD;
        let (age, ahead) = if usable { (age, ahead) } else { Default::default() };
        let captured = UNIX_EPOCH + now.realtime.saturating_sub(age) + ahead;
        Moment { captured, age, arrival: !usable, stepped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(monotonic_ms: u64, realtime_ms: u64) -> Reading {
        let ms = Duration::from_millis;
        Reading { monotonic: ms(monotonic_ms), realtime: ms(realtime_ms) }
    }

    fn at(ms: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn a_wait_between_two_readings_is_not_taken_for_time_that_has_passed() {
        // Each reading takes 1 µs; this many of them are followed by a wait of 5 ms.
        for waits in [0, 1, 2, 3, 4, 20] {
            let (mut now, mut readings) = (Duration::from_secs(7), 0);
            let date = Duration::from_secs(1_000_000);
            let reading = Reading::read(|clock| {
                readings += 1;
                now += Duration::from_micros(if readings <= waits { 5001 } else { 1 });
                if clock == ClockId::CLOCK_REALTIME { date + now } else { now }
            });
            let off = reading.realtime.abs_diff(date + reading.monotonic);
            assert!(off <= Duration::from_micros(25), "{waits}: {off:?}");
        }
    }

    #[test]
    fn a_frame_has_the_date_of_its_stamp() {
        let mut stamps = Stamps::default();
        let moment = stamps.moment(Duration::from_millis(990), StampKind::EndOfFrame, reading(1000, 50_000));
        assert_eq!(moment.captured, at(49_990));
        assert_eq!((moment.age.as_millis(), moment.arrival, moment.stepped), (10, false, None));
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_once_and_a_slewed_one_is_not() {
        let mut stamps = Stamps::default();
        let mut frame =
            |stamp: u64, now| stamps.moment(Duration::from_millis(stamp), StampKind::StartOfFrame, now);
        frame(1000, reading(1000, 50_000));
        assert_eq!(frame(1033, reading(1033, 50_034)).stepped, None);
        let back = frame(1066, reading(1066, 46_467));
        assert_eq!(back.stepped, Some(-3_600_000));
        assert_eq!(back.captured, at(46_467));
        assert_eq!(frame(1100, reading(1100, 46_501)).stepped, None);
    }

    #[test]
    fn a_stamp_that_is_a_little_ahead_is_a_stamp() {
        let mut stamps = Stamps::default();
        let moment = stamps.moment(Duration::from_millis(1004), StampKind::EndOfFrame, reading(1000, 50_000));
        assert_eq!((moment.captured, moment.age, moment.arrival), (at(50_004), Duration::ZERO, false));
    }

    #[test]
    fn a_stamp_of_another_clock_is_replaced_by_the_arrival() {
        for (stamp, kind) in [
            (Duration::from_millis(900), StampKind::Unknown),
            (Duration::from_secs(99), StampKind::EndOfFrame),
            (Duration::ZERO, StampKind::EndOfFrame),
        ] {
            let mut stamps = Stamps::default();
            let moment = stamps.moment(stamp, kind, reading(20_000, 50_000));
            assert!(moment.arrival, "{stamp:?}");
            assert_eq!(moment.captured, at(50_000));
        }
    }
}
