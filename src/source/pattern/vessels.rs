//! The vessel tree: grown once from the seed, filled with contrast and moved frame by frame.
//!
//! Growing yields two numbers a pixel: how thick the vessel is there along the ray, and how far down
//! the tree it lies. The second is when the contrast gets there; so a frame needs one lookup table
//! (contrast by distance) and one pass that fetches the pixel that the heart has moved to this place.

use super::noise::Random;
use super::{Beat, Field, Point, Warp, smooth_step};

/// The injection repeats after this many seconds.
const CYCLE: f64 = 6.0;
/// Pixels that are skipped together where there is no vessel.
const BLOCK: usize = 16;
/// Attenuation of the thickest vessel when it is full.
const FULL_ATTENUATION: f32 = 1.25;
/// Thickness of a vessel of the largest radius, of 255; crossings add up above it.
const MAIN_THICKNESS: f32 = 190.0;
/// Radius of the main stem (units of the 512 field).
const MAIN_RADIUS: f32 = 5.6;

/// A pixel of the tree at rest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Cell {
    /// Length of the ray inside vessels, of 255.
    thickness: u8,
    /// Distance from the ostium along the tree, of 255.
    distance: u8,
}

/// The tree at rest.
#[derive(Debug)]
pub(super) struct Tree {
    field: Field,
    cells: Vec<Cell>,
    /// Whether a block of cells, or one next to it, has a vessel.
    occupied: Vec<bool>,
    blocks_across: usize,
    main_course: Vec<Point>,
    /// Transmission (of 65536) by attenuation.
    transmission: [u32; 256],
}

/// One branch to grow.
struct Sprout {
    from: Point,
    angle: f32,
    radius: f32,
    length: f32,
    distance: f32,
    depth: u32,
    /// Constant curvature (radians per unit of length), so that the main arteries run round the heart.
    bend: f32,
    main: bool,
}

impl Tree {
    /// Grows the tree of `seed`: a left main stem that divides into two arteries with their branches.
    pub(super) fn grow(field: Field, seed: u64) -> Self {
        let mut random = Random::new(seed, 4);
        let ostium = field.place(0.335, 0.235);
        let sprout = |angle: f32, radius, length, bend, main| Sprout {
            from: ostium,
            angle,
            radius,
            length,
            distance: 0.0,
            depth: 0,
            bend,
            main,
        };
        let stem = 34.0;
        let mut canvas = Canvas { field, cells: vec![Cell::default(); field.rows * field.columns] };
        let stem_course =
            canvas.branch(&sprout(0.30, MAIN_RADIUS, stem, 0.0, true), &mut random, &mut Vec::new());
        let fork = stem_course.last().copied().unwrap_or(ostium);
        let after_stem = |angle, radius, length, bend, main| Sprout {
            from: fork,
            distance: stem,
            ..sprout(angle, radius, length, bend, main)
        };
        let mut sprouts = vec![
            // Anterior descending: the long one, over the front to the apex.
            after_stem(0.22, 4.7, 400.0, 0.0033, true),
            // Circumflex: round the left border.
            after_stem(1.30, 4.3, 330.0, -0.0024, false),
        ];
        let mut main_course = stem_course;
        while let Some(next) = sprouts.pop() {
            let course = canvas.branch(&next, &mut random, &mut sprouts);
            if next.main {
                main_course.extend(course);
            }
        }
        let (occupied, blocks_across) = canvas.occupied();
        let transmission = std::array::from_fn(|attenuation| {
            let attenuation = attenuation as f32 / MAIN_THICKNESS * FULL_ATTENUATION;
            (65_536.0 * (-attenuation).exp()) as u32
        });
        Self { field, cells: canvas.cells, occupied, blocks_across, main_course, transmission }
    }

    /// The centre line from the ostium down the main artery: where a wire goes.
    pub(super) fn main_course(&self) -> &[Point] {
        &self.main_course
    }

