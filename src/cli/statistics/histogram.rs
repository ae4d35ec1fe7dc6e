//! A histogram of durations that may be negative, since they are differences between two clocks. Its
//! size is fixed; what it says is exact to one part in 32, minimum and count wholly so.

/// Steps between a power of two and the next, as a power of two.
const STEP_BITS: u32 = 5;
const STEPS: usize = 1 << STEP_BITS;
/// Buckets of one sign: the magnitudes below [`STEPS`] one by one, then [`STEPS`] for each power of two.
const BUCKETS: usize = STEPS * (64 - STEP_BITS as usize + 1);

/// Counts of values, by sign and magnitude.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    below_zero: Vec<u64>,
    from_zero: Vec<u64>,
    count: u64,
    least: i64,
    most: i64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            below_zero: vec![0; BUCKETS],
            from_zero: vec![0; BUCKETS],
            count: 0,
            least: i64::MAX,
            most: i64::MIN,
        }
    }
}

impl Histogram {
    /// Counts a value.
    pub(super) fn record(&mut self, value: i64) {
        let side = if value < 0 { &mut self.below_zero } else { &mut self.from_zero };
        if let Some(bucket) = side.get_mut(bucket(value.unsigned_abs())) {
            *bucket += 1;
        }
        self.count += 1;
        self.least = self.least.min(value);
        self.most = self.most.max(value);
    }

    /// The least value; `None` before the first.
    pub(super) fn least(&self) -> Option<i64> {
        (self.count > 0).then_some(self.least)
    }

    /// The value that a share of all values (0 to 1) does not exceed; `None` before the first.
    pub(super) fn quantile(&self, share: f64) -> Option<i64> {
        if self.count == 0 {
            return None;
        }
        let rank = ((share * self.count as f64).ceil() as u64).clamp(1, self.count);
        let below = self.below_zero.iter().enumerate().rev();
        let below = below.map(|(index, &count)| (0_i64.saturating_sub_unsigned(least_of(index)), count));
        let from = self.from_zero.iter().enumerate();
        let from = from.map(|(index, &count)| (i64::try_from(most_of(index)).unwrap_or(i64::MAX), count));
        let mut seen = 0;
        for (value, count) in below.chain(from) {
            seen += count;
            if seen >= rank {
                return Some(value.clamp(self.least, self.most));
            }
        }
        Some(self.most)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.below_zero.fill(0);
        self.from_zero.fill(0);
        (self.count, self.least, self.most) = (0, i64::MAX, i64::MIN);
    }
}

fn bucket(magnitude: u64) -> usize {
    if magnitude < STEPS as u64 {
        return magnitude as usize;
    }
    let shift = magnitude.ilog2() - STEP_BITS;
    // The highest bit chooses the row, the STEP_BITS bits behind it the place in it.
    STEPS * (shift as usize + 1) + ((magnitude >> shift) as usize - STEPS)
}

/// The least magnitude of a bucket.
fn least_of(bucket: usize) -> u64 {
    match bucket / STEPS {
        0 => bucket as u64,
        row => ((bucket % STEPS + STEPS) as u64) << (row - 1),
    }
}

/// The greatest magnitude of a bucket.
fn most_of(bucket: usize) -> u64 {
    match bucket / STEPS {
        0 => bucket as u64,
        row => least_of(bucket) + ((1_u64 << (row - 1)) - 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[i64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|&value| histogram.record(value));
        histogram
    }

    #[test]
    fn small_values_are_exact() {
        let histogram = of(&[5, -3, 9, 1, 0]);
        assert_eq!(histogram.least(), Some(-3));
        assert_eq!(histogram.quantile(0.2), Some(-3));
        assert_eq!(histogram.quantile(0.5), Some(1));
        assert_eq!(histogram.quantile(1.0), Some(9));
    }

    #[test]
    fn nothing_recorded_says_nothing() {
        let mut histogram = of(&[7]);
        histogram.clear();
        assert_eq!((histogram.least(), histogram.quantile(0.5)), (None, None));
    }

    proptest! {
        #[test]
        fn every_magnitude_is_in_its_bucket(magnitude in any::<u64>()) {
            let bucket = bucket(magnitude);
            prop_assert!(bucket < BUCKETS);
            prop_assert!((least_of(bucket)..=most_of(bucket)).contains(&magnitude));
        }

        #[test]
        fn quantiles_are_near_those_of_the_sorted_values(
            mut values in proptest::collection::vec(-1_000_000_000_i64..1_000_000_000, 1..200),
            share in 0.0..=1.0_f64,
        ) {
            let found = of(&values).quantile(share).unwrap();
            values.sort_unstable();
            let rank = ((share * values.len() as f64).ceil() as usize).clamp(1, values.len());
            let exact = values[rank - 1];
            prop_assert!((found - exact).abs() <= exact.abs() / 32 + 1, "{found} for {exact}");
        }
    }
}
