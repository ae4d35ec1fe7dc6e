//! A data set on its way in, and what comes out read back. First byte of the input: the transfer
//! syntax; second: how many bytes arrive at a time.
#![no_main]

use framegate::instance::Instance;
use framegate::instance::assemble::{AssembleError, Assembler, Event, Limits, Transfer};
use framegate::instance::scan::{Encoding, HeadLimits, Scan, Scanner};
use libfuzzer_sys::fuzz_target;

const SYNTAXES: [&str; 10] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.5",
];
const HEAD: HeadLimits = HeadLimits { bytes: 64 << 10, elements: 2000, nesting: 8 };
const LIMITS: Limits = Limits { head: HEAD, frame_bytes: 64 << 10, frames: 64 };

fuzz_target!(|input: &[u8]| {
    let [syntax, chunk, bytes @ ..] = input else { return };
    let syntax = SYNTAXES[usize::from(*syntax) % SYNTAXES.len()];
    scan(syntax, bytes);
    let _ = assemble(syntax, usize::from(*chunk) * 16 + 1, bytes);
});

/// The walk stays within what it was given, however little that is.
fn scan(syntax: &str, bytes: &[u8]) {
    let mut scanner = Scanner::new(Encoding::of(syntax), HEAD);
    let middle = bytes.get(..bytes.len() / 2).unwrap_or_default();
    for seen in [middle, bytes] {
        match scanner.advance(seen) {
            Ok(Scan::More(needed)) => assert!(needed > seen.len()),
            Ok(Scan::PixelData(pixels)) => {
                assert!(pixels.start < pixels.value && pixels.value <= seen.len());
                return;
            }
            Err(_) => return,
        }
    }
    let _ = scanner.finish(bytes.len());
}

fn assemble(syntax: &str, chunk: usize, mut bytes: &[u8]) -> Result<(), AssembleError> {
    let transfer = Transfer {
        transfer_syntax: syntax.into(),
        sop_class: "1.2.840.10008.5.1.4.1.1.12.1".into(),
        sop_instance: "1.2.3.4".into(),
        source_ae_title: Some("FUZZ".to_owned()),
    };
    let mut assembler = Assembler::new(transfer, LIMITS)?;
    while !bytes.is_empty() {
        let (target, room) = assembler.target();
        assert!(room > 0, "bytes are left and there is nowhere to put them");
        let (now, later) = bytes.split_at(room.min(chunk).min(bytes.len()));
        target.extend_from_slice(now);
        bytes = later;
        drain(&mut assembler, false)?;
    }
    drain(&mut assembler, true)
}

fn drain(assembler: &mut Assembler, ended: bool) -> Result<(), AssembleError> {
    let mut instances = 0;
    while let Some(event) = assembler.poll(ended)? {
        match event {
            Event::Opened(opened) => {
                assert!(opened.instances >= 1 && opened.instances <= LIMITS.frames);
                let _ = opened.dataset();
            }
            Event::Instance(instance) => {
                instances += 1;
                assert!(instances <= LIMITS.frames, "more instances than frames");
                read_back(&instance);
            }
        }
    }
    Ok(())
}

/// What a reader does with an instance. The bytes are a peer's, so errors are fine, panics are not.
fn read_back(instance: &Instance) {
    assert_eq!(instance.part10().iter().map(bytes::Bytes::len).sum::<usize>(), instance.len());
    let fragments = instance.fragments();
    assert!(fragments.iter().map(bytes::Bytes::len).sum::<usize>() <= instance.pixels().len());
    let _ = instance.dataset();
    let _ = instance.object();
}
