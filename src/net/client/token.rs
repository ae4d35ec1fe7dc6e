//! Bearer tokens of ours, each in a file that somebody renews: it is read for every request.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// Bytes of a token file. A JWT has a few hundred.
const TOKEN_BYTES: u64 = 16 << 10;

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the token in {} cannot be used: {reason}; it should hold one bearer token and be readable by framegate's user", .file.display())]
pub struct TokenError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong; never the content.
    pub reason: String,
}

/// The value of `Authorization` (RFC 6750 §2.1) with the token that `file` holds now.
///
/// # Errors
/// When the file cannot be read, or does not hold one token.
pub async fn authorization(file: PathBuf) -> Result<HeaderValue, TokenError> {
    let path = file.clone();
    let read = tokio::task::spawn_blocking(move || bearer(&path)).await;
    read.unwrap_or_else(|error| Err(error.to_string())).map_err(|reason| TokenError { file, reason })
}

fn bearer(file: &Path) -> Result<HeaderValue, String> {
    let mut text = String::new();
    let size = File::open(file)
        .and_then(|open| open.take(TOKEN_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| match error.kind() {
            // The text of this one might quote the file.
            io::ErrorKind::InvalidData => "it is not text".to_owned(),
            _ => error.to_string(),
        })?;
    let token = text.trim();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if size as u64 > TOKEN_BYTES {
        return Err(format!("the file has more than {TOKEN_BYTES} bytes"));
    }
    if token.is_empty() || !token.bytes().all(legal) {
        return Err("the file holds nothing, or more than one token".to_owned());
    }
    let mut value =
        HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "it is no header value".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_taken_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, " abc.def-1\n").unwrap();
        let value = bearer(&token).unwrap();
        assert_eq!(value, "Bearer abc.def-1");
        assert!(!format!("{value:?}").contains("abc"), "a token is not for logs");
        for (content, reason) in
            [("", "nothing"), ("two tokens", "more than one"), ("a\u{fc}", "more than one")]
        {
            std::fs::write(&token, content).unwrap();
            let error = bearer(&token).unwrap_err();
            assert!(error.contains(reason) && !error.contains("two"), "{error}");
        }
        std::fs::write(&token, "x".repeat(TOKEN_BYTES as usize + 1)).unwrap();
        assert!(bearer(&token).is_err());
        assert!(bearer(&folder.path().join("none")).is_err());
    }
}
