//! Who may do what: those who are known, their rights, and the tokens that they may show.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Who may do what (`[access]`, `[principal.NAME]`).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccessSettings {
    /// What a client may do that shows neither a certificate nor a token. Empty: nothing.
    pub anonymous: Rights,
    /// Bearer tokens; `None` takes none.
    pub jwt: Option<JwtSettings>,
    /// Those who are known, by name.
    pub principals: BTreeMap<String, PrincipalSettings>,
}

/// One who is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PrincipalSettings {
    /// Client certificates that are theirs: `CN=`, `DNS:`, `URI:` or `email:` and the name, exactly as in
    /// the certificate's subject or Subject Alternative Name.
    pub certificates: Vec<String>,
    /// Token subjects (claim `sub`, RFC 7519 §4.1.2) that are theirs.
    pub subjects: Vec<String>,
    /// What they may do.
    pub rights: Rights,
}

/// What somebody may do. `Debug` withholds the filter, which may name a patient.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// The transactions.
    pub may: Vec<Right>,
    /// Destinations that subscriptions may name, for [`Right::PushTo`]; `*` is all of them.
    pub destinations: Vec<String>,
    /// A standing filter in QIDO-RS syntax, such as `Modality=XA&InstitutionName=North*`, that is and-ed to
    /// everything they see. Empty: they see everything.
    pub filter: String,
}

/// One kind of transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// Search (QIDO-RS).
    Search,
    /// Retrieve (WADO-RS), metadata and rendered among it.
    Retrieve,
    /// Subscribe and be notified.
    Subscribe,
    /// Name a destination in a subscription.
    PushTo,
    /// Send and Store instances to us.
    Send,
    /// Look after everybody's subscriptions, and operate captures.
    Operate,
    /// Log in to the console, by certificate.
    Console,
    /// See there who is imaged.
    Phi,
    /// Change the configuration there.
    Configure,
}

impl Right {
    /// All of them, in the order of the documents.
    pub const ALL: [Self; 9] = [
        Self::Search,
        Self::Retrieve,
        Self::Subscribe,
        Self::PushTo,
        Self::Send,
        Self::Operate,
        Self::Console,
        Self::Phi,
        Self::Configure,
    ];

    /// The word for it in configuration, log and documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Retrieve => "retrieve",
            Self::Subscribe => "subscribe",
            Self::PushTo => "push-to",
            Self::Send => "send",
            Self::Operate => "operate",
            Self::Console => "console",
            Self::Phi => "phi",
            Self::Configure => "configure",
        }
    }
}

impl Rights {
    /// Everything, unfiltered: for trials.
    pub fn all() -> Self {
        Self { may: Right::ALL.to_vec(), destinations: vec!["*".to_owned()], filter: String::new() }
    }
}

/// Bearer tokens (RFC 6750, RFC 7519, RFC 9068).
#[derive(Debug, Clone, PartialEq)]
pub struct JwtSettings {
    /// JWK Set (RFC 7517) with the issuer's public keys; read again when it changes.
    pub jwks: PathBuf,
    /// Claim `iss` that a token must have.
    pub issuer: String,
    /// Claim `aud` that a token must have.
    pub audience: String,
    /// How far the issuer's clock may be from ours.
    pub leeway: Duration,
}

impl JwtSettings {
    /// How far clocks may be apart unless configured otherwise.
    pub const LEEWAY: Duration = Duration::from_secs(30);
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rights")
            .field("may", &self.may)
            .field("destinations", &self.destinations)
            .field("filtered", &!self.filter.is_empty())
            .finish()
    }
}
