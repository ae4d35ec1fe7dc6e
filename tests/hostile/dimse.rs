//! A DICOM upper layer peer that sends any bytes, and reads what the service answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use crate::dicom::{
    BIG_ENDIAN, CommandSet, DEFLATED, EXPLICIT, IMPLICIT, JPEG, JPEG_2000, MPEG_4, RLE, VERIFICATION, XA,
};
use crate::service::PATIENCE;

/// Presentation contexts of [`associate`]: Verification, then X-ray angiograms in each syntax; the
/// last is of a class that nobody knows.
pub const CONTEXTS: [(u8, &str, &str); 11] = [
    (1, VERIFICATION, IMPLICIT),
    (3, XA, EXPLICIT),
    (5, XA, IMPLICIT),
    (7, XA, BIG_ENDIAN),
    (9, XA, DEFLATED),
    (11, XA, JPEG),
    (13, XA, RLE),
    (15, XA, JPEG_2000),
    (17, XA, MPEG_4),
    (19, "1.2.840.10008.5.1.4.1.1.88.11", EXPLICIT),
    (21, "1.2.3.4.5", EXPLICIT),
];

/// The presentation context of a transfer syntax.
pub fn context_of(transfer_syntax: &str) -> u8 {
    CONTEXTS.iter().skip(1).find(|(_, _, syntax)| *syntax == transfer_syntax).unwrap().0
}

/// A PDU (PS3.8 §9.3).
pub fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &(body.len() as u32).to_be_bytes(), body].concat()
}

/// An item or sub-item of A-ASSOCIATE-RQ.
pub fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

/// A presentation data value.
pub fn pdv(context: u8, control: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32 + 2).to_be_bytes()[..], &[context, control], payload].concat()
}

/// P-DATA-TF of one PDV. Control: 1 command, 2 last, 3 both.
pub fn p_data(context: u8, control: u8, payload: &[u8]) -> Vec<u8> {
    pdu(4, &pdv(context, control, payload))
}

/// A data set in P-DATA-TF PDUs of at most `size` bytes each.
pub fn data_set(context: u8, bytes: &[u8], size: usize) -> Vec<u8> {
    let mut chunks: Vec<&[u8]> = bytes.chunks(size).collect();
    let last = chunks.pop().unwrap_or_default();
    let mut pdus: Vec<u8> = chunks.iter().flat_map(|chunk| p_data(context, 0, chunk)).collect();
    pdus.extend(p_data(context, 2, last));
    pdus
}

/// C-STORE-RQ and its data set.
pub fn store(context: u8, command: &CommandSet, bytes: &[u8]) -> Vec<u8> {
    [p_data(context, 3, &command.bytes()), data_set(context, bytes, 16 << 10)].concat()
}

/// The fixed part and the items of an A-ASSOCIATE-RQ.
#[derive(Clone)]
pub struct Request {
    pub version: u16,
    pub called: [u8; 16],
    pub items: Vec<Vec<u8>>,
}

impl Request {
    pub fn new() -> Self {
        let contexts = CONTEXTS.iter().map(|(id, class, syntax)| context(*id, class, &[syntax]));
        let items = [item(0x10, APPLICATION_CONTEXT)].into_iter().chain(contexts);
        let user = item(0x50, &[item(0x51, &65536u32.to_be_bytes()), item(0x52, b"1.2.3.4")].concat());
        Self { version: 1, called: *b"FRAMEGATE       ", items: items.chain([user]).collect() }
    }

    pub fn body(&self) -> Vec<u8> {
        let mut body = self.version.to_be_bytes().to_vec();
        body.extend([0; 2]);
        body.extend(self.called);
        body.extend(b"HOSTILE         ");
        body.extend([0; 32]);
        body.extend(self.items.iter().flatten());
        body
    }

    pub fn bytes(&self) -> Vec<u8> {
        pdu(1, &self.body())
    }
}

pub const APPLICATION_CONTEXT: &[u8] = b"1.2.840.10008.3.1.1.1";

/// A presentation context item of A-ASSOCIATE-RQ.
pub fn context(id: u8, class: &str, syntaxes: &[&str]) -> Vec<u8> {
    let mut body = vec![id, 0, 0, 0];
    body.extend(item(0x30, class.as_bytes()));
    for syntax in syntaxes {
        body.extend(item(0x40, syntax.as_bytes()));
    }
    item(0x20, &body)
}

/// What the service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A-ASSOCIATE-AC.
    Accepted,
    /// A-ASSOCIATE-RJ: result, source, reason.
    Rejected(u8, u8, u8),
    /// A DIMSE response: its Command Field and Status.
    Response(u16, u16),
    /// A-RELEASE-RP.
    Released,
    /// A-ABORT: source, reason.
    Aborted(u8, u8),
    /// The connection was closed without a PDU.
    Closed,
    /// Anything else.
    Other(u8),
}

/// A connection to the DIMSE port.
pub struct Peer(pub TcpStream);

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Sends what the service still takes: it may have hung up already, and its answer says why.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Closes with a TCP reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// The next answer. Silence is none: it fails.
    pub fn answer(&mut self) -> Answer {
        match self.read_pdu() {
            Ok((2, _)) => Answer::Accepted,
            Ok((3, body)) => Answer::Rejected(body[1], body[2], body[3]),
            Ok((4, body)) => Answer::Response(us(&body[6..], 0x0100), us(&body[6..], 0x0900)),
            Ok((6, _)) => Answer::Released,
            Ok((7, body)) => Answer::Aborted(body[2], body[3]),
            Ok((kind, _)) => Answer::Other(kind),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                panic!("no answer for {PATIENCE:?}")
            }
            Err(_) => Answer::Closed,
        }
    }

    fn read_pdu(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 6];
        self.0.read_exact(&mut header)?;
        let [kind, _, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut body)?;
        Ok((kind, body))
    }
}

/// A number of a response's command set.
fn us(mut set: &[u8], element: u16) -> u16 {
    while set.len() >= 8 {
        let length = u32::from_le_bytes([set[4], set[5], set[6], set[7]]) as usize;
        if set[..4] == [&[0, 0][..], &element.to_le_bytes()].concat() {
            return u16::from_le_bytes([set[8], set[9]]);
        }
        set = &set[8 + length..];
    }
    panic!("the response has no (0000,{element:04X})");
}

/// An association with all of [`CONTEXTS`].
pub fn associate(address: SocketAddr) -> Peer {
    let mut peer = Peer::connect(address);
    peer.send(&Request::new().bytes());
    assert_eq!(peer.answer(), Answer::Accepted);
    peer
}

/// C-ECHO over an association of its own, with release.
pub fn echo(address: SocketAddr) -> Result<(), String> {
    let mut peer = Peer::connect(address);
    peer.send(&Request::new().bytes());
    match peer.answer() {
        Answer::Accepted => echo_on(&mut peer),
        other => Err(format!("{other:?}")),
    }
}

/// C-ECHO, then release, on an association that must have survived so far.
pub fn echo_on(peer: &mut Peer) -> Result<(), String> {
    peer.send(&p_data(1, 3, &CommandSet::echo().bytes()));
    let answers = [peer.answer(), {
        peer.send(&pdu(5, &[0; 4]));
        peer.answer()
    }];
    if answers == [Answer::Response(0x8030, 0), Answer::Released] {
        Ok(())
    } else {
        Err(format!("{answers:?}"))
    }
}
