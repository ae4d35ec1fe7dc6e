//! The descriptors by which the host knows a USB video device: USB 3.2, 9.6, and USB Device Class
//! Definition for Video Devices 1.1, 3.2 to 3.10. One control interface, one streaming interface with
//! one bulk endpoint, each format in each size at one rate.

use crate::options::{Format, Options, Size};

/// The most bytes of one payload, its header included. uvcvideo parts a bulk payload into transfers of 32
/// packets; a payload is one transfer if it is no longer than 32 packets of 1024 bytes.
pub(crate) const PAYLOAD: usize = 32 * 1024;
/// The streaming interface, which probe and commit go to.
pub(crate) const STREAMING: u8 = 1;

/// wMaxPacketSize of a bulk endpoint at super speed.
const PACKET: u16 = 1024;
const CLOCK: u32 = 48_000_000;
const BULK_IN: u8 = 0x81;
const CAMERA_TERMINAL: u8 = 1;
const OUTPUT_TERMINAL: u8 = 2;

/// Time of one frame in units of 100 ns, as the standard counts.
pub(crate) fn interval(fps: u32) -> u32 {
    10_000_000 / fps.max(1)
}

/// The most bytes of one frame (dwMaxVideoFrameSize).
pub(crate) fn most_bytes(size: Size) -> u32 {
    u32::from(size.width) * u32::from(size.height) * 2
}

/// The descriptor of that type and index (the two bytes of wValue); `None` if there is none.
pub(crate) fn descriptor(options: &Options, kind: u8, index: u8) -> Option<Vec<u8>> {
    match (kind, index) {
        (1, _) => Some(device(options)),
        (2, _) => Some(configuration(options)),
        (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
        (3, 1) => Some(string("Framegate")),
        (3, 2) => Some(string(&options.name)),
        (3, 3) => Some(string(&options.serial)),
        _ => None,
    }
}

/// Collects bytes, little-endian, and puts the length of a descriptor in front.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u8s(mut self, values: &[u8]) -> Self {
        self.0.extend_from_slice(values);
        self
    }

    fn u16(self, value: u16) -> Self {
        self.u8s(&value.to_le_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.u8s(&value.to_le_bytes())
    }

    /// With bLength in front, which counts itself.
    fn sized(self) -> Vec<u8> {
        let length = u8::try_from(self.0.len() + 1).unwrap_or(u8::MAX);
        Bytes(vec![length]).u8s(&self.0).0
    }
}

fn bytes() -> Bytes {
    Bytes::default()
}

