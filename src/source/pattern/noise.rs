//! Quantum noise and the generator that all of the pattern's randomness comes from.
//!
//! X-ray quanta arrive one by one, so the noise grows with the square root of the intensity, and the
//! detector blurs it a little. A tile of such noise is made once; every frame lays it elsewhere.

/// The side of the noise tile (pixels).
const SIDE: usize = 512;
/// Standard deviation of the tile's values.
const DEVIATION: f32 = 32.0;
/// Standard deviation of the noise at full intensity, of 65535.
const FULL_SCALE_NOISE: f32 = 1_650.0;

/// SplitMix64: small, and the same on every platform, which the determinism of a frame rests on.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// A stream of its own for each (seed, purpose).
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        let mut random = Self(seed ^ purpose.wrapping_mul(0xD134_2543_DE82_EF95));
        random.next();
        random
    }

    /// 64 random bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `from`..`to`.
    pub(super) fn between(&mut self, from: f32, to: f32) -> f32 {
        let unit = (self.next() >> 40) as f32 / (1_u64 << 24) as f32;
        from + unit * (to - from)
    }

    /// Normal with mean 0 and deviation 1, near enough: the sum of twelve uniforms.
    pub(super) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f32>() - 6.0
    }
}

/// The noise tile and the law by which it grows with intensity.
#[derive(Debug)]
pub(super) struct Noise {
    /// [`SIDE`] rows, each written twice in a row so that a run of [`SIDE`] may begin anywhere.
    tile: Vec<i8>,
    /// Multiplier by the upper byte of the intensity; a product is in units of 1/32 of 1/65535.
    amplitude: [i32; 256],
}

impl Noise {
    /// Makes the tile.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let white: Vec<f32> = (0..SIDE * SIDE).map(|_| random.normal()).collect();
        let at = |x: usize, y: usize| white.get((y % SIDE) * SIDE + x % SIDE).copied().unwrap_or(0.0);
        let mut tile = Vec::with_capacity(SIDE * SIDE * 2);
        for y in 0..SIDE {
            let row: Vec<i8> = (0..SIDE)
                .map(|x| {
                    // The detector's blur, as weights whose squares add up to one.
                    let sum = 0.88 * at(x, y)
                        + 0.225 * (at(x + 1, y) + at(x + SIDE - 1, y) + at(x, y + 1) + at(x, y + SIDE - 1))
                        + 0.075 * (at(x + 1, y + 1) + at(x + SIDE - 1, y + SIDE - 1));
                    (sum * DEVIATION).clamp(-127.0, 127.0) as i8
                })
                .collect();
            tile.extend_from_slice(&row);
            tile.extend_from_slice(&row);
        }
        let amplitude = std::array::from_fn(|level| {
            let intensity = (level as f32 + 0.5) / 256.0;
            (FULL_SCALE_NOISE * intensity.sqrt() * 32.0 / DEVIATION) as i32
        });
        Self { tile, amplitude }
    }

    /// Where the tile lies in frame `index`.
    pub(super) fn frame(&self, seed: u64, index: u64) -> Grain<'_> {
        let mut random = Random::new(seed ^ index, 2);
        Grain { noise: self, across: random.next() as usize % SIDE, down: random.next() as usize % SIDE }
    }
}

/// The noise of one frame.
#[derive(Debug)]
pub(super) struct Grain<'a> {
    noise: &'a Noise,
    across: usize,
    down: usize,
}

impl Grain<'_> {
    /// Adds the noise of row `y` to its intensities.
    pub(super) fn add(&self, y: usize, row: &mut [u16]) {
        for (step, run) in row.chunks_mut(SIDE).enumerate() {
            // Beyond the tile's width it goes on elsewhere, so that no repetition meets the eye.
            let tile_row = (y + self.down + step * 173) % SIDE;
            let start = tile_row * SIDE * 2 + (self.across + step * 61) % SIDE;
            let Some(tile) = self.noise.tile.get(start..start + SIDE) else { continue };
            for (value, grain) in run.iter_mut().zip(tile) {
                let amplitude = self.noise.amplitude.get(usize::from(*value >> 8)).copied().unwrap_or(0);
                let noisy = i32::from(*value) + ((i32::from(*grain) * amplitude) >> 5);
                *value = noisy.clamp(0, 0xFFFF) as u16;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_the_root_of_the_intensity_and_has_no_bias() {
        let noise = Noise::new(7);
        let spread = |level: u16| {
            let mut row = vec![level; 4096];
            noise.frame(7, 3).add(5, &mut row);
            let mean = row.iter().map(|v| f64::from(*v)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            assert!((mean - f64::from(level)).abs() < 120.0, "mean {mean} at {level}");
            variance.sqrt()
        };
        let (dim, bright) = (spread(10_000), spread(40_000));
        assert!((bright / dim - 2.0).abs() < 0.2, "{dim} {bright}");
    }

    #[test]
    fn differs_from_frame_to_frame_and_repeats_for_the_same_frame() {
        let noise = Noise::new(7);
        let row = |index| {
            let mut row = vec![30_000_u16; 256];
            noise.frame(7, index).add(0, &mut row);
            row
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }
}
