//! The upper layer (PS3.8): what is no PDU, no request, or a PDU in the wrong place.

use crate::dicom::{CommandSet, EXPLICIT, INSTANCE, Object, XA, implicit};
use crate::dimse::{
    APPLICATION_CONTEXT, Answer, Peer, Request, associate, context, data_set, echo_on, item, p_data, pdu,
    pdv, store,
};
use crate::service::Service;
use crate::tls;

/// A-ABORT reasons of the service provider (PS3.8 §9.3.8).
pub const UNRECOGNIZED_PDU: Answer = Answer::Aborted(2, 1);
pub const UNEXPECTED_PDU: Answer = Answer::Aborted(2, 2);
pub const INVALID_PARAMETER: Answer = Answer::Aborted(2, 6);

const PERMANENT: u8 = 1;
const TRANSIENT: u8 = 2;

/// The first thing that a peer sends.
struct First {
    name: String,
    bytes: Vec<u8>,
    /// Whether nothing more comes, so that the service need not wait for the rest.
    finish: bool,
    answer: Answer,
}

fn whole(name: &str, bytes: Vec<u8>, answer: Answer) -> First {
    First { name: name.to_owned(), bytes, finish: false, answer }
}

fn cut(name: String, bytes: Vec<u8>) -> First {
    First { name, bytes, finish: true, answer: Answer::Closed }
}

fn with(change: impl FnOnce(&mut Request)) -> Vec<u8> {
    let mut request = Request::new();
    change(&mut request);
    request.bytes()
}

/// A request whose items are these.
fn of_items(items: Vec<Vec<u8>>) -> Vec<u8> {
    with(|request| request.items = items)
}

fn application() -> Vec<u8> {
    item(0x10, APPLICATION_CONTEXT)
}