/// The lengths of all descriptors are bounded by what options allow, far below this.
fn total(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

fn string(text: &str) -> Vec<u8> {
    text.encode_utf16().fold(bytes().u8s(&[3]), Bytes::u16).sized()
}

fn device(options: &Options) -> Vec<u8> {
    bytes()
        .u8s(&[1])
        .u16(0x0300)
        // Class by interface association; control packets of 2^9 bytes.
        .u8s(&[0xef, 2, 1, 9])
        .u16(options.id.0)
        .u16(options.id.1)
        .u16(0x0100)
        .u8s(&[1, 2, 3, 1])
        .sized()
}

fn configuration(options: &Options) -> Vec<u8> {
    let mut body = bytes().u8s(&[11, 0, 2, 0x0e, 3, 0, 0]).sized();
    body.extend(bytes().u8s(&[4, 0, 0, 0, 0x0e, 1, 0, 2]).sized());
    body.extend(control_interface());
    body.extend(bytes().u8s(&[4, STREAMING, 0, 1, 0x0e, 2, 0, 0]).sized());
    body.extend(streaming_interface(options));
    body.extend(bytes().u8s(&[5, BULK_IN, 2]).u16(PACKET).u8s(&[0]).sized());
    // The companion that every endpoint has at super speed: bursts of 16 packets, no streams.
    body.extend(bytes().u8s(&[48, 15, 0]).u16(0).sized());
    // One configuration of two interfaces, powered by the bus with 896 mA.
    let mut all = bytes().u8s(&[2]).u16(total(9 + body.len())).u8s(&[2, 1, 0, 0x80, 112]).sized();
    all.extend(body);
    all
}

fn control_interface() -> Vec<u8> {
    let camera = bytes()
        .u8s(&[0x24, 2, CAMERA_TERMINAL])
        .u16(0x0201)
        .u8s(&[0, 0])
        .u16(0)
        .u16(0)
        .u16(0)
        // No controls.
        .u8s(&[2, 0, 0])
        .sized();
    let output = bytes().u8s(&[0x24, 3, OUTPUT_TERMINAL]).u16(0x0101).u8s(&[0, CAMERA_TERMINAL, 0]).sized();
    let units = [camera, output].concat();
    let mut all = bytes()
        .u8s(&[0x24, 1])
        .u16(0x0110)
        .u16(total(13 + units.len()))
        .u32(CLOCK)
        .u8s(&[1, STREAMING])
        .sized();
    all.extend(units);
    all
}

fn streaming_interface(options: &Options) -> Vec<u8> {
    let count = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let mut formats = Vec::new();
    for (number, format) in (1..).zip(&options.formats) {
        let sizes = count(options.sizes.len());
        let (head, frame) = match format {
            Format::Yuyv => {
                let guid = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71";
                let head = bytes().u8s(&[0x24, 4, number, sizes]).u8s(guid).u8s(&[16, 1, 0, 0, 0, 0]);
                (head, 5)
            }
            Format::Mjpeg => (bytes().u8s(&[0x24, 6, number, sizes, 0, 1, 0, 0, 0, 0]), 7),
        };
        formats.extend(head.sized());
        for (number, &size) in (1..).zip(&options.sizes) {
            let bits = most_bytes(size).saturating_mul(8).saturating_mul(options.fps);
            let shape = bytes()
                .u8s(&[0x24, frame, number, 0])
                .u16(size.width)
                .u16(size.height)
                .u32(bits)
                .u32(bits)
                .u32(most_bytes(size))
                .u32(interval(options.fps))
                .u8s(&[1])
                .u32(interval(options.fps));
            formats.extend(shape.sized());
        }
        // Colour as ITU-R BT.709 has it, matrix as BT.601.
        formats.extend(bytes().u8s(&[0x24, 13, 1, 1, 4]).sized());
    }
    let number = count(options.formats.len());
    let mut all = bytes()
        .u8s(&[0x24, 1, number])
        .u16(total(13 + options.formats.len() + formats.len()))
        .u8s(&[BULK_IN, 0, OUTPUT_TERMINAL, 0, 0, 0, 1])
        .u8s(&vec![0; options.formats.len()])
        .sized();
    all.extend(formats);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Options {
        Options::parse(std::iter::empty()).unwrap()
    }

    /// The chain of lengths must lead exactly to the end: a host that loses it sees no camera.
    #[test]
    fn the_configuration_is_a_chain_of_whole_descriptors() {
        let bytes = descriptor(&usual(), 2, 0).unwrap();
        assert_eq!(usize::from(u16::from_le_bytes([bytes[2], bytes[3]])), bytes.len());
        let (mut at, mut frames, mut endpoints) = (0, 0, 0);
        while at < bytes.len() {
            match bytes[at..] {
                [30, 0x24, 5 | 7, ..] => frames += 1,
                [7, 5, 0x81, 2, 0, 4, 0, ..] => endpoints += 1,
                _ => {}
            }
            at += usize::from(bytes[at]);
        }
        assert_eq!((at, frames, endpoints), (bytes.len(), 6, 1));
    }

    #[test]
    fn strings_are_utf16_with_their_length() {
        assert_eq!(string("aé"), [6, 3, b'a', 0, 0xe9, 0]);
    }
}
