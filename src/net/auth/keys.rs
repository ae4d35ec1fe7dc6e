//! The issuer's public keys, from a file that holds a JWK Set (RFC 7517 §5). It is read at the start and
//! again when it changes; a file that cannot be used leaves the keys in force.
//!
//! Keys that are not for verifying signatures, or of a kind that is not taken, are passed over, as the
//! RFC asks. A private key in the file is refused: it should be nowhere but with the issuer.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::net::file::{self, Stamp};

/// Bytes of the file.
const MAX_FILE: u64 = 1 << 20;
/// Keys of one set.
const MAX_KEYS: usize = 64;
const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
/// Members that only a private or symmetric key has (RFC 7518 §6).
const SECRET: [&str; 2] = ["d", "k"];

/// Why a file of keys cannot be used. No text quotes the file.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// It is not there or may not be read.
    #[error("cannot read {}: {source}; check that the file exists and that framegate's user may read it", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// It is no JWK Set.
    #[error("{} is no JWK Set: {reason}; get it from the issuer's jwks_uri", .file.display())]
    NotKeys {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It holds a secret.
    #[error("{} holds a private or symmetric key; put the issuer's public keys there only, and make that key unusable", .file.display())]
    Secret {
        /// The file.
        file: PathBuf,
    },
    /// None of its keys can be used.
    #[error("{} holds no key for RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA", .file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
}

/// The keys of one file.
#[derive(Debug)]
pub(super) struct Keys {
    file: PathBuf,
    /// How the file looked when it was last tried, good or bad.
    tried: Mutex<Option<Stamp>>,
    current: ArcSwap<Vec<Key>>,
}

/// One key for verifying signatures.
pub(super) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl Keys {
    pub(super) fn read(file: &Path) -> Result<Self, KeysError> {
        let stamp = Stamp::of(file);
        let keys = read(file)?;
        Ok(Self { file: file.to_owned(), tried: Mutex::new(stamp), current: ArcSwap::from_pointee(keys) })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn changed_on_disk(&self) -> bool {
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) != Stamp::of(&self.file)
    }

    /// Reads the file again, and says how many keys it has.
    pub(super) fn renew(&self) -> Result<usize, KeysError> {
        // Stamped before reading: a file that changes meanwhile shows as changed again.
        *self.tried.lock().unwrap_or_else(PoisonError::into_inner) = Stamp::of(&self.file);
        let keys = read(&self.file)?;
        let count = keys.len();
        self.current.store(keys.into());
        Ok(count)
    }

    /// The one key that a token of this header can be verified with: that of its key ID, or, where it
    /// names none, the only one for its algorithm. `None` also where there are several.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
        let keys = self.current.load();
        let mut fitting = keys.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        let found = fitting.next()?;
        fitting.next().is_none().then(|| found.key.clone())
    }
}

fn read(file: &Path) -> Result<Vec<Key>, KeysError> {
    let bad = |reason: String| KeysError::NotKeys { file: file.to_owned(), reason };
    let bytes = file::read(file, MAX_FILE)
        .map_err(|source| KeysError::Unreadable { file: file.to_owned(), source })?
        .ok_or_else(|| bad("it is larger than 1 MiB".to_owned()))?;
    // The library's text may quote the file.
    let at = |error: serde_json::Error| bad(format!("line {}, column {}", error.line(), error.column()));
    let mut set: Value = serde_json::from_slice(&bytes).map_err(at)?;
    let Some(Value::Array(keys)) = set.get_mut("keys").map(Value::take) else {
        return Err(bad("it has no array keys".to_owned()));
    };
    if keys.len() > MAX_KEYS {
        return Err(bad(format!("it has more than {MAX_KEYS} keys")));
    }
    if keys.iter().any(|key| SECRET.iter().any(|member| key.get(member).is_some())) {
        return Err(KeysError::Secret { file: file.to_owned() });
    }
    let keys: Vec<Key> = keys.into_iter().filter_map(key).collect();
    if keys.is_empty() {
        return Err(KeysError::NoKey { file: file.to_owned() });
    }
    Ok(keys)
}

/// A key that is of use here.
fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    let verifies = jwk.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
        && jwk.common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
    let algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => RSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => &[Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        _ => return None,
    };
    // An error is the name of an algorithm for something else, such as encryption.
    let named = jwk.common.key_algorithm.map(Algorithm::try_from).transpose().ok()?;
    let fits = |one: &&Algorithm| named.is_none_or(|named| named == **one);
    let algorithms: Vec<_> = algorithms.iter().filter(fits).copied().collect();
    if !verifies || algorithms.is_empty() {
        return None;
    }
    Some(Key { id: jwk.common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
}
