//! Command sets (PS3.7 §9.3, Annex E): incomplete, lying, of the wrong kind, or too deep.

use crate::dicom::{
    CommandSet, INSTANCE, ITEM, ITEM_END, Object, REFERENCED_IMAGES, SEQUENCE_END, UNDEFINED, XA, bare,
    implicit,
};
use crate::dimse::{Answer, Peer, associate, data_set, echo_on, p_data, store};
use crate::pdus::INVALID_PARAMETER;
use crate::service::Service;

const UNRECOGNIZED_OPERATION: u16 = 0x0211;
const SOP_CLASS_NOT_SUPPORTED: u16 = 0x0122;

fn echo_with(change: impl FnOnce(&mut CommandSet)) -> Vec<u8> {
    let mut set = CommandSet::echo();
    change(&mut set);
    p_data(1, 3, &set.bytes())
}

fn store_with(change: impl FnOnce(&mut CommandSet)) -> Vec<u8> {
    let mut set = CommandSet::store(XA, INSTANCE);
    change(&mut set);
    store(3, &set, &Object::new().bytes())
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    p_data(1, 3, bytes)
}

/// An echo with sequences in sequences, of defined or undefined length.
fn nested(depth: usize, defined: bool) -> Vec<u8> {
    let mut bytes = CommandSet::echo().bytes();
    let (header, end) = (16, if defined { 0 } else { 16 });
    for level in (0..depth).rev() {
        let inside = level * (header + end);
        let length = |more: usize| if defined { (inside + more) as u32 } else { UNDEFINED };
        bytes.extend([bare(REFERENCED_IMAGES, length(8)), bare(ITEM, length(0))].concat());
    }
    if !defined {
        for _ in 0..depth {
            bytes.extend([bare(ITEM_END, 0), bare(SEQUENCE_END, 0)].concat());
        }
    }
    raw(&bytes)
}

fn broken() -> Vec<(String, Vec<u8>)> {
    let echo = CommandSet::echo().bytes();
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    let mut case = |name: &str, bytes: Vec<u8>| cases.push((name.to_owned(), bytes));
    case("empty", raw(&[]));
    case("garbage", raw(&[0xA5; 100]));
    case("zeros", raw(&[0; 100]));
    case("no Command Field", echo_with(|set| _ = set.without(0x0100)));
    case("no Message ID", echo_with(|set| _ = set.without(0x0110)));
    case("no Command Data Set Type", echo_with(|set| _ = set.without(0x0800)));
    case("empty Command Field", echo_with(|set| _ = set.put(0x0100, &[])));
    case("Command Field of one byte", echo_with(|set| _ = set.put(0x0100, &[0x30])));
    case("empty Message ID", echo_with(|set| _ = set.put(0x0110, &[])));
    case("an echo with a data set", echo_with(|set| _ = set.us(0x0800, 0)));
    case("a store without one", store_with(|set| _ = set.us(0x0800, 0x0101)));
    case("a store without class", store_with(|set| _ = set.without(0x0002)));
    case("a store without instance", store_with(|set| _ = set.without(0x1000)));
    case("empty SOP Class UID", store_with(|set| _ = set.ui(0x0002, "")));
    case("empty SOP Instance UID", store_with(|set| _ = set.ui(0x1000, "")));
    case("letters in a UID", store_with(|set| _ = set.ui(0x1000, "1.2.three")));
    case("a UID of 65 characters", store_with(|set| _ = set.ui(0x1000, &"1".repeat(65))));
    case("a UID of 60,000 characters", store_with(|set| _ = set.ui(0x1000, &"1".repeat(60_000))));
    case("a path as UID", store_with(|set| _ = set.ui(0x1000, "../../etc/passwd")));
    case("a line break in a UID", store_with(|set| _ = set.ui(0x1000, "1.2\r\n3")));
    case("a UID of no ASCII", store_with(|set| _ = set.put(0x1000, &[0xFF; 10])));
    case("two UIDs", store_with(|set| _ = set.ui(0x1000, "1.2\\1.3")));
    for field in [0x8001, 0x8030, 0x8020, 0x8150, 0xFFFF] {
        case(&format!("the response {field:04X}H"), raw(&CommandSet::new(field, 0x0101).bytes()));
    }
    for border in [1, 3, 4, 7, 8, 11, 13, 19, 21, echo.len() - 1] {
        case(&format!("cut at byte {border}"), raw(&echo[..border]));
    }
    for length in [UNDEFINED, 0xFFFF_FFFE, 0x7FFF_FFFF, 100_000] {
        case(
            &format!("an element of {length:08X}H bytes"),
            raw(&[bare((0x0000, 0x0100), length), vec![0; 40]].concat()),
        );
    }
    case("big endian", raw(&[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0x30]));
    for depth in [1, 2, 20, 500, 1900] {
        case(&format!("{depth} sequences in each other"), nested(depth, false));
    }
    for depth in [1, 2, 20, 500, 3900] {
        case(&format!("{depth} sequences in each other, with lengths"), nested(depth, true));
    }
    case("8,000 elements", raw(&[echo.clone(), implicit((0x0009, 0x0001), &[]).repeat(8000)].concat()));
    case("a delimiter at the end", raw(&[echo.clone(), bare(ITEM_END, 0)].concat()));
    case("an item at the end", raw(&[echo, bare(ITEM, 0)].concat()));
    cases
}