fn first_bytes() -> Vec<First> {
    let hello = tls::client_hello(&[]);
    let mut cases = vec![
        whole("zeros", vec![0; 64], UNRECOGNIZED_PDU),
        whole("0xFF", vec![0xFF; 64], UNRECOGNIZED_PDU),
        whole("ASCII", b"HELO modality.example\r\n".to_vec(), UNRECOGNIZED_PDU),
        whole("HTTP probe", b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n".to_vec(), UNRECOGNIZED_PDU),
        whole("SSH banner", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), UNRECOGNIZED_PDU),
        whole("SMB negotiation", b"\0\0\0\x2F\xFFSMBr\0\0\0\0".to_vec(), UNRECOGNIZED_PDU),
        whole("TLS ClientHello", hello, UNRECOGNIZED_PDU),
        whole("PDU type 8", pdu(8, &[0; 4]), UNRECOGNIZED_PDU),
        whole("PDU type 0", pdu(0, &[0; 4]), UNRECOGNIZED_PDU),
        whole("type 1, garbage", pdu(1, &[0xA5; 200]), INVALID_PARAMETER),
        whole("type 1, no body", pdu(1, &[]), INVALID_PARAMETER),
        whole("type 1, fixed part cut", pdu(1, &Request::new().body()[..40]), INVALID_PARAMETER),
        whole("length 0xFFFFFFFF", vec![1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1], INVALID_PARAMETER),
        whole("length 0x7FFFFFFF", vec![1, 0, 0x7F, 0xFF, 0xFF, 0xFF, 0, 1], INVALID_PARAMETER),
        whole("length just above the bound", vec![1, 0, 0, 8, 0, 1, 0, 1], INVALID_PARAMETER),
        whole("version 0", with(|r| r.version = 0), Answer::Rejected(PERMANENT, 2, 2)),
        whole("version 2", with(|r| r.version = 2), Answer::Rejected(PERMANENT, 2, 2)),
        whole(
            "called AE title",
            with(|r| r.called = *b"ARCHIVE         "),
            Answer::Rejected(PERMANENT, 1, 7),
        ),
        whole("blank AE title", with(|r| r.called = [b' '; 16]), Answer::Rejected(PERMANENT, 1, 7)),
        whole("NUL AE title", with(|r| r.called = [0; 16]), Answer::Rejected(PERMANENT, 1, 7)),
        whole("no ASCII AE title", with(|r| r.called = [0xE4; 16]), Answer::Rejected(PERMANENT, 1, 7)),
        whole(
            "application context",
            with(|r| r.items[0] = item(0x10, b"1.2.3")),
            Answer::Rejected(PERMANENT, 1, 2),
        ),
        whole("no application context", of_items(Request::new().items.split_off(1)), INVALID_PARAMETER),
        whole("no item at all", of_items(vec![]), INVALID_PARAMETER),
        whole("no user information", with(|r| _ = r.items.pop()), Answer::Accepted),
        whole("two application contexts", with(|r| r.items.insert(0, application())), Answer::Accepted),
        whole("item reaches beyond", with(|r| r.items.push(vec![0x50, 0, 0x7F, 0xFF])), INVALID_PARAMETER),
        whole("half an item header", with(|r| r.items.push(vec![0x50, 0])), INVALID_PARAMETER),
        whole("context cut", with(|r| r.items.push(item(0x20, &[23]))), INVALID_PARAMETER),
        whole("context of nothing", with(|r| r.items.push(item(0x20, &[23, 0, 0, 0]))), INVALID_PARAMETER),
        whole("context without syntax", with(|r| r.items.push(context(23, XA, &[]))), Answer::Accepted),
        whole("context of no class", with(|r| r.items.push(context(23, "", &[""]))), Answer::Accepted),
        whole(
            "UID with NULs",
            with(|r| r.items.push(context(23, "1.2\0\0\0", &[EXPLICIT]))),
            Answer::Accepted,
        ),
        whole(
            "UID of 2 KiB",
            with(|r| r.items.push(context(23, &"1".repeat(2048), &["2"]))),
            Answer::Accepted,
        ),
        whole(
            "sub-item reaches beyond",
            with(|r| r.items.push(item(0x20, &[23, 0, 0, 0, 0x30, 0, 0xFF, 0xFF]))),
            INVALID_PARAMETER,
        ),
        whole("unknown item", with(|r| r.items.push(item(0x77, b"what"))), INVALID_PARAMETER),
        whole("user information cut", with(|r| r.items.push(item(0x50, &[0x51, 0, 0]))), INVALID_PARAMETER),
        whole(
            "Maximum Length of 1 byte",
            with(|r| r.items.push(item(0x50, &item(0x51, &[4])))),
            INVALID_PARAMETER,
        ),
        whole(
            "Maximum Length 0, which means none",
            with(|r| {
                r.items.pop();
                r.items.push(item(0x50, &item(0x51, &[0; 4])));
            }),
            Answer::Accepted,
        ),
        whole(
            "user identity beyond its item",
            with(|r| r.items.push(item(0x50, &item(0x58, &[2, 1, 0xFF, 0xFF, b'u'])))),
            INVALID_PARAMETER,
        ),
        whole(
            "role selection beyond its item",
            with(|r| r.items.push(item(0x50, &item(0x54, &[0xFF, 0xFF, b'1'])))),
            INVALID_PARAMETER,
        ),
        whole(
            "extended negotiation of no length",
            with(|r| r.items.push(item(0x50, &item(0x56, &[])))),
            INVALID_PARAMETER,
        ),
        whole(
            "60 KiB of user information",
            with(|r| {
                r.items.pop();
                let names = item(0x59, &[b'x'; 1000]).repeat(60);
                r.items.push(item(0x50, &names));
            }),
            Answer::Accepted,
        ),
        whole(
            "400 KiB of user information in seven items",
            with(|r| r.items.extend(std::iter::repeat_n(item(0x50, &item(0x59, &[b'x'; 60_000])), 7))),
            Answer::Accepted,
        ),
    ];
    for kind in 2..=7 {
        cases.push(whole(&format!("PDU type {kind} first"), pdu(kind, &[0; 4]), UNEXPECTED_PDU));
    }
    let all_ids = (0..=255).map(|id| context(id, XA, &[EXPLICIT])).collect::<Vec<_>>();
    let odd = (0..128).map(|id| context(2 * id + 1, XA, &[EXPLICIT]));
    cases.push(whole(
        "128 contexts of 40 syntaxes each",
        of_items(
            [application()]
                .into_iter()
                .chain((0..128).map(|id| context(2 * id + 1, XA, &[EXPLICIT; 40])))
                .collect(),
        ),
        Answer::Accepted,
    ));
    cases.push(whole(
        "128 contexts",
        of_items([application()].into_iter().chain(odd).collect()),
        Answer::Accepted,
    ));
    cases.push(whole(
        "every context ID, even ones too",
        of_items([vec![application()], all_ids].concat()),
        INVALID_PARAMETER,
    ));
    cases.push(whole(
        "one context ID twice",
        with(|r| r.items.push(context(3, XA, &[EXPLICIT]))),
        INVALID_PARAMETER,
    ));
    // The end of the stream at every border of the fixed part, and of every item.
    let request = Request::new();
    let bytes = request.bytes();
    let mut borders = vec![0, 1, 2, 5, 6, 7, 8, 10, 26, 42, 73, 74];
    for item in &request.items {
        let start = borders[borders.len() - 1];
        borders.extend([start + 1, start + 4, start + item.len()]);
    }
    borders.pop();
    for border in borders {
        cases.push(cut(format!("request cut at byte {border}"), bytes[..border].to_vec()));
    }
    // One byte less than it says, then more than it says.
    let mut short = bytes.clone();
    short[5] = short[5].wrapping_add(1);
    cases.push(cut("request one byte short".to_owned(), short));
    let mut long = bytes.clone();
    long[5] -= 1;
    cases.push(whole("request one byte long", long, INVALID_PARAMETER));
    cases
}

