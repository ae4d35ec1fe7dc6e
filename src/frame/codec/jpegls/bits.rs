//! The bits of entropy-coded data (ISO/IEC 14495-1 §A.1): after a byte of ones comes one with seven bits.

use super::Damaged;

/// Bits, the most significant first, up to the marker that ends them.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// Bits that were taken out of `rest`, left-aligned; zeros behind them.
    held: u64,
    count: u32,
    /// The last byte taken was all ones.
    ones: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, held: 0, count: 0, ones: false }
    }

    /// Takes bytes while one fits.
    fn fill(&mut self) {
        while self.count <= 56 {
            let Some((&byte, rest)) = self.rest.split_first() else { return };
            let width = if self.ones { 7 } else { 8 };
            self.held |= u64::from(byte) << (64 - width - self.count);
            self.count += width;
            self.ones = byte == 0xFF;
            self.rest = rest;
        }
    }

    /// The next `width` bits, at most 24, as a number.
    pub(super) fn take(&mut self, width: u32) -> Result<i32, Damaged> {
        if self.count < width {
            self.fill();
            if self.count < width {
                return Err(Damaged("it ends early"));
            }
        }
        // In two steps, since a shift by all 64 bits is none.
        let value = self.held >> 1 >> (63 - width);
        self.held <<= width;
        self.count -= width;
        Ok(value as i32)
    }

    /// How many zeros stand before the next one, which is taken too; more than `most` are an error.
    pub(super) fn zeros(&mut self, most: u32) -> Result<u32, Damaged> {
        let mut zeros = 0;
        loop {
            if self.count == 0 {
                self.fill();
                if self.count == 0 {
                    return Err(Damaged("it ends early"));
                }
            }
            let run = self.held.leading_zeros().min(self.count);
            zeros += run;
            if zeros > most {
                return Err(Damaged("a code is too long"));
            }
            self.held = self.held.checked_shl(run).unwrap_or(0);
            self.count -= run;
            if self.count > 0 {
                self.held <<= 1;
                self.count -= 1;
                return Ok(zeros);
            }
        }
    }
}
