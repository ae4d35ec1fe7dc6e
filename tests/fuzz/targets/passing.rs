//! One direction of an association that is passed on. First byte of the input: how many bytes are seen at a time,
//! which must make no difference to what is seen.
#![no_main]

use framegate::dimse::command::Heading;
use framegate::source::dimse::relay::passing::{Passed, Passing};
use libfuzzer_sys::fuzz_target;

/// Command sets, data and ends, as one text.
fn seen(bytes: &[u8], chunk: usize) -> (Vec<u8>, bool) {
    let mut passing = Passing::default();
    let mut seen = Vec::new();
    for mut chunk in bytes.chunks(chunk) {
        while let Some(passed) = passing.next(&mut chunk) {
            match passed {
                Passed::Command { context, bytes } => {
                    let _ = Heading::read(&bytes);
                    seen.push(context);
                    seen.extend_from_slice(&bytes);
                }
                Passed::Data(data) => seen.extend_from_slice(data),
                Passed::Fragment { last } => seen.extend([0xFE, u8::from(last)]),
                Passed::Pdu(kind) => seen.push(kind),
                Passed::Lost => seen.push(0xFF),
            }
        }
    }
    (seen, passing.between_pdus())
}

fuzz_target!(|input: &[u8]| {
    let Some((&chunk, bytes)) = input.split_first() else { return };
    assert_eq!(seen(bytes, usize::from(chunk) + 1), seen(bytes, usize::MAX));
});