    /// The tree as it is seen at one moment.
    pub(super) fn at(&self, beat: Beat, seconds: f64) -> Warped<'_> {
        let time = (seconds / CYCLE).fract() as f32 * CYCLE as f32;
        let contrast = std::array::from_fn(|distance| {
            (256.0 * concentration(distance as f32 / 255.0, time, beat.contraction)) as u32
        });
        Warped { tree: self, warp: beat.backward(self.field), contrast }
    }
}

/// Contrast (0 to 1) at a `distance` (0 to 1) down the tree, `time` seconds into the cycle.
///
/// The front takes 1.3 s to the smallest branches, pushed on in every diastole; blood washes it out
/// from the ostium on, slower than it came.
fn concentration(distance: f32, time: f32, contraction: f32) -> f32 {
    let arrival = 0.45 + 1.3 * distance;
    let departure = 3.1 + 1.5 * distance;
    let filled = smooth_step(arrival, arrival + 0.45, time);
    let washed = smooth_step(departure, departure + 1.1, time);
    filled * (1.0 - washed) * (1.0 - 0.07 * contraction)
}

/// The tree while it is being drawn.
struct Canvas {
    field: Field,
    cells: Vec<Cell>,
}

/// The distance (units) that is shown as 255.
const LONGEST: f32 = 640.0;

impl Canvas {
    /// Draws one branch, puts its side branches on `sprouts`, and returns its course.
    fn branch(&mut self, sprout: &Sprout, random: &mut Random, sprouts: &mut Vec<Sprout>) -> Vec<Point> {
        let unit = self.field.scale();
        let step = 0.75;
        let steps = (sprout.length / step) as usize;
        let mut course = Vec::with_capacity(steps);
        let mut wander = 0.0_f32;
        let mut drift = 0.0_f32;
        let mut at = sprout.from;
        let mut side = if random.next() & 1 == 0 { 1.0 } else { -1.0 };
        let mut until_side_branch = random.between(0.10, 0.22) * sprout.length;
        let mut drawing = Stroke::default();
        for number in 0..steps {
            let gone = number as f32 * step;
            let part = gone / sprout.length;
            // A vessel narrows slowly, then quickly at its end.
            let radius = sprout.radius * (1.0 - 0.55 * part) * (1.0 - smooth_step(0.80, 1.0, part) * 0.55);
            // Tortuous, yet drawn back to its course, so that no artery wanders off.
            drift = drift * 0.94 + random.normal() * 0.0075;
            wander = (wander + drift * step) * 0.985;
            let angle = sprout.angle + sprout.bend * gone + wander;
            at = Point { x: at.x + angle.cos() * step * unit, y: at.y + angle.sin() * step * unit };
            if !self.inside(at) {
                break;
            }
            course.push(at);
            drawing.disc(at, radius * unit, sprout.distance + gone, self.field);
            until_side_branch -= step;
            let left = sprout.length - gone;
            if until_side_branch <= 0.0 && sprout.depth < 4 && radius > 0.75 && left > 14.0 {
                let turn = side * random.between(0.45, 1.15);
                sprouts.push(Sprout {
                    from: at,
                    angle: angle + turn,
                    radius: radius * random.between(0.48, 0.72),
                    length: (left * random.between(0.45, 0.85)).max(24.0),
                    distance: sprout.distance + gone,
                    depth: sprout.depth + 1,
                    // A side branch turns back towards the course of its parent.
                    bend: -turn * random.between(0.001, 0.005),
                    main: false,
                });
                side = if random.next().is_multiple_of(4) { side } else { -side };
                until_side_branch = random.between(16.0, 46.0);
            }
        }
        self.lay(drawing);
        course
    }

    fn inside(&self, at: Point) -> bool {
        let margin = 6.0 * self.field.scale();
        at.x > margin
            && at.y > margin
            && at.x < self.field.columns as f32 - margin
            && at.y < self.field.rows as f32 - margin
    }

