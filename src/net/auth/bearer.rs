//! Bearer tokens: finding one in a request (RFC 6750 §2.1) and believing it (RFC 7519, RFC 8725, RFC
//! 9068). A token is a JWT that is signed by one of the issuer's keys, with an algorithm that takes a
//! public key: never `none`, and never HMAC, for which the public key would be the secret. It is for us,
//! its time is now, and it has a subject.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, Validation, decode, decode_header};
use serde::Deserialize;

use super::Unauthenticated;
use super::keys::{Keys, KeysError};
use crate::config::settings::JwtSettings;

/// Bytes of a token.
pub(super) const MAX_TOKEN: usize = 8 << 10;
/// Values of `typ` (without regard to case): absent, the general one, and those of RFC 9068 §2.1.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// What is asked of tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    keys: Arc<Keys>,
    issuer: String,
    audience: String,
    /// Seconds.
    leeway: u64,
}

/// What is read of a token. The rest is checked by the library.
#[derive(Deserialize)]
struct Claims {
    /// One text (RFC 7519 §4.1.1); the library would take a list.
    iss: String,
    sub: String,
    /// Seconds since 1970; may have a fraction (RFC 7519 §2).
    exp: f64,
}

/// What is taken from a token that is believed.
pub(super) struct Believed {
    pub(super) subject: String,
    /// When its time is over, leeway included; `None` is beyond what a clock can say.
    pub(super) until: Option<SystemTime>,
}

impl Tokens {
    /// Reads the file of keys, unless `before` has read the same one.
    pub(super) fn new(settings: &JwtSettings, before: Option<&Self>) -> Result<Self, KeysError> {
        let keys = match before.filter(|before| before.keys.file() == settings.jwks) {
            Some(before) => Arc::clone(&before.keys),
            None => Arc::new(Keys::read(&settings.jwks)?),
        };
        Ok(Self {
            keys,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            leeway: settings.leeway.as_secs(),
        })
    }

    pub(super) fn changed_on_disk(&self) -> bool {
        self.keys.changed_on_disk()
    }

    pub(super) fn renew(&self) -> Result<usize, KeysError> {
        self.keys.renew()
    }

    /// Believes a token, or says why not.
    pub(super) fn believe(&self, token: &str) -> Result<Believed, Unauthenticated> {
        let header = decode_header(token).map_err(|_| Unauthenticated::Malformed)?;
        let typed = header.typ.as_deref().map(str::to_ascii_lowercase);
        let is_taken = typed.is_none_or(|typed| TYPES.contains(&typed.as_str()));
        // Nothing is critical that we know of (RFC 7515 §4.1.11); the library does not look.
        if !is_taken || header.crit.is_some() || is_symmetric(header.alg) {
            return Err(Unauthenticated::Algorithm);
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).ok_or(Unauthenticated::Key)?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.leeway;
        validation.validate_nbf = true;
        validation.required_spec_claims = ["exp", "iss", "aud", "sub"].map(str::to_owned).into();
        validation.iss = Some(HashSet::from([self.issuer.clone()]));
        validation.aud = Some(HashSet::from([self.audience.clone()]));
        let token = decode::<Claims>(token, &key, &validation).map_err(|error| reason(&error))?;
        if token.claims.iss != self.issuer {
            return Err(Unauthenticated::Issuer);
        }
        let time = Duration::try_from_secs_f64(token.claims.exp).ok();
        let until = time
            .and_then(|time| time.checked_add(Duration::from_secs(self.leeway)))
            .and_then(|time| SystemTime::UNIX_EPOCH.checked_add(time));
        Ok(Believed { subject: token.claims.sub, until })
    }
}

fn is_symmetric(algorithm: Algorithm) -> bool {
    matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)
}

fn reason(error: &Error) -> Unauthenticated {
    match error.kind() {
        ErrorKind::ExpiredSignature => Unauthenticated::Expired,
        ErrorKind::ImmatureSignature => Unauthenticated::Early,
        ErrorKind::InvalidIssuer => Unauthenticated::Issuer,
        ErrorKind::InvalidAudience => Unauthenticated::Audience,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) | ErrorKind::Json(_) => {
            Unauthenticated::Claims
        }
        ErrorKind::InvalidSignature => Unauthenticated::Signature,
        // Base64 and UTF-8, and keys that the cryptography refuses.
        ErrorKind::Base64(_) | ErrorKind::Utf8(_) | ErrorKind::InvalidToken => Unauthenticated::Malformed,
        _ => Unauthenticated::Key,
    }
}

/// The bearer token of a request; `None` if it shows none.
pub(super) fn token(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Unauthenticated::Malformed);
    }
    let (scheme, rest) =
        field.to_str().ok().and_then(|text| text.split_once(' ')).ok_or(Unauthenticated::Malformed)?;
    let token = rest.trim_start_matches(' ');
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b);
    if !scheme.eq_ignore_ascii_case("Bearer")
        || token.is_empty()
        || !token.trim_end_matches('=').bytes().all(legal)
    {
        return Err(Unauthenticated::Malformed);
    }
    if token.len() > MAX_TOKEN {
        return Err(Unauthenticated::TooLong);
    }
    Ok(Some(token))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn fields(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_found_and_nothing_else_is_taken_for_one() {
        assert_eq!(token(&HeaderMap::new()), Ok(None));
        for one in ["Bearer a.b-c_d~e+f/g==", "bearer a.b-c_d~e+f/g==", "BEARER   a.b-c_d~e+f/g=="] {
            assert_eq!(token(&fields(&[one])), Ok(Some("a.b-c_d~e+f/g==")), "{one}");
        }
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Basic YTpi",
            "a.b.c",
            "Bearer a b",
            "Bearer \ta",
            "Bearer a=b",
            "Bearer a,b",
        ] {
            assert_eq!(token(&fields(&[bad])), Err(Unauthenticated::Malformed), "{bad}");
        }
        assert_eq!(token(&fields(&["Bearer a", "Bearer a"])), Err(Unauthenticated::Malformed));
    }

    #[test]
    fn a_token_is_bounded() {
        let of = |length: usize| format!("Bearer {}", "x".repeat(length));
        assert!(token(&fields(&[&of(MAX_TOKEN)])).is_ok());
        assert_eq!(token(&fields(&[&of(MAX_TOKEN + 1)])), Err(Unauthenticated::TooLong));
    }

    proptest! {
        #[test]
        fn any_field_gives_a_legal_token_or_none(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = HeaderMap::new();
                headers.insert(AUTHORIZATION, value);
                if let Ok(found) = token(&headers) {
                    let found = found.unwrap();
                    prop_assert!(!found.is_empty() && found.bytes().all(|b| b.is_ascii_graphic()));
                    prop_assert!(bytes.ends_with(found.as_bytes()));
                }
            }
        }

        #[test]
        fn what_was_written_as_a_token_is_read_as_it(text in "[A-Za-z0-9._~+/-]{1,80}={0,2}", gap in " {1,3}") {
            let headers = fields(&[&format!("Bearer{gap}{text}")]);
            prop_assert_eq!(token(&headers), Ok(Some(text.as_str())));
        }
    }
}
