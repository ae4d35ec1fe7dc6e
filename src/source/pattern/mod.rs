//! The demo's synthetic angiogram: what a coronary run looks like, without a patient.
//!
//! A static chest ([`anatomy`]) lies under a vessel tree ([`vessels`]) that beats, fills with contrast
//! from its proximal end, empties again and repeats; a [`catheter`] moves in it; quantum [`noise`] lies
//! over all; the wall clock and a frame counter are burnt in ([`burn_in`]), the counter also in a form
//! that a test can read back. Geometry is drawn once; a frame only warps it, so that the source keeps
//! up with any frame rate a modality has.
//!
//! Nothing here is random: a frame follows from (seed, index, time).

mod anatomy;
mod burn_in;
mod catheter;
mod noise;
mod vessels;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::frame::{Photometric, PixelDescription};

pub use burn_in::read_counter;

/// Why there is no [`Angiogram`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Neither 8, 12 nor 16, or more than 8 in colour.
    #[error("the pattern has 8, 12 or 16 bits ({} in colour: only 8)", .bits)]
    Bits {
        /// What was asked for.
        bits: u8,
    },
    /// Too small to hold the counter, or too large to hold in memory with ease.
    #[error("the pattern has 64 to 4096 rows and columns, not {rows}×{columns}")]
    Size {
        /// Rows asked for (pixels).
        rows: u16,
        /// Columns asked for (pixels).
        columns: u16,
    },
}

/// The smallest side that holds the machine-readable counter.
const SMALLEST_SIDE: u16 = 64;
/// The largest side; the precomputed maps take 4 bytes a pixel, which is 64 MiB there.
const LARGEST_SIDE: u16 = 4096;

/// A synthetic coronary angiogram that renders any frame of its endless run.
#[derive(Debug)]
pub struct Angiogram {
    description: PixelDescription,
    background: Vec<u16>,
    tree: vessels::Tree,
    catheter: catheter::Catheter,
    noise: noise::Noise,
    seed: u64,
}

impl Angiogram {
    /// Draws the geometry of a run with `rows` × `columns` pixels of `bits` (8, 12 or 16) Bits Stored,
    /// MONOCHROME2 or, with `color`, 8-bit RGB. `seed` decides the shape of the vessels.
    ///
    /// # Errors
    /// [`PatternError`] when the format is none that the pattern has.
    pub fn new(rows: u16, columns: u16, bits: u8, color: bool, seed: u64) -> Result<Self, PatternError> {
        if !matches!((bits, color), (8, _) | (12 | 16, false)) {
            return Err(PatternError::Bits { bits });
        }
        let sides = SMALLEST_SIDE..=LARGEST_SIDE;
        if !sides.contains(&rows) || !sides.contains(&columns) {
            return Err(PatternError::Size { rows, columns });
        }
        let description = PixelDescription {
            rows,
            columns,
            samples: if color { 3 } else { 1 },
            bits_allocated: if bits > 8 { 16 } else { 8 },
            bits_stored: u16::from(bits),
            photometric: if color { Photometric::Rgb } else { Photometric::Monochrome2 },
        };
        let field = Field { rows: usize::from(rows), columns: usize::from(columns) };
        let tree = vessels::Tree::grow(field, seed);
        Ok(Self {
            description,
            background: anatomy::background(field, seed),
            catheter: catheter::Catheter::new(field, tree.main_course()),
            noise: noise::Noise::new(seed),
            tree,
            seed,
        })
    }

    /// What the rendered pixels are.
    pub fn description(&self) -> PixelDescription {
        self.description
    }

    /// Renders frame `index` as it is at `time` and replaces `out` with its native little-endian
    /// pixels. `time` moves the anatomy and is shown by the clock; `index` is shown by the counters
    /// and picks the noise.
    pub fn render(&self, index: u64, time: SystemTime, out: &mut Vec<u8>) {
        let seconds = time.duration_since(UNIX_EPOCH).map(|since| since.as_secs_f64()).unwrap_or(0.0);
        let columns = usize::from(self.description.columns);
        let beat = Beat::at(seconds);
        let warped = self.tree.at(beat, seconds);
        let device = self.catheter.at(beat, seconds);
        let grain = self.noise.frame(self.seed, index);

        out.clear();
        out.reserve(self.description.frame_bytes());
        let mut row = vec![0_u16; columns];
        for (y, background) in self.background.chunks_exact(columns).enumerate() {
            row.copy_from_slice(background);
            warped.shade(y, &mut row);
            device.shade(y, &mut row);
            grain.add(y, &mut row);
            self.emit(&row, out);
        }
        burn_in::draw(out, &self.description, index, time);
    }

