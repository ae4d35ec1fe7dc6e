//! The devices: a guide catheter from the aorta into the ostium, and a wire that is pushed on and drawn
//! back along the main artery, its radiopaque tip dark with the bright rim that edge enhancement gives.

use super::{Beat, Field, Point, smooth_step};

/// The wire goes in and out once in this many seconds.
const EXCURSION: f64 = 9.0;
/// How far the wire gets, as parts of the artery's course.
const REACH: std::ops::Range<f32> = 0.22..0.88;
/// Transmission is held in bytes of which this means unchanged; above it the rim brightens.
const CLEAR: u8 = 128;

/// The devices at rest.
#[derive(Debug)]
pub(super) struct Catheter {
    field: Field,
    /// From the picture's edge to the ostium, dense points.
    guide: Vec<Point>,
    /// From the ostium down the artery, dense points.
    course: Vec<Point>,
}

impl Catheter {
    /// Lays the guide catheter to the first point of `course`, the centre line of the artery.
    pub(super) fn new(field: Field, course: &[Point]) -> Self {
        let ostium = course.first().copied().unwrap_or(field.place(0.35, 0.25));
        // Down the arch and round the bend of a Judkins tip.
        let knots = [
            field.place(0.205, -0.03),
            field.place(0.175, 0.12),
            field.place(0.185, 0.255),
            field.place(0.245, 0.315),
            field.place(0.295, 0.262),
            ostium,
        ];
        Self { field, guide: curve(&knots), course: course.to_vec() }
    }

    /// The devices as they are seen at one moment.
    pub(super) fn at(&self, beat: Beat, seconds: f64) -> Seen {
        let unit = self.field.scale();
        let warp = beat.backward(self.field);
        let turn = (seconds / EXCURSION).fract() as f32 * std::f32::consts::TAU;
        let advance = REACH.start + (REACH.end - REACH.start) * 0.5 * (1.0 - turn.cos());
        let tip = ((self.course.len() as f32 * advance) as usize).clamp(1, self.course.len().max(1));
        let mut seen = Seen::new(self.field);

        // Only the end of the guide is held by the heart; its shaft lies still.
        let last = self.guide.len().max(1) as f32;
        let guide = self.guide.iter().enumerate().map(|(number, point)| {
            let held = smooth_step(0.55, 1.0, number as f32 / last);
            let moved = warp.seen(*point);
            Point { x: point.x + held * (moved.x - point.x), y: point.y + held * (moved.y - point.y) }
        });
        for point in guide {
            seen.tube(point, 4.2 * unit);
        }
        let wire: Vec<Point> = self.course.iter().take(tip).map(|point| warp.seen(*point)).collect();
        let soft_tip = wire.len().saturating_sub(26);
        for (number, point) in wire.iter().enumerate() {
            let (radius, transmission) = if number < soft_tip { (0.75, 78) } else { (1.25, 30) };
            seen.solid(*point, radius * unit, transmission);
        }
        // Two marker bands behind the tip.
        for back in [2, 22] {
            if let Some(point) = wire.len().checked_sub(back).and_then(|number| wire.get(number)) {
                seen.marker(*point, 3.0 * unit);
            }
        }
        seen
    }
}

/// A Catmull-Rom curve through `knots`, in points about a pixel apart.
fn curve(knots: &[Point]) -> Vec<Point> {
    let mut points = Vec::new();
    for (number, pair) in knots.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        let before = number.checked_sub(1).and_then(|index| knots.get(index)).unwrap_or(from);
        let after = knots.get(number + 2).unwrap_or(to);
        let steps = ((to.x - from.x).hypot(to.y - from.y) * 1.4) as usize + 2;
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            let blend = |p0: f32, p1: f32, p2: f32, p3: f32| {
                p1 + 0.5
                    * t
                    * (p2 - p0 + t * (2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3 + t * (3.0 * (p1 - p2) + p3 - p0)))
            };
            points.push(Point {
                x: blend(before.x, from.x, to.x, after.x),
                y: blend(before.y, from.y, to.y, after.y),
            });
        }
    }
    points
}

/// The devices of one frame: a transmission a pixel, kept only for the rows and columns they touch.
#[derive(Debug)]
pub(super) struct Seen {
    columns: usize,
    transmission: Vec<u8>,
    /// First touched column and the one after the last, by row.
    extents: Vec<(usize, usize)>,
}