#[test]
fn the_first_bytes_of_a_connection() {
    let mut service = Service::start(&[]);
    for First { name, bytes, finish, answer } in first_bytes() {
        let mut peer = Peer::connect(service.dimse);
        peer.send(&bytes);
        if finish {
            peer.finish();
        }
        assert_eq!(peer.answer(), answer, "{name}");
        if answer != Answer::Accepted {
            assert_eq!(peer.answer(), Answer::Closed, "{name}");
        }
        drop(peer);
        service.answers(&name);
    }
    service.end();
}

/// What follows an accepted association.
fn later_bytes() -> Vec<(String, Vec<u8>, bool, Answer)> {
    let echo = CommandSet::echo().bytes();
    let half = &echo[..echo.len() / 2];
    let command = CommandSet::store(XA, INSTANCE);
    let object = Object::new().bytes();
    let begun = p_data(3, 3, &command.bytes());
    let mut cases: Vec<(String, Vec<u8>, bool, Answer)> = Vec::new();
    let mut whole = |name: &str, bytes: Vec<u8>, answer| cases.push((name.to_owned(), bytes, false, answer));
    whole("a second A-ASSOCIATE-RQ", Request::new().bytes(), UNEXPECTED_PDU);
    whole("A-ASSOCIATE-AC", pdu(2, &[0; 68]), UNEXPECTED_PDU);
    whole("A-ASSOCIATE-RJ", pdu(3, &[0, 1, 1, 1]), UNEXPECTED_PDU);
    whole("A-RELEASE-RP", pdu(6, &[0; 4]), UNEXPECTED_PDU);
    whole("A-ABORT", pdu(7, &[0, 0, 2, 0]), Answer::Closed);
    whole("A-ABORT of no length", pdu(7, &[]), Answer::Closed);
    whole("PDU type 8", pdu(8, &[0; 4]), UNRECOGNIZED_PDU);
    whole("PDU type 255", pdu(255, &[0; 4]), UNRECOGNIZED_PDU);
    whole("HTTP probe", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), UNRECOGNIZED_PDU);
    whole("PDU length one above the bound", vec![4, 0, 0, 1, 0, 1, 0, 0], INVALID_PARAMETER);
    whole("PDU length 0xFFFFFFFF", vec![4, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0], INVALID_PARAMETER);
    whole("release with length 0xFFFFFFFF", vec![5, 0, 0xFF, 0xFF, 0xFF, 0xFF], INVALID_PARAMETER);
    whole("abort with length 0xFFFFFFFE", vec![7, 0, 0xFF, 0xFF, 0xFF, 0xFE], INVALID_PARAMETER);
    for length in 1..6 {
        whole(&format!("P-DATA of {length} bytes"), pdu(4, &vec![0; length]), INVALID_PARAMETER);
    }
    whole("PDV length 0", pdu(4, &[0, 0, 0, 0, 1, 3]), INVALID_PARAMETER);
    whole("PDV length 1", pdu(4, &[0, 0, 0, 1, 1, 3]), INVALID_PARAMETER);
    whole("PDV length 0xFFFFFFFF", pdu(4, &[0xFF, 0xFF, 0xFF, 0xFF, 1, 3]), INVALID_PARAMETER);
    whole("PDV one byte beyond its PDU", pdu(4, &[0, 0, 0, 3, 1, 3]), INVALID_PARAMETER);
    whole("a PDV, then half a header", pdu(4, &[pdv(1, 1, half), vec![0, 0, 0]].concat()), INVALID_PARAMETER);
    whole("an even context", p_data(2, 3, &echo), INVALID_PARAMETER);
    whole("context 0", p_data(0, 3, &echo), INVALID_PARAMETER);
    whole("context 255", p_data(255, 3, &echo), INVALID_PARAMETER);
    whole("a context that was not accepted", p_data(21, 3, &echo), INVALID_PARAMETER);
    whole("data before any command", p_data(3, 2, &object), INVALID_PARAMETER);
    whole(
        "a command over two contexts",
        [p_data(1, 1, half), p_data(3, 3, half)].concat(),
        INVALID_PARAMETER,
    );
    whole("data inside a command", [p_data(1, 1, half), p_data(1, 2, half)].concat(), INVALID_PARAMETER);
    whole("release inside a command", [p_data(1, 1, half), pdu(5, &[0; 4])].concat(), INVALID_PARAMETER);
    whole("a command where data is due", [begun.clone(), p_data(3, 3, &echo)].concat(), INVALID_PARAMETER);
    whole("data of another context", [begun.clone(), p_data(5, 2, &object)].concat(), INVALID_PARAMETER);
    whole("release where data is due", [begun.clone(), pdu(5, &[0; 4])].concat(), INVALID_PARAMETER);
    whole(
        "release in the middle of data",
        [begun.clone(), p_data(3, 0, &object), pdu(5, &[0; 4])].concat(),
        INVALID_PARAMETER,
    );
    whole(
        "another request in the middle of data",
        [begun.clone(), p_data(3, 0, &object), Request::new().bytes()].concat(),
        UNEXPECTED_PDU,
    );
    whole(
        "abort in the middle of data",
        [begun.clone(), p_data(3, 0, &object[..100]), pdu(7, &[0; 4])].concat(),
        Answer::Closed,
    );
    whole("a command set of 64 KiB and more", p_data(1, 1, &[0; 60_000]).repeat(2), INVALID_PARAMETER);
    whole(
        "a command set in 3,000 fragments that never ends",
        p_data(1, 1, &[0; 32]).repeat(3000),
        INVALID_PARAMETER,
    );
    let message = store(3, &command, &object);
    for border in [1, 5, 6, 8, 10, 11, 12, 20, begun.len() - 1, begun.len(), begun.len() + 3]
        .into_iter()
        .chain([begun.len() + 12, begun.len() + 200, message.len() - 1])
    {
        cases.push((
            format!("message cut at byte {border}"),
            message[..border].to_vec(),
            true,
            Answer::Closed,
        ));
    }
    cases
}

