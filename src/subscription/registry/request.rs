//! What is asked for when a search is registered: for whom, where, what, and how it shall be delivered.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::hub::From;
use crate::subscription::query::Query;
use crate::subscription::scope::Scope;

/// Longest name of a subscriber (characters).
const MAX_NAME: usize = 64;

/// Name of a subscriber: an AE title by custom (UPS-RS, PS3.18 §11.10), 1 to 64 letters, digits, and
/// `.`, `_` or `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subscriber(Arc<str>);

/// A name that no subscriber can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a subscriber is named by 1 to {MAX_NAME} letters, digits, and . _ or -")]
pub struct BadSubscriber;

impl Subscriber {
    /// Checks a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters.
    pub fn parse(name: &str) -> Result<Self, BadSubscriber> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(legal) {
            Ok(Self(Arc::from(name)))
        } else {
            Err(BadSubscriber)
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How results reach the subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// Events on its notification connection.
    Notification,
    /// Instances, pushed to the destination of this name.
    Push(Arc<str>),
}

/// What a subscriber may change while a subscription runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Most instances a second; `None` is all of them.
    pub rate: Option<f64>,
    /// Whether delivery of instances waits. What the ring cannot hold meanwhile is missed.
    pub paused: bool,
}

/// A change to a running subscription. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Most instances a second; `Some(None)` takes the limit away.
    pub rate: Option<Option<f64>>,
    /// Whether delivery of instances waits.
    pub paused: Option<bool>,
    /// How long it shall live from now on, at most the configured lease. One of the configuration has no
    /// lease.
    pub lease: Option<Duration>,
}

/// In which form instances are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    AsTheyAre,
    /// Decoded to Explicit VR Little Endian where they are in another transfer syntax.
    Native,
    /// Pictures (JPEG).
    Rendered,
}

/// What is asked for.
#[derive(Clone)]
pub struct Request {
    /// For whom.
    pub subscriber: Subscriber,
    /// The principal who asks; `None` is anonymous.
    pub owner: Option<Arc<str>>,
    /// Where to look, and at which level.
    pub scope: Scope,
    /// The match keys.
    pub query: Query,
    /// The match keys in canonical form ([`Query::canonical`]): what makes two searches the same. Can
    /// name a patient.
    pub keys: Arc<str>,
    /// The owner's standing filter on series, and-ed to the search.
    pub restriction: Option<Arc<Query>>,
    /// How results are delivered.
    pub delivery: Delivery,
    /// Where a push begins in a series that is live already.
    pub from: From,
    /// The form that instances are wanted in.
    pub form: Form,
    /// What may be changed later.
    pub options: Options,
    /// How long it shall live; `None` as long as possible.
    pub lease: Option<Duration>,
    /// Base URL by which the subscriber reaches us, for Retrieve URLs.
    pub base: Arc<str>,
}

impl Request {
    /// Whether both ask for the same: the search, the subscriber and the delivery decide.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.subscriber == other.subscriber
            && self.scope == other.scope
            && self.keys == other.keys
            && self.delivery == other.delivery
            && self.form == other.form
    }
}

impl fmt::Debug for Request {
    /// Shows whose it is and where it looks; its match keys can be PHI.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("subscriber", &self.subscriber)
            .field("owner", &self.owner)
            .field("scope", &self.scope)
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}
