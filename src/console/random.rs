//! Secrets of the console, from the system's random source.

use aws_lc_rs::rand;

/// The system gives no random numbers, which on Linux means that it has only just been switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system has no random numbers yet; try again in a moment")]
pub struct NoRandom;

/// Bytes that nobody can guess.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], NoRandom> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandom)?;
    Ok(bytes)
}

/// 256 bits of them, as 64 hexadecimal digits.
pub(super) fn token() -> Result<String, NoRandom> {
    Ok(hex(&bytes::<32>()?))
}

/// Hexadecimal digits of bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