    /// Adds a stroke to what is there: where vessels cross, the ray is longer.
    fn lay(&mut self, stroke: Stroke) {
        for (index, mark) in stroke.marks {
            let Some(cell) = self.cells.get_mut(index) else { continue };
            // The thicker vessel decides when the contrast shows.
            if mark.thickness >= cell.thickness {
                cell.distance = mark.distance;
            }
            cell.thickness = cell.thickness.saturating_add(mark.thickness);
        }
    }

    fn occupied(&self) -> (Vec<bool>, usize) {
        let across = self.field.columns.div_ceil(BLOCK);
        let down = self.field.rows.div_ceil(BLOCK);
        let mut occupied = vec![false; across * down];
        for (index, cell) in self.cells.iter().enumerate() {
            if cell.thickness == 0 {
                continue;
            }
            let (x, y) = ((index % self.field.columns) / BLOCK, index / self.field.columns / BLOCK);
            // Neighbours too: a run of pixels is tested at its middle only.
            for row in y.saturating_sub(1)..=(y + 1).min(down - 1) {
                for column in x.saturating_sub(1)..=(x + 1).min(across - 1) {
                    if let Some(flag) = occupied.get_mut(row * across + column) {
                        *flag = true;
                    }
                }
            }
        }
        (occupied, across)
    }
}

/// The pixels of one branch. Within it the thickest disc wins, for discs of one vessel overlap without
/// the ray being longer.
#[derive(Default)]
struct Stroke {
    marks: std::collections::BTreeMap<usize, Cell>,
}

impl Stroke {
    /// A slice of the vessel: a circular lumen (radius in pixels) seen from the side, its edge blurred.
    fn disc(&mut self, at: Point, radius: f32, distance: f32, field: Field) {
        let unit = field.scale();
        let blur = 0.8;
        let reach = radius + blur + 1.5;
        let fullest = MAIN_THICKNESS / (MAIN_RADIUS * unit);
        let distance = (distance / LONGEST * 255.0).min(255.0) as u8;
        let (top, bottom) = ((at.y - reach).max(0.0) as usize, (at.y + reach) as usize + 1);
        let (left, right) = ((at.x - reach).max(0.0) as usize, (at.x + reach) as usize + 1);
        for y in top..bottom.min(field.rows) {
            for x in left..right.min(field.columns) {
                let off = ((x as f32 - at.x).powi(2) + (y as f32 - at.y).powi(2)).sqrt();
                let depth = (radius * radius - off * off).max(0.0).sqrt();
                let edge = 1.0 - smooth_step(radius - blur, radius + blur, off);
                // Half the blurred disc keeps vessels thinner than a pixel visible.
                let thickness = (0.75 * depth + 0.35 * radius * edge) * fullest;
                let mark = Cell { thickness: thickness.min(255.0) as u8, distance };
                let known = self.marks.entry(y * field.columns + x).or_insert(mark);
                if mark.thickness > known.thickness {
                    *known = mark;
                }
            }
        }
    }
}

/// The tree at one moment.
#[derive(Debug)]
pub(super) struct Warped<'a> {
    tree: &'a Tree,
    warp: Warp,
    /// Contrast (of 256) by distance.
    contrast: [u32; 256],
}

/// Fixed point: fractions of a pixel.
const ONE: i64 = 1 << 16;

fn fixed(value: f32) -> i64 {
    (value * ONE as f32) as i64
}

