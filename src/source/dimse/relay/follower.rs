//! Follows the PDUs of a stream that is passed on, without having a say in it (PS3.8 §9.3). It is fed the bytes
//! as they come, in whatever pieces, and says what they are. What it does not understand it says once, and is
//! silent from there on: whoever is at the other end will answer that.

/// The header of a PDU, and that of a PDV (bytes).
const HEADER: usize = 6;

/// What some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A PDU begins that is no P-DATA-TF: its type.
    Pdu(u8),
    /// A PDV begins.
    Pdv {
        /// Presentation context ID.
        context: u8,
        /// Part of a command set rather than of a data set.
        command: bool,
        /// The last fragment of its set.
        last: bool,
    },
    /// Bytes of the payload of the PDV that began last.
    Payload(&'a [u8]),
    /// That PDV is over.
    End,
    /// These are no PDUs; there will be no further piece.
    Lost,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the header of a PDU.
    Pdu,
    /// In the header of a PDV.
    Pdv,
    /// In the payload of a PDV, of which so many bytes are left.
    Payload(usize),
    /// In a PDU that is no P-DATA-TF, of which so many bytes are left.
    Other(usize),
    Lost,
}

/// The place in one direction of an association.
#[derive(Debug)]
pub struct Follower {
    state: State,
    header: [u8; HEADER],
    have: usize,
    /// Bytes of the P-DATA-TF behind the PDV that is being read.
    pdu_left: usize,
    /// Payload of the PDV that began last (bytes).
    length: usize,
}

impl Default for Follower {
    fn default() -> Self {
        Self { state: State::Pdu, header: [0; HEADER], have: 0, pdu_left: 0, length: 0 }
    }
}

impl Follower {
    /// Whether a PDU could begin with the next byte.
    pub fn between_pdus(&self) -> bool {
        self.state == State::Pdu && self.have == 0
    }

    /// Payload bytes that are still to come of the current PDV.
    pub fn payload_left(&self) -> usize {
        if let State::Payload(left) = self.state { left } else { 0 }
    }

    /// Payload bytes of the PDV that began last.
    pub fn pdv_length(&self) -> usize {
        self.length
    }

    /// Takes the first piece off `bytes`; `None` where they are used up.
    pub fn piece<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Piece<'a>> {
        loop {
            match self.state {
                State::Lost => {
                    *bytes = &[];
                    return None;
                }
                State::Payload(0) => {
                    self.state = if self.pdu_left == 0 { State::Pdu } else { State::Pdv };
                    return Some(Piece::End);
                }
                State::Payload(left) => {
                    if bytes.is_empty() {
                        return None;
                    }
                    let payload = take(bytes, left);
                    self.state = State::Payload(left - payload.len());
                    return Some(Piece::Payload(payload));
                }
                State::Other(left) => {
                    let passed = take(bytes, left).len();
                    if passed < left {
                        self.state = State::Other(left - passed);
                        return None;
                    }
                    self.state = State::Pdu;
                }
                State::Pdu => {
                    let [kind, _, l0, l1, l2, l3] = self.header(bytes)?;
                    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
                    match kind {
                        0x04 => {
                            self.pdu_left = length;
                            self.state = if length == 0 { State::Pdu } else { State::Pdv };
                        }
                        0x01..=0x07 => {
                            self.state = if length == 0 { State::Pdu } else { State::Other(length) };
                            return Some(Piece::Pdu(kind));
                        }
                        _ => return Some(self.lose()),
                    }
                }
                State::Pdv => {
                    let [l0, l1, l2, l3, context, control] = self.header(bytes)?;
                    let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
                    let inside = self.pdu_left.checked_sub(HEADER);
                    let (Some(inside), Some(payload)) = (inside, length.checked_sub(2)) else {
                        return Some(self.lose());
                    };
                    let Some(left) = inside.checked_sub(payload) else { return Some(self.lose()) };
                    self.pdu_left = left;
                    self.length = payload;
                    self.state = State::Payload(payload);
                    return Some(Piece::Pdv { context, command: control & 1 == 1, last: control & 2 == 2 });
                }
            }
        }
    }

    /// So many bytes of the payload have been read elsewhere.
    pub fn passed(&mut self, bytes: usize) {
        if let State::Payload(left) = self.state {
            self.state = State::Payload(left.saturating_sub(bytes));
        }
    }

    /// The next header, if it is whole.
    fn header(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEADER]> {
        let part = take(bytes, HEADER - self.have);
        for (to, from) in self.header.iter_mut().skip(self.have).zip(part) {
            *to = *from;
        }
        self.have += part.len();
        if self.have < HEADER {
            return None;
        }
        self.have = 0;
        Some(self.header)
    }

    fn lose(&mut self) -> Piece<'static> {
        self.state = State::Lost;
        Piece::Lost
    }
}