    /// Appends one row of 16-bit intensities in the format of this pattern.
    fn emit(&self, row: &[u16], out: &mut Vec<u8>) {
        let high = |value: &u16| value.to_le_bytes()[1];
        match (self.description.photometric, self.description.bits_stored) {
            (Photometric::Rgb, _) => out.extend(row.iter().map(high).flat_map(|grey| [grey; 3])),
            (Photometric::Monochrome2, 8) => out.extend(row.iter().map(high)),
            (Photometric::Monochrome2, stored) => {
                let shift = 16_u16.saturating_sub(stored);
                out.extend(row.iter().flat_map(|value| (value >> shift).to_le_bytes()));
            }
        }
    }
}

/// The image plane that the geometry is drawn on.
#[derive(Debug, Clone, Copy)]
struct Field {
    rows: usize,
    columns: usize,
}

impl Field {
    /// Pixels per unit of length; the geometry is drawn for a field whose shorter side is 512 units.
    fn scale(self) -> f32 {
        self.rows.min(self.columns) as f32 / 512.0
    }

    /// The pixel at a place given in fractions of the columns and rows.
    fn place(self, u: f32, v: f32) -> Point {
        Point { x: u * self.columns as f32, y: v * self.rows as f32 }
    }
}

/// A place on the image plane (pixels, from the top left).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    x: f32,
    y: f32,
}

/// The heart rate of the run (beats per second; 72 a minute).
const HEART_RATE: f64 = 1.2;
/// Breaths per second.
const BREATH_RATE: f64 = 0.22;

/// How the heart has moved its vessels at one moment: towards its centre, with a twist, and down with
/// the breath. The same movement carries the tree and the wire inside it.
#[derive(Debug, Clone, Copy)]
struct Beat {
    /// 0 in diastole to 1 at the end of systole.
    contraction: f32,
    /// −1 to 1, expiration to inspiration.
    breath: f32,
}

impl Beat {
    fn at(seconds: f64) -> Self {
        let phase = (seconds * HEART_RATE).fract() as f32;
        // Systole is the shorter and sharper part of the cycle.
        let contraction = if phase < 0.35 { phase / 0.35 } else { (1.0 - phase) / 0.65 };
        let contraction = contraction * contraction * (3.0 - 2.0 * contraction);
        let breath = (seconds * BREATH_RATE).fract() as f32 * std::f32::consts::TAU;
        Self { contraction, breath: breath.sin() }
    }

    /// The linear part of the movement back from the image to the geometry at rest, and the centre it
    /// turns about with the centre's own movement.
    fn backward(self, field: Field) -> Warp {
        let centre = field.place(0.56, 0.56);
        let unit = field.scale();
        Warp {
            centre,
            shift: Point {
                x: -5.0 * self.contraction * unit,
                y: (4.0 * self.breath - 7.0 * self.contraction) * unit,
            },
            stretch: 1.0 + 0.055 * self.contraction,
            twist: 0.035 * self.contraction,
        }
    }
}

/// A similarity about a centre: what [`Beat`] does to the plane.
#[derive(Debug, Clone, Copy)]
struct Warp {
    centre: Point,
    shift: Point,
    stretch: f32,
    twist: f32,
}

impl Warp {
    /// Where the geometry at rest lies that is seen at `seen`.
    fn source(&self, seen: Point) -> Point {
        let x = seen.x - self.centre.x - self.shift.x;
        let y = seen.y - self.centre.y - self.shift.y;
        Point {
            x: self.centre.x + self.stretch * x + self.twist * y,
            y: self.centre.y + self.stretch * y - self.twist * x,
        }
    }

    /// Where the geometry at rest at `source` is seen: the inverse of [`Warp::source`].
    fn seen(&self, source: Point) -> Point {
        let x = source.x - self.centre.x;
        let y = source.y - self.centre.y;
        let determinant = self.stretch * self.stretch + self.twist * self.twist;
        Point {
            x: self.centre.x + self.shift.x + (self.stretch * x - self.twist * y) / determinant,
            y: self.centre.y + self.shift.y + (self.stretch * y + self.twist * x) / determinant,
        }
    }
}

