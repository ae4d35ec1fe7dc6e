//! Endpoint 0: what the host asks about the device, and the negotiation of format and size (USB Device
//! Class Definition for Video Devices 1.1, 4.3.1.1, probe and commit).

use crate::descriptors::{PAYLOAD, STREAMING, descriptor, interval, most_bytes};
use crate::options::{Format, Options, Size};

/// Bytes of a probe or commit block in UVC 1.1.
const BLOCK: u16 = 34;
const SET_CUR: u8 = 0x01;
const GET_LEN: u8 = 0x85;
const GET_INFO: u8 = 0x86;

/// What is delivered once the host has committed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    pub(crate) format: Format,
    pub(crate) size: Size,
}

/// The answer to a control transfer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These bytes go to the host.
    Data(Vec<u8>),
    /// Done; so many bytes were taken from the host.
    Done(usize),
    /// The host committed to a mode; so many bytes were taken.
    Committed(Mode, usize),
    /// There is no such request here.
    Refused,
}

/// The state of the negotiation: numbers of format and frame descriptors, from 1.
pub(crate) struct Control {
    format: u8,
    frame: u8,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self { format: 1, frame: 1 }
    }

    /// Answers one transfer, given its setup packet and what the host sent with it.
    pub(crate) fn answer(&mut self, options: &Options, setup: [u8; 8], data: &[u8]) -> Answer {
        let [kind, request, value_low, value_high, index_low, _, length_low, length_high] = setup;
        let most = usize::from(u16::from_le_bytes([length_low, length_high]));
        let reply = |mut bytes: Vec<u8>| {
            bytes.truncate(most);
            Answer::Data(bytes)
        };
        match (kind, request) {
            // GET_DESCRIPTOR and GET_STATUS.
            (0x80, 6) => descriptor(options, value_high, value_low).map_or(Answer::Refused, reply),
            (0x80..=0x82, 0) => reply(vec![0, 0]),
            // Whatever is set in the standard's own requests (address, configuration, halt) is well.
            (0x00..=0x02, _) => Answer::Done(data.len()),
            (0x21 | 0xa1, _) if index_low == STREAMING && matches!(value_high, 1 | 2) => match request {
                SET_CUR => self.choose(options, data, value_high == 2),
                GET_LEN => reply(BLOCK.to_le_bytes().to_vec()),
                GET_INFO => reply(vec![3]),
                _ => reply(self.block(options)),
            },
            _ => Answer::Refused,
        }
    }

    fn choose(&mut self, options: &Options, data: &[u8], commit: bool) -> Answer {
        let &[_, _, format, frame, ..] = data else { return Answer::Refused };
        let last = |length: usize| u8::try_from(length).unwrap_or(u8::MAX).max(1);
        self.format = format.clamp(1, last(options.formats.len()));
        self.frame = frame.clamp(1, last(options.sizes.len()));
        match self.mode(options) {
            Some(mode) if commit => Answer::Committed(mode, data.len()),
            _ => Answer::Done(data.len()),
        }
    }

    fn mode(&self, options: &Options) -> Option<Mode> {
        let format = *options.formats.get(usize::from(self.format) - 1)?;
        let size = *options.sizes.get(usize::from(self.frame) - 1)?;
        Some(Mode { format, size })
    }

    fn block(&self, options: &Options) -> Vec<u8> {
        let frame_bytes = self.mode(options).map_or(0, |mode| most_bytes(mode.size));
        let payload = u32::try_from(PAYLOAD).unwrap_or(u32::MAX);
        // bmHint: the interval stays as it is.
        let mut block = vec![1, 0, self.format, self.frame];
        block.extend(interval(options.fps).to_le_bytes());
        block.extend([0; 10]);
        block.extend(frame_bytes.to_le_bytes());
        block.extend(payload.to_le_bytes());
        block.extend(48_000_000_u32.to_le_bytes());
        // bmFramingInfo: frame identifier and end of frame are told; versions 1.
        block.extend([3, 1, 1, 1]);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: [u8; 8] = [0xa1, 0x81, 0, 1, 1, 0, 34, 0];

    #[test]
    fn what_was_probed_is_what_is_committed() {
        let options = Options::parse(std::iter::empty()).unwrap();
        let mut control = Control::new();
        let mut wanted = vec![0; 34];
        wanted[2..4].copy_from_slice(&[2, 3]);
        assert_eq!(control.answer(&options, [0x21, 1, 0, 1, 1, 0, 34, 0], &wanted), Answer::Done(34));
        let Answer::Data(block) = control.answer(&options, PROBE, &[]) else { panic!("no block") };
        assert_eq!(block.len(), 34);
        assert_eq!(block[2..8], [2, 3, 0x15, 0x16, 0x05, 0x00]);
        assert_eq!(block[18..22], (640_u32 * 480 * 2).to_le_bytes());
        let mode = Mode { format: Format::Mjpeg, size: Size { width: 640, height: 480 } };
        let commit = control.answer(&options, [0x21, 1, 0, 2, 1, 0, 34, 0], &block);
        assert_eq!(commit, Answer::Committed(mode, 34));
    }

    #[test]
    fn descriptors_are_cut_to_what_the_host_wants() {
        let options = Options::parse(std::iter::empty()).unwrap();
        let answer = Control::new().answer(&options, [0x80, 6, 0, 1, 0, 0, 8, 0], &[]);
        assert_eq!(answer, Answer::Data(vec![18, 1, 0, 3, 0xef, 2, 1, 9]));
        let none = Control::new().answer(&options, [0x80, 6, 0, 15, 0, 0, 5, 0], &[]);
        assert_eq!(none, Answer::Refused);
    }
}
