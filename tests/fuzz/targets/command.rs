//! A command set, and the response to it.
#![no_main]

use framegate::dimse::command::{self, Status};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(command) = command::read(input) {
        for status in [Status::Success, Status::CannotUnderstand] {
            let comment = String::from_utf8_lossy(input);
            let response = command::response(&command, status, Some(&comment));
            assert!(command::read(&response).is_err(), "a response is no request");
        }
    }
});