#[test]
fn pdus_of_an_association() {
    let mut service = Service::start(&[]);
    for (name, bytes, finish, answer) in later_bytes() {
        let mut peer = associate(service.dimse);
        peer.send(&bytes);
        if finish {
            peer.finish();
        }
        assert_eq!(peer.answer(), answer, "{name}");
        assert_eq!(peer.answer(), Answer::Closed, "{name}");
        drop(peer);
        service.answers(&name);
    }
    service.end();
}

/// Odd, but allowed: the association lives on.
#[test]
fn unusual_pdus_that_are_right() {
    let mut service = Service::start(&[]);
    let echo = CommandSet::echo().bytes();
    let object = Object::new().bytes();
    let command = CommandSet::store(XA, INSTANCE);
    let bytewise = |context, control: u8, bytes: &[u8]| -> Vec<u8> {
        let last = bytes.len() - 1;
        let fragment =
            |(at, byte): (usize, &u8)| p_data(context, control | u8::from(at == last) << 1, &[*byte]);
        bytes.iter().enumerate().flat_map(fragment).collect()
    };
    let cases = [
        (
            "P-DATA of no PDV, then an echo",
            [pdu(4, &[]), p_data(1, 3, &echo)].concat(),
            Answer::Response(0x8030, 0),
        ),
        ("a command byte by byte", bytewise(1, 1, &echo), Answer::Response(0x8030, 0)),
        (
            "an empty last fragment",
            [p_data(1, 1, &echo), p_data(1, 3, &[])].concat(),
            Answer::Response(0x8030, 0),
        ),
        (
            "command and data in one PDU",
            pdu(4, &[pdv(3, 3, &command.bytes()), pdv(3, 2, &object)].concat()),
            Answer::Response(0x8001, 0),
        ),
        (
            "a data set byte by byte",
            [p_data(3, 3, &command.bytes()), bytewise(3, 0, &object)].concat(),
            Answer::Response(0x8001, 0),
        ),
        (
            "empty fragments between",
            [p_data(3, 3, &command.bytes()), p_data(3, 0, &[]).repeat(500), data_set(3, &object, 100)]
                .concat(),
            Answer::Response(0x8001, 0),
        ),
        ("reserved bits of the control header", p_data(1, 0xFF, &echo), Answer::Response(0x8030, 0)),
        (
            "a private element in the command",
            p_data(1, 3, &[echo.clone(), implicit((0x0000, 0x5555), b"none")].concat()),
            Answer::Response(0x8030, 0),
        ),
    ];
    for (name, bytes, answer) in cases {
        let mut peer = associate(service.dimse);
        peer.send(&bytes);
        assert_eq!(peer.answer(), answer, "{name}");
        assert_eq!(echo_on(&mut peer), Ok(()), "{name}");
        service.answers(name);
    }
    service.end();
}

#[test]
fn an_association_flood_is_told_to_come_back() {
    let mut service = Service::start(&[]);
    let mut kept: Vec<_> = (0..8).map(|_| associate(service.dimse)).collect();
    for _ in 0..40 {
        let mut peer = Peer::connect(service.dimse);
        peer.send(&Request::new().bytes());
        // PS3.8 §9.3.4: service provider, presentation related; local limit exceeded.
        assert_eq!(peer.answer(), Answer::Rejected(TRANSIENT, 3, 2));
    }
    for peer in &mut kept {
        assert_eq!(echo_on(peer), Ok(()));
    }
    drop(kept);
    service.answers("a flood of associations");
    // Connections that say nothing, more than may even wait for a refusal.
    let silent: Vec<_> = (0..100).map(|_| Peer::connect(service.dimse)).collect();
    drop(silent);
    service.answers("a flood of connections");
    service.end();
}
