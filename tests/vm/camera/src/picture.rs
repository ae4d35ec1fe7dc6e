//! What the camera shows: a still background, and in its first 16 rows the number of the frame, for
//! machines to read. 32 blocks of 16 by 16 pixels stand side by side, the most significant bit first;
//! white is 1 and black is 0. The splash, which some capture devices show for want of a signal, has
//! neither number nor pattern.

use crate::control::Mode;
use crate::jpeg::Strips;
use crate::options::{Format, Size};

/// Rows, and columns, of one block.
pub(crate) const BLOCK: usize = 16;
const BITS: u32 = 32;
const BLACK: u8 = 16;
const WHITE: u8 = 235;
const GREY: u8 = 128;

/// The pictures of one mode, as bytes for the wire.
pub(crate) enum Picture {
    /// The frame of the last number, drawn over again for each.
    Yuyv { frame: Vec<u8>, splash: Vec<u8>, width: usize },
    /// The frame of the last number, and what it is put together from.
    Mjpeg { frame: Vec<u8>, splash: Vec<u8>, strips: Strips },
}

impl Picture {
    /// Draws what does not change. `None` for a size that JPEG cannot have.
    pub(crate) fn new(Mode { format, size }: Mode) -> Option<Self> {
        let background = planes(size, |x, y| {
            let shade = x * 160 / usize::from(size.width) + y * 50 / usize::from(size.height);
            [u8::try_from(shade + 20).unwrap_or(WHITE), 100, 150]
        });
        let splash = planes(size, |_, _| [60, 180, 110]);
        Some(match format {
            Format::Yuyv => Self::Yuyv {
                frame: packed(&background),
                splash: packed(&splash),
                width: usize::from(size.width),
            },
            Format::Mjpeg => Self::Mjpeg {
                frame: Vec::new(),
                splash: Strips::encode(size, &splash)?.whole(),
                strips: Strips::encode(size, &background)?,
            },
        })
    }

    /// Draws the number, so that [`Picture::frame`] shows it.
    pub(crate) fn number(&mut self, number: u32) {
        match self {
            Self::Yuyv { frame, width, .. } => {
                for row in frame.chunks_exact_mut(*width * 2).take(BLOCK) {
                    for (block, bit) in row.chunks_exact_mut(BLOCK * 2).zip(bits(number)) {
                        block.as_chunks_mut().0.fill([luma(bit), GREY]);
                    }
                }
            }
            Self::Mjpeg { frame, strips, .. } => {
                let size = Size { height: 16, ..strips.size() };
                let top = planes(size, |x, _| match bits(number).nth(x / BLOCK) {
                    Some(bit) => [luma(bit), GREY, GREY],
                    None => [20, 100, 150],
                });
                if let Some(top) = Strips::encode(size, &top) {
                    *frame = strips.with_top(&top);
                }
            }
        }
    }

    /// The bytes of the frame of the last number.
    pub(crate) fn frame(&self) -> &[u8] {
        let (Self::Yuyv { frame, .. } | Self::Mjpeg { frame, .. }) = self;
        frame
    }

    /// The bytes of the splash.
    pub(crate) fn splash(&self) -> &[u8] {
        let (Self::Yuyv { splash, .. } | Self::Mjpeg { splash, .. }) = self;
        splash
    }
}

/// The bits of a number, the most significant first.
fn bits(number: u32) -> impl Iterator<Item = bool> {
    (0..BITS).rev().map(move |bit| number >> bit & 1 == 1)
}

fn luma(bit: bool) -> u8 {
    if bit { WHITE } else { BLACK }
}

/// Luma and both colour differences of every pixel, row by row.
fn planes(size: Size, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
    let (width, height) = (usize::from(size.width), usize::from(size.height));
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect()
}

/// The same, two pixels sharing their colour: Y, Cb, Y, Cr.
fn packed(planes: &[u8]) -> Vec<u8> {
    let (pairs, _) = planes.as_chunks::<6>();
    pairs.iter().flat_map(|&[left, blue, red, right, _, _]| [left, blue, right, red]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 640, height: 48 };

    #[test]
    fn the_number_can_be_read_back() {
        let mut picture = Picture::new(Mode { format: Format::Yuyv, size: SIZE }).unwrap();
        for number in [0, 1, 0x8000_0001, u32::MAX, 0x1234_5678] {
            picture.number(number);
            let row = &picture.frame()[15 * 640 * 2..];
            let read = (0..32).fold(0, |read, bit| read << 1 | u32::from(row[bit * 32 + 14] > 128));
            assert_eq!(read, number);
        }
        assert_eq!(picture.frame().len(), 640 * 48 * 2);
        assert_eq!(picture.splash().len(), 640 * 48 * 2);
    }

    /// Only the strip with the number is encoded for each frame; the file must be what encoding all of
    /// it would have made.
    #[test]
    fn a_frame_of_jpeg_is_as_if_encoded_in_one_go() {
        let mode = Mode { format: Format::Mjpeg, size: Size { width: 640, height: 200 } };
        let mut picture = Picture::new(mode).unwrap();
        picture.number(0xdead_beef);
        let whole = planes(mode.size, |x, y| match bits(0xdead_beef).nth(x / BLOCK) {
            Some(bit) if y < 16 => [luma(bit), GREY, GREY],
            None if y < 16 => [20, 100, 150],
            _ => [u8::try_from(x * 160 / 640 + y * 50 / 200 + 20).unwrap(), 100, 150],
        });
        assert_eq!(picture.frame(), Strips::encode(mode.size, &whole).unwrap().whole());
        assert!(picture.frame() != picture.splash());
    }
}
