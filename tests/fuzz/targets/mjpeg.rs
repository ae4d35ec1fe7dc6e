//! A camera's JPEG picture: whatever parses can be completed, reads the same again, and is decoded or
//! refused.
#![no_main]

use framegate::frame::Photometric;
use framegate::frame::mjpeg::{Decoder, Picture};
use libfuzzer_sys::fuzz_target;

/// Bytes of the largest picture that is decoded.
const MOST_BYTES: usize = 1 << 18;

fuzz_target!(|input: &[u8]| {
    let Ok(picture) = Picture::parse(input) else { return };
    let complete = picture.complete();
    let again = Picture::parse(&complete).expect("a complete picture");
    assert_eq!(again.complete(), complete);
    assert_eq!(again.photometric(), picture.photometric());
    for photometric in [Photometric::Monochrome2, Photometric::Rgb] {
        let bytes = Decoder::frame_bytes(&picture, photometric);
        if bytes <= MOST_BYTES {
            let _ =
                Decoder::new().map(|mut decoder| decoder.decode(&picture, photometric, &mut vec![0; bytes]));
        }
    }
});