impl Seen {
    fn new(field: Field) -> Self {
        Self {
            columns: field.columns,
            transmission: vec![CLEAR; field.columns * field.rows],
            extents: vec![(usize::MAX, 0); field.rows],
        }
    }

    /// Offers `shape(distance from the centre)` to each pixel within `reach`; the darker value stays,
    /// and brightening shows only where nothing darkens.
    fn paint(&mut self, at: Point, reach: f32, shape: impl Fn(f32) -> u8) {
        let (top, bottom) = ((at.y - reach).max(0.0) as usize, (at.y + reach).max(0.0) as usize + 1);
        let (left, right) = ((at.x - reach).max(0.0) as usize, (at.x + reach).max(0.0) as usize + 1);
        let right = right.min(self.columns);
        for y in top..bottom.min(self.extents.len()) {
            let Some(extent) = self.extents.get_mut(y) else { continue };
            let Some(run) = self.transmission.get_mut(y * self.columns + left..y * self.columns + right)
            else {
                continue;
            };
            *extent = (extent.0.min(left), extent.1.max(right));
            for (step, value) in run.iter_mut().enumerate() {
                let off = ((left + step) as f32 - at.x).hypot(y as f32 - at.y);
                let offered = shape(off);
                if offered < *value || (*value == CLEAR && offered > CLEAR) {
                    *value = offered;
                }
            }
        }
    }

    /// A hollow shaft. Painted disc by disc, it keeps the darkest, which would be the wall everywhere;
    /// so the wall is left to the profile's slow fall and the lumen to its constant middle.
    fn tube(&mut self, at: Point, radius: f32) {
        self.paint(at, radius + 1.0, |off| {
            let inside = 1.0 - smooth_step(radius - 0.9, radius + 0.7, off);
            (f32::from(CLEAR) * (1.0 - 0.40 * inside)) as u8
        });
    }

    /// A full wire of the given transmission (of 128).
    fn solid(&mut self, at: Point, radius: f32, transmission: u8) {
        self.paint(at, radius + 1.5, |off| {
            let inside = 1.0 - smooth_step(radius - 0.5, radius + 0.9, off);
            (f32::from(CLEAR) - inside * f32::from(CLEAR.saturating_sub(transmission))) as u8
        });
    }

    /// A radiopaque band: dark, in a bright rim.
    fn marker(&mut self, at: Point, radius: f32) {
        self.paint(at, radius * 2.2, |off| {
            let inside = 1.0 - smooth_step(radius - 0.6, radius + 0.6, off);
            let rim =
                smooth_step(radius, radius * 1.3, off) * (1.0 - smooth_step(radius * 1.4, radius * 2.2, off));
            (f32::from(CLEAR) * (1.0 - 0.88 * inside + 0.22 * rim)) as u8
        });
    }

    /// Darkens (and at a rim brightens) row `y`.
    pub(super) fn shade(&self, y: usize, row: &mut [u16]) {
        let Some(&(left, right)) = self.extents.get(y) else { return };
        let start = y * self.columns;
        let (Some(values), Some(devices)) =
            (row.get_mut(left..right), self.transmission.get(start + left.min(right)..start + right))
        else {
            return;
        };
        for (value, transmission) in values.iter_mut().zip(devices) {
            *value = ((u32::from(*value) * u32::from(*transmission)) >> 7).min(0xFFFF) as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tip_moves_and_is_the_darkest_part() {
        let field = Field { rows: 256, columns: 256 };
        let course: Vec<Point> = (0..150).map(|x| Point { x: 90.0 + x as f32, y: 60.0 }).collect();
        let catheter = Catheter::new(field, &course);
        let rest = Beat { contraction: 0.0, breath: 0.0 };
        let darkest = |seconds| {
            let seen = catheter.at(rest, seconds);
            let mut row = vec![10_000_u16; 256];
            seen.shade(60, &mut row);
            let darkest = row.iter().copied().min().unwrap();
            assert!(darkest < 3_000, "{darkest}");
            assert!(row.iter().any(|value| *value > 10_000), "no bright rim");
            row.iter().rposition(|value| *value == darkest).unwrap()
        };
        let (drawn_back, advanced) = (darkest(0.0), darkest(EXCURSION / 2.0));
        assert!(advanced > drawn_back + 60, "{drawn_back} {advanced}");
    }
}