impl Warped<'_> {
    /// Takes out of row `y` what the filled vessels absorb.
    pub(super) fn shade(&self, y: usize, row: &mut [u16]) {
        let start = self.warp.source(Point { x: 0.0, y: y as f32 });
        let (across, down) = (fixed(self.warp.stretch), fixed(-self.warp.twist));
        let (mut u, mut v) = (fixed(start.x), fixed(start.y));
        for run in row.chunks_mut(BLOCK) {
            let half = BLOCK as i64 / 2;
            if self.may_meet_vessel(u + half * across, v + half * down) {
                let (mut u, mut v) = (u, v);
                for value in run.iter_mut() {
                    let attenuation = self.attenuation(u, v);
                    if let Some(transmission) = self.tree.transmission.get(attenuation)
                        && attenuation != 0
                    {
                        *value = ((u32::from(*value) * transmission) >> 16) as u16;
                    }
                    u += across;
                    v += down;
                }
            }
            u += BLOCK as i64 * across;
            v += BLOCK as i64 * down;
        }
    }

    fn may_meet_vessel(&self, u: i64, v: i64) -> bool {
        let (Ok(x), Ok(y)) = (usize::try_from(u >> 16), usize::try_from(v >> 16)) else { return true };
        let inside = x < self.tree.field.columns && y < self.tree.field.rows;
        // Just outside, the run's other half may still be inside.
        !inside
            || self.tree.occupied.get(y / BLOCK * self.tree.blocks_across + x / BLOCK).copied() == Some(true)
    }

    /// Attenuation (index into the transmissions) at a place of the tree at rest.
    fn attenuation(&self, u: i64, v: i64) -> usize {
        let (Ok(x), Ok(y)) = (usize::try_from(u >> 16), usize::try_from(v >> 16)) else { return 0 };
        let columns = self.tree.field.columns;
        if x + 1 >= columns {
            return 0;
        }
        let index = y * columns + x;
        let (Some([a, b]), Some([c, d])) = (
            self.tree.cells.get(index..index + 2),
            self.tree.cells.get(index + columns..index + columns + 2),
        ) else {
            return 0;
        };
        // Every cell holds contrast by its own distance: the four are mixed after filling, not before.
        let filled = |cell: &Cell| {
            let contrast = self.contrast.get(usize::from(cell.distance)).copied().unwrap_or(0);
            u32::from(cell.thickness) * contrast
        };
        let (fx, fy) = (((u >> 8) & 0xFF) as u32, ((v >> 8) & 0xFF) as u32);
        let upper = filled(a) * (256 - fx) + filled(b) * fx;
        let lower = filled(c) * (256 - fx) + filled(d) * fx;
        let mixed = (upper >> 8) * (256 - fy) + (lower >> 8) * fy;
        ((mixed >> 16) as usize).min(255)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_comes_from_the_ostium_stays_and_leaves_in_that_order() {
        let (proximal, distal) = (0.05, 0.8);
        assert_eq!(concentration(proximal, 0.2, 0.0), 0.0);
        assert!(concentration(proximal, 1.1, 0.0) > 0.9);
        assert!(concentration(distal, 1.1, 0.0) < 0.05);
        assert!(concentration(distal, 2.2, 0.0) > 0.9);
        assert!(concentration(proximal, 4.3, 0.0) < 0.05);
        assert!(concentration(distal, 4.3, 0.0) > 0.5);
        assert_eq!(concentration(distal, 5.9, 0.0), 0.0);
    }

    #[test]
    fn the_main_artery_is_long_and_the_tree_covers_a_part_of_the_field_only() {
        for seed in 0..8 {
            let tree = Tree::grow(Field { rows: 256, columns: 256 }, seed);
            assert!(tree.main_course().len() > 200, "seed {seed}: {}", tree.main_course().len());
            let filled = tree.cells.iter().filter(|cell| cell.thickness > 20).count();
            let share = filled as f32 / tree.cells.len() as f32;
            assert!((0.02..0.30).contains(&share), "seed {seed}: {share}");
        }
    }

    #[test]
    fn skipping_empty_blocks_changes_no_pixel() {
        let field = Field { rows: 200, columns: 333 };
        let mut tree = Tree::grow(field, 3);
        let frame = |tree: &Tree| {
            let warped = tree.at(Beat { contraction: 0.8, breath: -0.7 }, 2.5);
            (0..200)
                .flat_map(|y| {
                    let mut row = vec![50_000_u16; 333];
                    warped.shade(y, &mut row);
                    row
                })
                .collect::<Vec<_>>()
        };
        let skipping = frame(&tree);
        tree.occupied.fill(true);
        assert_eq!(skipping, frame(&tree));
        assert!(skipping.iter().any(|value| *value < 40_000));
    }
}
