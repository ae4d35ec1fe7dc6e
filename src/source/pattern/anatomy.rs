//! The chest under the vessels: what does not move, drawn once.
//!
//! Intensity is what the detector sees, `exp(−attenuation)`; so the spine, the ribs, the diaphragm and
//! the collimator's blades are dark and the lung is bright.

use super::noise::Random;
use super::{Field, smooth_step};

/// Intensity behind the least attenuation, of 65535: a well-exposed frame leaves headroom.
const OPEN_BEAM: f32 = 56_000.0;

/// Intensities (of 65535) of the static background, row by row.
pub(super) fn background(field: Field, seed: u64) -> Vec<u16> {
    let mut random = Random::new(seed, 3);
    let texture = Texture::new(&mut random);
    let unit = field.scale();
    let mut pixels = Vec::with_capacity(field.rows * field.columns);
    for y in 0..field.rows {
        for x in 0..field.columns {
            let u = (x as f32 + 0.5) / field.columns as f32;
            let v = (y as f32 + 0.5) / field.rows as f32;
            let grain = texture.at(x as f32 / unit, y as f32 / unit);
            let attenuation = 0.16 + 0.15 * grain + tissue(u, v) + bones(u, v, grain) + blades(field, x, y);
            pixels.push((OPEN_BEAM * (-attenuation).exp()) as u16);
        }
    }
    pixels
}

/// Soft tissue: the heel of the beam, the heart's shadow, the diaphragm, a breast's or arm's shadow.
fn tissue(u: f32, v: f32) -> f32 {
    let heel = 0.10 * (v - 0.5) - 0.14 * (u - 0.5);
    let heart = {
        let (dx, dy) = ((u - 0.58) / 0.44, (v - 0.60) / 0.40);
        let distance = (dx * dx + dy * dy + 0.5 * dx * dy).sqrt();
        0.36 * (1.0 - smooth_step(0.50, 1.15, distance))
    };
    let dome = 0.93 - 0.16 * (-((u - 0.72) / 0.34).powi(2)).exp();
    let diaphragm = 0.34 * smooth_step(-0.008, 0.03, v - dome);
    heel + heart + diaphragm
}

/// The spine with its discs, and the ribs with their denser rims.
fn bones(u: f32, v: f32, grain: f32) -> f32 {
    let axis = 0.23 + 0.07 * v + 0.012 * grain;
    let off = (u - axis).abs();
    let vertebra = ((v * 6.2 + 0.3).fract() - 0.5).abs();
    let disc = 1.0 - 0.30 * smooth_step(0.40, 0.49, vertebra);
    let waist = 0.012 * smooth_step(0.0, 0.4, vertebra);
    let spine = 0.30 * disc * (1.0 - smooth_step(0.03 + waist, 0.105 + waist, off));
    let pedicle = 0.07
        * (1.0 - smooth_step(0.010, 0.02, (off - 0.055).abs()))
        * (1.0 - smooth_step(0.1, 0.25, vertebra));
    let ribs: f32 = (0..6)
        .map(|number| {
            let height = -0.12 + 0.205 * number as f32;
            let course = height + 0.62 * (u - 0.18) - 0.52 * (u - 0.18) * (u - 0.18);
            let off = (v - course).abs();
            let body = 1.0 - smooth_step(0.020, 0.028, off);
            let rim = 1.0 - smooth_step(0.0, 0.007, (off - 0.022).abs());
            (0.045 * body + 0.030 * rim) * smooth_step(0.12, 0.30, u) * (1.0 - 0.12 * number as f32)
        })
        .sum();
    spine + pedicle + ribs
}

/// The collimator: blades on all sides, a little askew, with the penumbra of a finite focal spot.
fn blades(field: Field, x: usize, y: usize) -> f32 {
    let unit = field.scale();
    let (x, y) = (x as f32 / unit, y as f32 / unit);
    let (width, height) = (field.columns as f32 / unit, field.rows as f32 / unit);
    let sides = [
        x - (7.0 + 0.006 * y),
        width - x - (9.0 - 0.004 * y),
        y - (6.0 + 0.005 * x),
        height - y - (8.0 - 0.003 * x),
        // The corners, which a round filter takes off.
        (x + y) - 36.0,
        (width - x + y) - 36.0,
        (x + height - y) - 36.0,
        (width - x + height - y) - 36.0,
    ];
    let inside = sides.into_iter().fold(f32::INFINITY, f32::min);
    2.6 * (1.0 - smooth_step(-2.0, 2.5, inside))
}

/// Value noise in four octaves: the unevenness of tissue.
struct Texture {
    lattice: Vec<f32>,
}

const LATTICE: usize = 64;

impl Texture {
    fn new(random: &mut Random) -> Self {
        Self { lattice: (0..LATTICE * LATTICE).map(|_| random.between(-1.0, 1.0)).collect() }
    }

    /// About −1 to 1, at a place in units of the 512 field.
    fn at(&self, x: f32, y: f32) -> f32 {
        [(150.0, 0.50), (61.0, 0.30), (23.0, 0.18), (9.0, 0.11)]
            .into_iter()
            .map(|(period, weight)| weight * self.smooth(x / period + period, y / period))
            .sum()
    }

    fn smooth(&self, x: f32, y: f32) -> f32 {
        let (left, top) = (x.floor(), y.floor());
        let (fx, fy) = (smooth_step(0.0, 1.0, x - left), smooth_step(0.0, 1.0, y - top));
        let knot = |dx: usize, dy: usize| {
            let index = ((top as usize + dy) % LATTICE) * LATTICE + (left as usize + dx) % LATTICE;
            self.lattice.get(index).copied().unwrap_or(0.0)
        };
        let upper = knot(0, 0) + fx * (knot(1, 0) - knot(0, 0));
        let lower = knot(0, 1) + fx * (knot(1, 1) - knot(0, 1));
        upper + fy * (lower - upper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beam_is_open_in_the_middle_and_shut_at_the_edges() {
        let field = Field { rows: 128, columns: 256 };
        let pixels = background(field, 1);
        assert_eq!(pixels.len(), 128 * 256);
        let at = |x: usize, y: usize| pixels[y * 256 + x];
        assert!(at(128, 64) > 20_000, "{}", at(128, 64));
        for (x, y) in [(0, 0), (255, 0), (0, 127), (255, 127), (128, 0), (0, 64)] {
            assert!(at(x, y) < 8_000, "{x} {y} {}", at(x, y));
        }
    }
}
