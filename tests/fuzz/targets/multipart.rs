//! A multipart body. First byte of the input: how many bytes arrive at a time.
#![no_main]

use bytes::Bytes;
use framegate::net::multipart::reader::{Event, Reader};
use framegate::net::multipart::{Boundary, ContentType};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        let _ = ContentType::parse(text);
        let _ = Boundary::parse(text);
    }
    let Some((&chunk, body)) = input.split_first() else { return };
    let whole = read(body, body.len().max(1));
    let parts = read(body, usize::from(chunk) + 1);
    assert_eq!(whole, parts, "how a body is cut changes nothing");
});

/// What a body says, with the octets of each part in one piece.
fn read(body: &[u8], chunk: usize) -> (Vec<Event>, bool) {
    let boundary = Boundary::parse("b").unwrap();
    let mut reader = Reader::new(&boundary, 4096);
    let mut seen: Vec<Event> = Vec::new();
    for chunk in body.chunks(chunk) {
        let mut chunk = Bytes::copy_from_slice(chunk);
        loop {
            match reader.read(&mut chunk) {
                Ok(Some(Event::PartData(data))) => {
                    assert!(!data.is_empty());
                    if let Some(Event::PartData(before)) = seen.last_mut() {
                        *before = [&before[..], &data[..]].concat().into();
                    } else {
                        seen.push(Event::PartData(data));
                    }
                }
                Ok(Some(event)) => seen.push(event),
                Ok(None) => break,
                Err(_) => {
                    // Octets of a part may have been given out before its end turned out wrong.
                    if let Some(Event::PartData(_)) = seen.last() {
                        seen.pop();
                    }
                    return (seen, false);
                }
            }
        }
        assert!(chunk.is_empty(), "what is not taken is lost");
    }
    (seen, reader.finish().is_ok())
}
