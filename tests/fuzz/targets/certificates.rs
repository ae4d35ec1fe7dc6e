//! What a certificate authority has sent: certificates in DER, each with its length ahead, or anything.
#![no_main]

use std::time::{Duration, SystemTime};

use framegate::identity::{Certificate, Chain};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000);
    let of = |text: &[u8], key: &[u8]| Chain::of(text, key, "room7", now, true);
    assert!(of(input, &[]).is_err());
    let (mut rest, mut text, mut key) = (input, String::new(), None);
    while let Some((length, after)) = rest.split_first_chunk() {
        let Some((der, after)) = after.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        rest = after;
        if let Some(one) = Certificate::of(der.to_vec().into()) {
            text += &one.pem();
            key.get_or_insert(one.public_key().to_vec());
        }
    }
    if let Some(key) = key
        && let Ok(chain) = of(text.as_bytes(), &key)
    {
        assert_eq!(chain.certificates[0].public_key(), key);
    }
});
