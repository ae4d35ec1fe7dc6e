//! What passes in one direction of an association, as messages: whole command sets, and the data sets behind
//! them in pieces. It looks on; nothing here can hold up what passes.

use bytes::BytesMut;

use super::follower::{Follower, Piece};

/// The longest command set that is read; one that is longer passes unread.
const COMMAND_LIMIT: usize = 64 << 10;

/// What has passed.
#[derive(Debug)]
pub enum Passed<'a> {
    /// A command set, whole.
    Command {
        /// Presentation context ID.
        context: u8,
        /// The command set, Implicit VR Little Endian.
        bytes: BytesMut,
    },
    /// A piece of the data set of the last command set.
    Data(&'a [u8]),
    /// A fragment of it is over.
    Fragment {
        /// And with it the data set.
        last: bool,
    },
    /// A PDU that is no P-DATA-TF: its type.
    Pdu(u8),
    /// What passes is not understood, and will not be any more.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Fragment {
    context: u8,
    command: bool,
    last: bool,
}

/// The place in one direction of an association.
#[derive(Debug, Default)]
pub struct Passing {
    follower: Follower,
    fragment: Option<Fragment>,
    command: BytesMut,
    lost: bool,
}

impl Passing {
    /// Whether a PDU of somebody else's could be put in before the next byte.
    pub fn between_pdus(&self) -> bool {
        self.follower.between_pdus()
    }

    /// Bytes that are still to come of a piece of a data set; 0 where something else comes next.
    pub fn data_left(&self) -> usize {
        let in_data = self.fragment.is_some_and(|fragment| !fragment.command);
        if in_data { self.follower.payload_left() } else { 0 }
    }

    /// Length of the last piece of a message (bytes): the next will be like it.
    pub fn last_length(&self) -> usize {
        self.follower.pdv_length()
    }

    /// So many bytes of a data set have been read elsewhere. [`Passing::next`] is to be asked then.
    pub fn passed(&mut self, bytes: usize) {
        self.follower.passed(bytes);
    }

    /// What the bytes at the front of `bytes` make; `None` where they are used up.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Passed<'a>> {
        while !self.lost {
            match self.follower.piece(bytes)? {
                Piece::Pdu(kind) => return Some(Passed::Pdu(kind)),
                Piece::Pdv { context, command, last } => {
                    self.fragment = Some(Fragment { context, command, last });
                }
                Piece::Payload(data) => match self.fragment {
                    Some(Fragment { command: false, .. }) => return Some(Passed::Data(data)),
                    _ if self.command.len() + data.len() > COMMAND_LIMIT => return Some(self.lose()),
                    _ => self.command.extend_from_slice(data),
                },
                Piece::End => match self.fragment.take() {
                    Some(Fragment { command: false, last, .. }) => {
                        return Some(Passed::Fragment { last });
                    }
                    Some(Fragment { last: true, context, .. }) => {
                        return Some(Passed::Command { context, bytes: self.command.split() });
                    }
                    _ => {}
                },
                Piece::Lost => return Some(self.lose()),
            }
        }
        *bytes = &[];
        None
    }

    fn lose(&mut self) -> Passed<'static> {
        self.lost = true;
        Passed::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pdv(control: u8, payload: &[u8]) -> Vec<u8> {
        let mut pdu = vec![4, 0];
        pdu.extend((payload.len() as u32 + 6).to_be_bytes());
        pdu.extend((payload.len() as u32 + 2).to_be_bytes());
        pdu.extend([1, control]);
        pdu.extend(payload);
        pdu
    }

    #[test]
    fn fragments_of_a_command_set_come_as_one() {
        let stream = [pdv(1, b"com"), pdv(3, b"mand"), pdv(0, b"da"), pdv(2, b"ta")].concat();
        let (mut passing, mut seen) = (Passing::default(), Vec::new());
        for mut bytes in stream.chunks(5) {
            while let Some(passed) = passing.next(&mut bytes) {
                match passed {
                    Passed::Command { context: 1, bytes } => seen.push(bytes.to_vec()),
                    Passed::Data(data) => seen.push(data.to_vec()),
                    Passed::Fragment { last } => seen.push(vec![u8::from(last)]),
                    other => panic!("{other:?}"),
                }
            }
        }
        let text: Vec<u8> = seen.concat();
        assert_eq!(text, b"commandda\0ta\x01");
    }

    #[test]
    fn a_command_set_without_end_is_not_kept() {
        let mut passing = Passing::default();
        let fragment = pdv(1, &[0; 60_000]);
        let mut bytes = &fragment[..];
        assert!(passing.next(&mut bytes).is_none());
        let mut bytes = &fragment[..];
        assert!(matches!(passing.next(&mut bytes), Some(Passed::Lost)));
        let mut bytes = &fragment[..];
        assert!(passing.next(&mut bytes).is_none() && bytes.is_empty());
    }
}
