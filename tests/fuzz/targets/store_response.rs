//! What a destination answers to a Send or Store.
#![no_main]

use framegate::sink::push::answer::report;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Some(report) = report(input) {
        // Each takes some text: nothing is made of nothing.
        assert!(report.failed.len() + report.taken <= input.len());
    }
});
