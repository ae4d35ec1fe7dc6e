//! EDIDs: what a capture device tells the modality that it can take (VESA E-EDID 1.4; extensions by
//! CTA-861). A file holds hexadecimal digits; white space and lines that begin with `#` mean nothing.

use super::value;

/// Bytes of a block.
const BLOCK: usize = 128;
/// Most blocks; no bridge that we know takes more than the base block and one extension at an HDMI 1.4 input.
const MOST_BLOCKS: usize = 2;
const HEADER: [u8; 8] = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];

/// The EDID of a file.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn parse(text: &str) -> Result<Vec<u8>, String> {
    let digits: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    let edid = value::hex(&digits).ok_or("is not pairs of hexadecimal digits")?;
    if edid.is_empty() || edid.len() % BLOCK != 0 || edid.len() > MOST_BLOCKS * BLOCK {
        return Err(format!("has {} bytes; write 128 or 256", edid.len()));
    }
    if !edid.starts_with(&HEADER) {
        return Err("does not begin with the header 00 ff ff ff ff ff ff 00".to_owned());
    }
    let extensions = edid.get(BLOCK - 2).copied().map_or(0, usize::from);
    if extensions + 1 != edid.len() / BLOCK {
        return Err(format!("says that it has {extensions} extensions (byte 126), and has not"));
    }
    for (number, block) in edid.chunks(BLOCK).enumerate() {
        let sum = block.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
        if sum != 0 {
            let last = block.last().copied().unwrap_or_default();
            let right = last.wrapping_sub(sum);
            return Err(format!("has a wrong checksum in block {number}; write {right:02x}, not {last:02x}"));
        }
    }
    Ok(edid)
}