#[test]
fn command_sets_that_are_none_end_the_association() {
    let mut service = Service::start(&[]);
    for (name, bytes) in broken() {
        let mut peer = associate(service.dimse);
        peer.send(&bytes);
        assert_eq!(peer.answer(), INVALID_PARAMETER, "{name}");
        assert_eq!(peer.answer(), Answer::Closed, "{name}");
        drop(peer);
        service.answers(&name);
    }
    service.end();
}

#[test]
fn command_sets_that_are_answered() {
    let mut service = Service::start(&[]);
    let object = Object::new().bytes();
    let store_of = |class: &str| store(3, &CommandSet::store(class, INSTANCE), &object);
    let mut cases = vec![
        ("Command Group Length too small".to_owned(), echo_with(|set| set.lie = -10), 0x8030, 0),
        ("Command Group Length too large".to_owned(), echo_with(|set| set.lie = 1_000_000), 0x8030, 0),
        ("Message ID 65535".to_owned(), echo_with(|set| _ = set.us(0x0110, 0xFFFF)), 0x8030, 0),
        (
            "a store over another context".to_owned(),
            store_of("1.2.840.10008.5.1.4.1.1.2"),
            0x8001,
            SOP_CLASS_NOT_SUPPORTED,
        ),
        (
            "a store of a query class".to_owned(),
            store_of("1.2.840.10008.5.1.4.1.2.2.1"),
            0x8001,
            SOP_CLASS_NOT_SUPPORTED,
        ),
        (
            "a store over the context of Verification".to_owned(),
            [p_data(1, 3, &CommandSet::store(XA, INSTANCE).bytes()), data_set(1, &object, 99)].concat(),
            0x8001,
            SOP_CLASS_NOT_SUPPORTED,
        ),
    ];
    // Operations that we do not have, without and with a data set: C-GET, C-FIND, C-MOVE, N-EVENT-REPORT,
    // N-GET, N-SET, N-ACTION, N-CREATE, N-DELETE, and two that nobody has.
    for field in [0x0010, 0x0020, 0x0021, 0x0100, 0x0110, 0x0120, 0x0130, 0x0140, 0x0150, 0x0002, 0x7FFF_u16]
    {
        let answer = (field | 0x8000, UNRECOGNIZED_OPERATION);
        let alone = p_data(3, 3, &CommandSet::new(field, 0x0101).bytes());
        cases.push((format!("operation {field:04X}H"), alone, answer.0, answer.1));
        let command = CommandSet::new(field, 0x0000);
        cases.push((
            format!("operation {field:04X}H with data"),
            store(3, &command, &[0x5A; 90_000]),
            answer.0,
            answer.1,
        ));
    }
    for (name, bytes, field, status) in cases {
        let mut peer = associate(service.dimse);
        peer.send(&bytes);
        assert_eq!(peer.answer(), Answer::Response(field, status), "{name}");
        assert_eq!(echo_on(&mut peer), Ok(()), "{name}");
        service.answers(&name);
    }
    service.end();
}

/// C-CANCEL-RQ has no response (PS3.7 §9.3.2.3), and 200 of them none either.
#[test]
fn cancels_are_passed_over() {
    let mut service = Service::start(&[]);
    let mut cancel = CommandSet::new(0x0FFF, 0x0101);
    cancel.us(0x0120, 7);
    let mut peer: Peer = associate(service.dimse);
    peer.send(&p_data(3, 3, &cancel.bytes()).repeat(200));
    assert_eq!(echo_on(&mut peer), Ok(()));
    service.answers("200 cancels");
    service.end();
}
