//! The USB/IP wire: the requests that the guest's host controller sends, and the answers to them.
//!
//! Every message opens with 48 bytes of big-endian words (Documentation/usb/usbip_protocol.rst in the
//! kernel's source); data follow where the direction says so. Only what a camera meets is here: control
//! and bulk transfers, none isochronous.

use std::io::{self, Read};

/// Bytes of the header of every message.
pub(crate) const HEADER: usize = 48;
/// The most bytes that a host may want or send in one transfer; more is no host that we know.
const MOST_BYTES: u32 = 1 << 20;

const CMD_SUBMIT: u32 = 1;
const CMD_UNLINK: u32 = 2;
const RET_SUBMIT: u32 = 3;
const RET_UNLINK: u32 = 4;

/// Status of a transfer that the device refuses: `-EPIPE`, which is what a stall looks like.
pub(crate) const STALL: i32 = -32;
/// Status of a transfer that was taken back in time: `-ECONNRESET`.
pub(crate) const TAKEN_BACK: i32 = -104;

/// What the host controller asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A control transfer on endpoint 0: the setup packet (USB 2.0, 9.3), and what the host sends.
    Control { sequence: u32, setup: [u8; 8], data: Vec<u8> },
    /// A transfer from a bulk endpoint, for so many bytes at most.
    Bulk { sequence: u32, length: usize },
    /// Take back the transfer of that sequence number.
    Unlink { sequence: u32, victim: u32 },
}

/// Reads the next request; waits for it.
///
/// # Errors
/// Those of the socket; `UnexpectedEof` once the controller has let go of the device, and `InvalidData`
/// for what is no request.
pub(crate) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header)?;
    let words: Vec<u32> = header.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
    let &[command, sequence, _device, direction, endpoint, first, length, ..] = words.as_slice() else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    match command {
        CMD_SUBMIT if length <= MOST_BYTES => {
            let length = length as usize;
            if endpoint != 0 {
                return Ok(Request::Bulk { sequence, length });
            }
            let mut data = vec![0; if direction == 0 { length } else { 0 }];
            from.read_exact(&mut data)?;
            let setup = header.last_chunk().copied().unwrap_or_default();
            Ok(Request::Control { sequence, setup, data })
        }
        CMD_UNLINK => Ok(Request::Unlink { sequence, victim: first }),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// The header of the answer to a transfer: its status, 0 or a negative errno, and the bytes moved.
pub(crate) fn transferred(sequence: u32, status: i32, length: usize) -> [u8; HEADER] {
    header(RET_SUBMIT, sequence, status, u32::try_from(length).unwrap_or(0))
}

/// The answer to [`Request::Unlink`]: [`TAKEN_BACK`], or 0 if the transfer was over already.
pub(crate) fn unlinked(sequence: u32, status: i32) -> [u8; HEADER] {
    header(RET_UNLINK, sequence, status, 0)
}

fn header(command: u32, sequence: u32, status: i32, length: u32) -> [u8; HEADER] {
    let words = [command, sequence, 0, 0, 0, status.cast_unsigned(), length, 0, 0, 0, 0, 0];
    let mut bytes = [0; HEADER];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word.to_be_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn submit(direction: u32, endpoint: u32, length: u32, setup: [u8; 8]) -> Vec<u8> {
        let mut bytes: Vec<u8> = [CMD_SUBMIT, 7, 0x0001_0002, direction, endpoint, 0, length, 0, 0, 0]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        bytes.extend(setup);
        bytes
    }

    #[test]
    fn requests_are_told_apart() {
        let setup = [0x21, 1, 0, 1, 1, 0, 2, 0];
        let mut bytes = submit(0, 0, 2, setup);
        bytes.extend([5, 6]);
        bytes.extend(submit(1, 1, 4096, [0; 8]));
        let mut unlink: Vec<u8> =
            [CMD_UNLINK, 9, 0, 0, 0, 7].iter().flat_map(|w: &u32| w.to_be_bytes()).collect();
        unlink.resize(HEADER, 0);
        bytes.extend(unlink);
        let mut from = bytes.as_slice();
        let control = Request::Control { sequence: 7, setup, data: vec![5, 6] };
        assert_eq!(read_request(&mut from).unwrap(), control);
        assert_eq!(read_request(&mut from).unwrap(), Request::Bulk { sequence: 7, length: 4096 });
        assert_eq!(read_request(&mut from).unwrap(), Request::Unlink { sequence: 9, victim: 7 });
        assert_eq!(read_request(&mut from).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_transfer_beyond_reason_is_refused() {
        let bytes = submit(0, 0, MOST_BYTES + 1, [0; 8]);
        assert_eq!(read_request(&mut bytes.as_slice()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn answers_carry_status_and_length_where_the_kernel_looks() {
        let bytes = transferred(0x0102, STALL, 3);
        assert_eq!(bytes[..8], [0, 0, 0, 3, 0, 0, 1, 2]);
        assert_eq!(bytes[20..28], [0xff, 0xff, 0xff, 0xe0, 0, 0, 0, 3]);
    }
}
