//! One scan of JPEG-LS (ISO/IEC 14495-1 Annex A, Annex B for colour): contexts, prediction, runs.
//!
//! Names are the standard's. All that a damaged stream can make of the numbers is bounded: a code may
//! be no larger than the samples' range allows, so no sum grows and no loop goes on without bits.

use super::bits::Bits;
use super::{Damaged, Parameters};

/// J (§A.2.1): how long runs are by the run index, as powers of two.
const J: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];
/// Contexts of regular mode: nine gradients each of three, of which the sign is left out.
const CONTEXTS: usize = 365;
/// The longest Golomb parameter that samples of 16 bits can lead to, and some.
const MOST_K: u32 = 20;

/// How the components of a scan lie in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interleave {
    /// Line by line, or only one component.
    Line,
    /// Sample by sample.
    Sample,
}

/// Statistics of one context.
#[derive(Clone, Copy)]
struct Context {
    a: i32,
    b: i32,
    c: i32,
    n: i32,
    /// Of run interruptions: how many errors were negative.
    nn: i32,
}

/// The decoder of one scan.
pub(super) struct Scan<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    regular: [Context; CONTEXTS],
    /// Run interruptions by RItype.
    interrupted: [Context; 2],
}

/// A line with the samples that the standard imagines on both sides of it.
pub(super) struct Line(Vec<i32>);

impl Line {
    fn new(columns: usize) -> Self {
        Self(vec![0; columns + 2])
    }

    /// The sample at `column`, −1 and the one after the last included.
    fn at(&self, column: usize, offset: usize) -> i32 {
        self.0.get(column + offset).copied().unwrap_or_default()
    }

    fn set(&mut self, column: usize, value: i32) {
        if let Some(place) = self.0.get_mut(column + 1) {
            *place = value;
        }
    }

    /// The samples that are there.
    pub(super) fn samples(&self) -> &[i32] {
        self.0.get(1..self.0.len() - 1).unwrap_or_default()
    }
}

/// The neighbours of a sample (§A.1, Figure A.1).
#[derive(Clone, Copy)]
struct Neighbours {
    a: i32,
    b: i32,
    c: i32,
    d: i32,
}

impl<'a> Scan<'a> {
    pub(super) fn new(data: &'a [u8], parameters: Parameters) -> Self {
        let start = ((parameters.range + 32) / 64).max(2);
        let context = Context { a: start, b: 0, c: 0, n: 1, nn: 0 };
        Self { bits: Bits::new(data), parameters, regular: [context; CONTEXTS], interrupted: [context; 2] }
    }

    /// Decodes all lines and hands each over with its component and row.
    pub(super) fn decode(
        mut self,
        (rows, columns, components): (usize, usize, usize),
        interleave: Interleave,
        mut put: impl FnMut(usize, usize, &Line),
    ) -> Result<(), Damaged> {
        let mut previous: Vec<Line> = (0..components).map(|_| Line::new(columns)).collect();
        let mut current: Vec<Line> = (0..components).map(|_| Line::new(columns)).collect();
        let mut run_index = vec![0_usize; components];
        for row in 0..rows {
            for (above, line) in previous.iter_mut().zip(&mut current) {
                // Rd after the last sample, Ra before the first (§A.2.1).
                let (first, last) = (above.at(0, 1), above.at(columns, 0));
                above.set(columns, last);
                if let Some(before) = line.0.first_mut() {
                    *before = first;
                }
            }
            match interleave {
                Interleave::Line => {
                    for ((above, line), index) in previous.iter().zip(&mut current).zip(&mut run_index) {
                        self.line(above, line, columns, index)?;
                    }
                }
                Interleave::Sample => {
                    let Some(index) = run_index.first_mut() else { return Ok(()) };
                    self.pixels(&previous, &mut current, columns, index)?;
                }
            }
            for (component, line) in current.iter().enumerate() {
                put(component, row, line);
            }
            std::mem::swap(&mut previous, &mut current);
        }
        Ok(())
    }

