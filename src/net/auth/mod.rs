//! Who a client is: the principal whose certificate it has shown in the TLS handshake, or whose bearer
//! token it sends. What a principal may do is not decided here.
//!
//! A credential that is shown is never passed over. A token that is not accepted, and a certificate that
//! belongs to no principal, fail the request, even where somebody without any credential would be let
//! in: what was meant to say who is there and does not is a mistake or worse, and a client that is
//! quietly taken for anonymous finds out by puzzling gaps. There is one exception: where no principal
//! is known by certificate, certificates are what the TLS listener asks for to let a machine in, and say
//! nothing here.
//!
//! Both a certificate and a token must name the same principal.
//!
//! Nothing here compares a secret of ours with what a client sends: certificates and tokens are verified
//! with public keys, names are looked up only afterwards, and every failure looks the same to the client.
//! So there is no time to be measured that would give anything away.

mod bearer;
mod certificate;
mod failures;
mod keys;

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;

use self::bearer::{Believed, Tokens};
use self::certificate::Name;
pub use self::failures::Failures;
pub use self::keys::KeysError;
use super::http::PeerInfo;
use crate::config::settings::AccessSettings;

/// Why a request's credentials are not accepted. The text is for the log; clients are told none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// The Authorization header field is something else (RFC 6750 §2.1), or the token is no JWT.
    #[error("the Authorization field does not hold one bearer token that is a signed JWT")]
    Malformed,
    /// No tokens are configured.
    #[error("it shows a bearer token, but none are taken; set access.jwt, or have it show none")]
    NotTaken,
    /// The token exceeds the bound.
    #[error("the token is longer than {} bytes", bearer::MAX_TOKEN)]
    TooLong,
    /// The token is signed in a way that is not taken, such as HMAC, or is of another kind.
    #[error("the token's type, algorithm or critical header is not one that is taken")]
    Algorithm,
    /// There is no key, or more than one, for the token.
    #[error(
        "no key of access.jwt.jwks fits the token, or several do; does the file have the issuer's current keys?"
    )]
    Key,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not come.
    #[error("the token is not valid yet; is a clock wrong?")]
    Early,
    /// Another issuer's.
    #[error("the token is not of access.jwt.issuer")]
    Issuer,
    /// For somebody else.
    #[error("the token is not for access.jwt.audience")]
    Audience,
    /// A claim is missing, or is not what it should be.
    #[error("the token lacks one of iss, aud, exp and sub, or one of its claims is malformed")]
    Claims,
    /// The token is good, but its subject is no principal's.
    #[error("the token's subject belongs to no principal; add it to one's subjects")]
    Subject,
    /// The certificate is good, but is no principal's.
    #[error("the client certificate belongs to no principal; add one of its names to one's certificates")]
    Certificate,
    /// The certificate has names of several principals, or cannot be read.
    #[error("the client certificate's names cannot be read, or are those of several principals")]
    Names,
    /// Certificate and token are of different principals.
    #[error("the client certificate and the token are of different principals")]
    Differ,
}

impl Unauthenticated {
    /// A word for a counter's label.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotTaken => "not_taken",
            Self::TooLong => "too_long",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Early => "early",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Claims => "claims",
            Self::Subject => "subject",
            Self::Certificate => "certificate",
            Self::Names => "names",
            Self::Differ => "differ",
        }
    }

    /// Whether it was a token that failed.
    pub fn is_of_token(self) -> bool {
        !matches!(self, Self::Certificate | Self::Names)
    }
}

/// Why nobody can be authenticated with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The token keys cannot be used.
    #[error("access.jwt.jwks: {0}")]
    Keys(#[from] KeysError),
    /// A name is not written as names of certificates are.
    #[error(
        "principal.{principal}.certificates: entry {entry} is not CN=, DNS:, URI: or email: followed by a name"
    )]
    Name {
        /// Whose.
        principal: String,
        /// Which, from 1.
        entry: usize,
    },
    /// Two principals have the same name or subject.
    #[error("principal.{first} and principal.{second} have an entry of {list} in common")]
    Shared {
        /// One of them.
        first: String,
        /// The other.
        second: String,
        /// `certificates` or `subjects`.
        list: &'static str,
    },
}

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// The principal's name; `None` is anonymous: nothing was shown that could say who it is.
    pub principal: Option<Arc<str>>,
    /// When the token that was shown for it has expired, leeway included; `None` where none was.
    pub until: Option<SystemTime>,
}

/// Finds out who makes a request.
pub struct Authenticator {
    by_name: HashMap<Name, Arc<str>>,
    by_subject: HashMap<String, Arc<str>>,
    tokens: Option<Tokens>,
}