/// Takes at most `most` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (front, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    *bytes = rest;
    front
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    enum Seen {
        Pdu(u8),
        Pdv(u8, bool, bool, Vec<u8>),
        Lost,
    }

    /// What is seen of a stream that comes in chunks of these lengths.
    fn follow(stream: &[u8], chunk: usize) -> (Vec<Seen>, bool) {
        let mut follower = Follower::default();
        let mut seen = Vec::new();
        for mut bytes in stream.chunks(chunk.max(1)) {
            while let Some(piece) = follower.piece(&mut bytes) {
                match piece {
                    Piece::Pdu(kind) => seen.push(Seen::Pdu(kind)),
                    Piece::Pdv { context, command, last } => {
                        seen.push(Seen::Pdv(context, command, last, Vec::new()));
                    }
                    Piece::Payload(payload) => {
                        let Some(Seen::Pdv(.., data)) = seen.last_mut() else { panic!("payload of no PDV") };
                        data.extend(payload);
                    }
                    Piece::End => {}
                    Piece::Lost => seen.push(Seen::Lost),
                }
            }
        }
        (seen, follower.between_pdus())
    }

    fn pdata(pdvs: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (context, control, payload) in pdvs {
            body.extend((payload.len() as u32 + 2).to_be_bytes());
            body.extend([*context, *control]);
            body.extend(*payload);
        }
        let mut pdu = vec![4, 0];
        pdu.extend((body.len() as u32).to_be_bytes());
        pdu.extend(body);
        pdu
    }

    #[test]
    fn pieces_come_out_whatever_the_chunks() {
        let mut stream = pdata(&[(1, 3, b"command")]);
        stream.extend(pdata(&[(1, 0, &[7; 5000]), (3, 2, b"")]));
        stream.extend([5, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
        for chunk in [1, 5, 6, 7, 13, 4096, 1 << 20] {
            let (seen, between) = follow(&stream, chunk);
            let wanted = [
                Seen::Pdv(1, true, true, b"command".to_vec()),
                Seen::Pdv(1, false, false, vec![7; 5000]),
                Seen::Pdv(3, false, true, vec![]),
                Seen::Pdu(5),
            ];
            assert_eq!(seen, wanted, "{chunk}");
            assert!(between);
        }
    }

    #[test]
    fn what_is_no_pdu_is_lost_and_told_once() {
        for stream in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 9, 1, 0, 1, 2, 3],
            vec![4, 0, 0, 0, 0, 6, 0, 0, 0, 1, 1, 0, 1, 2, 3],
            vec![4, 0, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7],
        ] {
            assert_eq!(follow(&stream, 64).0, [Seen::Lost], "{stream:02X?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_chunks_make_no_difference(
            kind in 0u8..9, bytes in proptest::collection::vec(any::<u8>(), 0..200), chunk in 1usize..40,
        ) {
            let mut stream = vec![kind, 0];
            stream.extend(bytes);
            prop_assert_eq!(follow(&stream, chunk).0, follow(&stream, 1 << 16).0);
        }

        #[test]
        fn what_is_passed_elsewhere_is_as_if_it_had_been_fed(length in 1usize..3000, split in 0usize..3000) {
            let split = split.min(length);
            let pdu = pdata(&[(1, 2, &vec![9; length]), (1, 3, b"next")]);
            let (mut follower, mut bytes) = (Follower::default(), &pdu[..12]);
            prop_assert!(follower.piece(&mut bytes).is_some());
            prop_assert_eq!(follower.piece(&mut bytes), None);
            prop_assert_eq!(follower.payload_left(), length);
            follower.passed(split);
            let mut rest = &pdu[12 + split..];
            let mut left = 0;
            while let Some(piece) = follower.piece(&mut rest) {
                match piece {
                    Piece::Payload(payload) if payload != b"next" => left += payload.len(),
                    Piece::Lost => prop_assert!(false),
                    _ => {}
                }
            }
            prop_assert_eq!(left, length - split);
            prop_assert!(follower.between_pdus());
        }
    }
}