    /// A line of one component.
    fn line(
        &mut self,
        above: &Line,
        line: &mut Line,
        columns: usize,
        run_index: &mut usize,
    ) -> Result<(), Damaged> {
        let mut column = 0;
        while column < columns {
            let around = neighbours(above, line, column);
            let q = self.quantize(around);
            if q != 0 {
                let value = self.regular(q, around)?;
                line.set(column, value);
                column += 1;
                continue;
            }
            let (length, interrupted) = self.run(columns - column, run_index)?;
            for place in column..column + length {
                line.set(place, around.a);
            }
            column += length;
            if interrupted {
                let (a, b) = (around.a, above.at(column, 1));
                let kind = usize::from((a - b).abs() <= self.parameters.near);
                let value = self.interruption(kind, (a, b), *run_index)?;
                line.set(column, value);
                column += 1;
                *run_index = run_index.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// A line of all components, sample by sample: a run is one of all of them (§B.3).
    fn pixels(
        &mut self,
        above: &[Line],
        lines: &mut [Line],
        columns: usize,
        run_index: &mut usize,
    ) -> Result<(), Damaged> {
        let mut column = 0;
        while column < columns {
            let flat = above
                .iter()
                .zip(lines.iter())
                .all(|(above, line)| self.quantize(neighbours(above, line, column)) == 0);
            if !flat {
                for (above, line) in above.iter().zip(lines.iter_mut()) {
                    let around = neighbours(above, line, column);
                    let value = self.regular(self.quantize(around), around)?;
                    line.set(column, value);
                }
                column += 1;
                continue;
            }
            let (length, interrupted) = self.run(columns - column, run_index)?;
            for (above, line) in above.iter().zip(lines.iter_mut()) {
                let a = line.at(column, 0);
                for place in column..column + length {
                    line.set(place, a);
                }
                if interrupted {
                    let value = self.interruption(0, (a, above.at(column + length, 1)), *run_index)?;
                    line.set(column + length, value);
                }
            }
            column += length;
            if interrupted {
                column += 1;
                *run_index = run_index.saturating_sub(1);
            }
        }
        Ok(())
    }

    /// The context of a sample with the sign of its gradients; 0 where it is flat (§A.3.3, §A.3.4).
    fn quantize(&self, Neighbours { a, b, c, d }: Neighbours) -> i32 {
        let Parameters { near, thresholds: [t1, t2, t3], .. } = self.parameters;
        let quantized = |gradient: i32| {
            let size = gradient.abs();
            let level = if size <= near {
                0
            } else if size < t1 {
                1
            } else if size < t2 {
                2
            } else if size < t3 {
                3
            } else {
                4
            };
            level * gradient.signum()
        };
        (quantized(d - b) * 9 + quantized(b - c)) * 9 + quantized(c - a)
    }

    /// A sample of regular mode (§A.4, §A.5, §A.6).
    fn regular(&mut self, q: i32, Neighbours { a, b, c, .. }: Neighbours) -> Result<i32, Damaged> {
        let Parameters { near, maximum, reset, limit, .. } = self.parameters;
        let sign = if q < 0 { -1 } else { 1 };
        let place = q.unsigned_abs() as usize;
        let mut context = self.regular.get(place).copied().ok_or(Damaged("a context that is none"))?;
        let predicted = if c >= a.max(b) {
            a.min(b)
        } else if c <= a.min(b) {
            a.max(b)
        } else {
            a + b - c
        };
        let predicted = (predicted + sign * context.c).clamp(0, maximum);
        let k = golomb_parameter(context.n, context.a)?;
        let mapped = self.golomb(k, limit)?;
        // §A.5.2 the other way round.
        let biased = near == 0 && k == 0 && 2 * context.b <= -context.n;
        let error = match (mapped % 2 == 0, biased) {
            (true, false) => mapped / 2,
            (false, false) => -(mapped + 1) / 2,
            (true, true) => -(mapped / 2) - 1,
            (false, true) => (mapped - 1) / 2,
        };
        context.a = context.a.saturating_add(error.abs());
        context.b += error * (2 * near + 1);
        if context.n == reset {
            context.a >>= 1;
            context.b >>= 1;
            context.n >>= 1;
        }
        context.n += 1;
        if context.b <= -context.n {
            context.b = (context.b + context.n).max(1 - context.n);
            context.c = (context.c - 1).max(-128);
        } else if context.b > 0 {
            context.b = (context.b - context.n).min(0);
            context.c = (context.c + 1).min(127);
        }
        if let Some(known) = self.regular.get_mut(place) {
            *known = context;
        }
        Ok(self.reconstruct(predicted, sign * error))
    }

    /// The length of a run of at most `most` samples, and whether another sample ends it (§A.7.1).
    fn run(&mut self, most: usize, run_index: &mut usize) -> Result<(usize, bool), Damaged> {
        let mut length = 0;
        while self.bits.take(1)? == 1 {
            let step = 1_usize << order(*run_index);
            if length + step <= most {
                *run_index = (*run_index + 1).min(J.len() - 1);
            }
            length = (length + step).min(most);
            if length == most {
                return Ok((length, false));
            }
        }
        length += self.bits.take(order(*run_index))? as usize;
        if length < most { Ok((length, true)) } else { Err(Damaged("a run goes over its line")) }
    }

    /// The sample that ends a run (§A.7.2), `kind` being RItype.
    fn interruption(&mut self, kind: usize, (a, b): (i32, i32), run_index: usize) -> Result<i32, Damaged> {
        let Parameters { limit, reset, .. } = self.parameters;
        let mut context = self.interrupted.get(kind).copied().ok_or(Damaged("a context that is none"))?;
        let kind = kind as i32;
        let k = golomb_parameter(context.n, context.a.saturating_add((context.n >> 1) * kind))?;
        let mapped = self.golomb(k, limit.saturating_sub(order(run_index) + 1))?;
        let both = mapped + kind;
        let size = (both + 1) / 2;
        let negative = (k != 0 || 2 * context.nn >= context.n) == (both % 2 == 1);
        let error = if negative { -size } else { size };
        context.nn += i32::from(error < 0);
        context.a = context.a.saturating_add((mapped + 1 - kind) >> 1);
        if context.n == reset {
            context.a >>= 1;
            context.n >>= 1;
            context.nn >>= 1;
        }
        context.n += 1;
        if let Some(known) = self.interrupted.get_mut(kind as usize) {
            *known = context;
        }
        let (predicted, sign) = if kind == 1 { (a, 1) } else { (b, if b < a { -1 } else { 1 }) };
        Ok(self.reconstruct(predicted, sign * error))
    }

    /// A mapped error by its limited Golomb code (§A.5.3).
    fn golomb(&mut self, k: u32, limit: u32) -> Result<i32, Damaged> {
        let Parameters { range, range_bits, .. } = self.parameters;
        let escape = limit.saturating_sub(range_bits + 1);
        let zeros = self.bits.zeros(escape)?;
        let value = if zeros < escape {
            (i64::from(zeros) << k) + i64::from(self.bits.take(k)?)
        } else {
            i64::from(self.bits.take(range_bits)?) + 1
        };
        if value > 2 * i64::from(range) { Err(Damaged("an error is out of range")) } else { Ok(value as i32) }
    }

    /// A sample by its prediction and its quantized error, modulo the range (§A.4.5).
    fn reconstruct(&self, predicted: i32, error: i32) -> i32 {
        let Parameters { near, maximum, range, .. } = self.parameters;
        let step = 2 * near + 1;
        let value = predicted + error * step;
        let value = if value < -near {
            value + range * step
        } else if value > maximum + near {
            value - range * step
        } else {
            value
        };
        value.clamp(0, maximum)
    }
}

fn neighbours(above: &Line, line: &Line, column: usize) -> Neighbours {
    Neighbours {
        a: line.at(column, 0),
        b: above.at(column, 1),
        c: above.at(column, 0),
        d: above.at(column, 2),
    }
}

fn order(run_index: usize) -> u32 {
    J.get(run_index).copied().unwrap_or_default()
}

/// §A.5.1.
fn golomb_parameter(n: i32, a: i32) -> Result<u32, Damaged> {
    (0..=MOST_K)
        .find(|k| i64::from(n) << k >= i64::from(a))
        .ok_or(Damaged("the statistics of a context are out of range"))
}