impl fmt::Debug for Authenticator {
    /// Names of people and machines are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("names", &self.by_name.len())
            .field("subjects", &self.by_subject.len())
            .field("tokens", &self.tokens.is_some())
            .finish()
    }
}

impl Authenticator {
    /// Reads the token keys, and indexes who is known by what. `before` is what is in force: where the
    /// file of keys is the same, its keys are taken over as they are. Call it where blocking is allowed.
    ///
    /// # Errors
    /// When the file of keys cannot be used, or the principals cannot be told apart.
    pub fn new(settings: &AccessSettings, before: Option<&Self>) -> Result<Self, AuthError> {
        let Index { by_name, by_subject } = Index::new(settings)?;
        let before = before.and_then(|before| before.tokens.as_ref());
        let tokens = settings.jwt.as_ref().map(|jwt| Tokens::new(jwt, before)).transpose()?;
        Ok(Self { by_name, by_subject, tokens })
    }

    /// Finds out whether the principals can be told apart. Reads no file.
    ///
    /// # Errors
    /// When they cannot.
    pub fn check(settings: &AccessSettings) -> Result<(), AuthError> {
        Index::new(settings).map(drop)
    }

    /// Finds out who makes a request, and for how long that holds.
    ///
    /// # Errors
    /// When something was shown that is not accepted.
    pub fn authenticate(
        &self,
        peer: &PeerInfo,
        headers: &HeaderMap,
    ) -> Result<Authenticated, Unauthenticated> {
        let by_certificate = match &peer.client_certificate {
            Some(certificate) if !self.by_name.is_empty() => Some(self.owner_of(certificate)?),
            _ => None,
        };
        let (by_token, until) = match bearer::token(headers)? {
            Some(token) => {
                let tokens = self.tokens.as_ref().ok_or(Unauthenticated::NotTaken)?;
                let Believed { subject, until } = tokens.believe(token)?;
                (Some(self.by_subject.get(&subject).ok_or(Unauthenticated::Subject)?), until)
            }
            None => (None, None),
        };
        match (by_certificate, by_token) {
            (Some(one), Some(other)) if one != other => Err(Unauthenticated::Differ),
            (one, other) => Ok(Authenticated { principal: one.or(other).cloned(), until }),
        }
    }

    /// Whether the file of keys has changed since it was last tried.
    pub fn keys_changed_on_disk(&self) -> bool {
        self.tokens.as_ref().is_some_and(Tokens::changed_on_disk)
    }

    /// Reads the file of keys again; `None` where there is none. Returns how many keys it has. Call it
    /// where blocking is allowed.
    ///
    /// # Errors
    /// When it cannot be used; the old keys stay in force.
    pub fn renew_keys(&self) -> Option<Result<usize, KeysError>> {
        self.tokens.as_ref().map(Tokens::renew)
    }

    fn owner_of(&self, certificate: &[u8]) -> Result<&Arc<str>, Unauthenticated> {
        let names = certificate::names(certificate).ok_or(Unauthenticated::Names)?;
        let mut owners = names.iter().filter_map(|name| self.by_name.get(name));
        let owner = owners.next().ok_or(Unauthenticated::Certificate)?;
        if owners.any(|other| other != owner) {
            return Err(Unauthenticated::Names);
        }
        Ok(owner)
    }
}

/// Who is known by what.
struct Index {
    by_name: HashMap<Name, Arc<str>>,
    by_subject: HashMap<String, Arc<str>>,
}

impl Index {
    fn new(settings: &AccessSettings) -> Result<Self, AuthError> {
        let (mut by_name, mut by_subject) = (HashMap::new(), HashMap::new());
        for (principal, known) in &settings.principals {
            let owner: Arc<str> = Arc::from(principal.as_str());
            for (at, text) in known.certificates.iter().enumerate() {
                let bad = || AuthError::Name { principal: principal.clone(), entry: at + 1 };
                add(&mut by_name, Name::parse(text).ok_or_else(bad)?, &owner, "certificates")?;
            }
            for subject in &known.subjects {
                add(&mut by_subject, subject.clone(), &owner, "subjects")?;
            }
        }
        Ok(Self { by_name, by_subject })
    }
}

fn add<K: Eq + Hash>(
    index: &mut HashMap<K, Arc<str>>,
    key: K,
    owner: &Arc<str>,
    list: &'static str,
) -> Result<(), AuthError> {
    match index.insert(key, Arc::clone(owner)) {
        Some(first) if first != *owner => {
            Err(AuthError::Shared { first: first.to_string(), second: owner.to_string(), list })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