/// A smooth step from 0 at `from` to 1 at `to`.
fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: f64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs_f64(seconds)
    }

    fn frame(angiogram: &Angiogram, index: u64, time: SystemTime) -> Vec<u8> {
        let mut pixels = vec![1, 2, 3];
        angiogram.render(index, time, &mut pixels);
        pixels
    }

    #[test]
    fn the_counter_is_read_back_in_every_format_and_at_every_size() {
        for (rows, columns, bits, color) in [
            (512, 512, 8, false),
            (480, 640, 8, true),
            (128, 256, 12, false),
            (65, 71, 16, false),
            (64, 64, 8, true),
        ] {
            let angiogram = Angiogram::new(rows, columns, bits, color, 1).unwrap();
            for index in [0, 1, 0x8000_0001, 0xDEAD_BEEF, 0x1_0000_0007] {
                let pixels = frame(&angiogram, index, at(3.0));
                let description = angiogram.description();
                assert_eq!(pixels.len(), description.frame_bytes());
                assert_eq!(read_counter(&pixels, &description), Some(index as u32), "{description:?}");
                assert_eq!(read_counter(&pixels[1..], &description), None);
            }
        }
    }

    #[test]
    fn pixels_that_are_no_pattern_have_no_counter() {
        let description = Angiogram::new(64, 64, 8, false, 1).unwrap().description();
        assert_eq!(read_counter(&[128; 64 * 64], &description), None);
    }

    #[test]
    fn a_frame_follows_from_seed_index_and_time() {
        let angiogram = Angiogram::new(128, 160, 12, false, 5).unwrap();
        let same = Angiogram::new(128, 160, 12, false, 5).unwrap();
        let other = Angiogram::new(128, 160, 12, false, 6).unwrap();
        let pixels = frame(&angiogram, 9, at(2.5));
        assert_eq!(pixels, frame(&same, 9, at(2.5)));
        assert_ne!(pixels, frame(&other, 9, at(2.5)));
        assert_ne!(pixels, frame(&angiogram, 10, at(2.5)));
        assert_ne!(pixels, frame(&angiogram, 9, at(2.6)));
    }

    #[test]
    fn samples_stay_within_bits_stored() {
        let angiogram = Angiogram::new(128, 128, 12, false, 2).unwrap();
        let pixels = frame(&angiogram, 0, at(2.5));
        let brightest = pixels.chunks(2).map(|word| u16::from_le_bytes([word[0], word[1]])).max();
        assert_eq!(brightest, Some(4095));
    }

    #[test]
    fn the_vessels_fill_and_empty_again() {
        let angiogram = Angiogram::new(256, 256, 8, false, 2).unwrap();
        let sum = |seconds| frame(&angiogram, 0, at(seconds)).iter().map(|v| u64::from(*v)).sum::<u64>();
        // Three moments of the same heart phase (1.2 beats a second), the wire being thin.
        let (empty, full, washed) = (sum(0.0), sum(2.5), sum(6.0));
        assert!(full + 100_000 < empty, "{full} {empty}");
        assert!(full + 100_000 < washed, "{full} {washed}");
    }

    #[test]
    fn the_movement_back_undoes_the_movement() {
        let field = Field { rows: 512, columns: 640 };
        let warp = Beat { contraction: 0.7, breath: 0.4 }.backward(field);
        let there = warp.source(warp.seen(Point { x: 100.0, y: 400.0 }));
        assert!((there.x - 100.0).abs() < 0.01 && (there.y - 400.0).abs() < 0.01, "{there:?}");
    }

    #[test]
    fn formats_that_it_has_not_are_refused() {
        assert_eq!(Angiogram::new(512, 512, 10, false, 0).unwrap_err(), PatternError::Bits { bits: 10 });
        assert_eq!(Angiogram::new(512, 512, 12, true, 0).unwrap_err(), PatternError::Bits { bits: 12 });
        let error = Angiogram::new(63, 512, 8, false, 0).unwrap_err();
        assert_eq!(error, PatternError::Size { rows: 63, columns: 512 });
        assert!(Angiogram::new(512, 5000, 8, false, 0).is_err());
    }
}
