//! The streaming interface: what is posted to us, standing searches, and the peers that their results
//! go to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{DimseLimits, DimsePeer};

/// Bounds on what is posted to us.
#[derive(Debug, Clone, PartialEq)]
pub struct SendSettings {
    /// Requests at once.
    pub requests: usize,
    /// Bytes of a data set outside Pixel Data.
    pub head_bytes: usize,
    /// Bytes of one frame, or of a single-frame object's Pixel Data.
    pub frame_bytes: usize,
    /// Frames of one object.
    pub frames: u32,
    /// Elements of a data set, nested ones counted.
    pub elements: usize,
    /// Nesting depth of sequences.
    pub nesting: usize,
    /// Failures of one request that its response lists; more are only counted.
    pub listed: usize,
    /// Without a byte inside a part.
    pub stall: Duration,
    /// Between two parts of an open-ended request.
    pub idle: Duration,
    /// Private Storage SOP Class UIDs to accept beside the standard's: those of the DIMSE source.
    pub private_sop_classes: Vec<String>,
}

/// Bounds on standing searches.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionSettings {
    /// Subscriptions at once.
    pub total: usize,
    /// Subscriptions of one subscriber.
    pub per_subscriber: usize,
    /// How long a subscription lives without renewal, and the longest that may be asked for.
    pub lease: Duration,
    /// Events kept for a subscriber that is not connected or reads slowly, by subscription.
    pub events: usize,
    /// Notification connections at once of one subscriber.
    pub channels: usize,
    /// A ping goes out on a notification connection after this much silence; without an answer within as
    /// much again it is closed.
    pub ping: Duration,
}

/// A peer that instances are pushed to (`[destination.NAME]`).
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationSettings {
    /// Base of its DICOMweb service, such as `https://pacs.example/dicom-web`. Plain HTTP is for
    /// loopback addresses, unless `allow_plain`.
    pub url: String,
    /// How instances go there.
    pub mode: PushMode,
    /// Roots that its certificate must chain to (PEM).
    pub ca: PathBuf,
    /// Our certificate and key for it, if it asks for one (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// File with a bearer token, read for every request; `None` sends none.
    pub token: Option<PathBuf>,
    /// Whether `http://` may leave the box.
    pub allow_plain: bool,
    /// Which HTTP it is.
    pub http: HttpVersion,
    /// Subscriptions that may push there at once, each with a connection of its own.
    pub connections: usize,
    /// Most instances in one Store request, taken together only when they are waiting.
    pub batch: usize,
    /// An open-ended Send request is ended and followed by another after this long.
    pub rotate: Duration,
    /// The same after this many bytes.
    pub rotate_bytes: u64,
    /// For TCP and TLS together.
    pub connect: Duration,
    /// A peer that takes none of the bytes on offer for this long is given up.
    pub send_timeout: Duration,
    /// For the response once the request is out.
    pub response: Duration,
    /// The first pause after a failure; it doubles up to `retry_max`, and varies by half.
    pub retry: Duration,
    /// The longest pause after a failure.
    pub retry_max: Duration,
}

/// How instances are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushMode {
    /// Send: one open-ended `POST /instances`.
    Send,
    /// Store (STOW-RS): `POST /studies`, one request for each instance or batch.
    Store,
    /// Send, and Store to a peer that does not know Send.
    SendThenStore,
}

/// Which HTTP a destination speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HttpVersion {
    /// What it picks by ALPN; HTTP/1.1 without TLS.
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, by prior knowledge without TLS (RFC 9113 §3.3).
    #[serde(rename = "2")]
    Http2,
}

/// A standing search of the configuration (`[subscription.NAME]`). `Debug` withholds the filter, which
/// may name a patient.
#[derive(Clone, PartialEq)]
pub struct StandingSettings {
    /// The search resource, such as `/series` or `/studies/1.2.3/instances`.
    pub search: String,
    /// Match keys in QIDO-RS syntax; empty matches everything.
    pub filter: String,
    /// The subscriber that it is for.
    pub subscriber: String,
    /// The principal that the subscriber belongs to; `None` is the anonymous one.
    pub principal: Option<String>,
    /// Destination that is pushed to; `None` notifies.
    pub destination: Option<String>,
    /// Most instances a second; `None` is all of them.
    pub rate: Option<f64>,
    /// Where a push begins in a series that is live already: `oldest`, `latest` or an Instance Number.
    pub from: String,
    /// Transfer Syntax UID that instances are decoded to, Explicit VR Little Endian; `None` leaves them.
    pub transfer_syntax: Option<String>,
    /// Whether pictures are pushed instead of DICOM.
    pub rendered: bool,
}

/// A peer that gets Instance Availability Notifications (PS3.4 Annex R; `[availability.NAME]`).
#[derive(Debug, Clone, PartialEq)]
pub struct AvailabilitySettings {
    /// Whom.
    pub peer: DimsePeer,
    /// Base of our DICOMweb service as the peer reaches it, for Retrieve URL (0008,1190); empty leaves
    /// it out.
    pub retrieve_url: String,
}

impl Default for SendSettings {
    fn default() -> Self {
        let dimse = DimseLimits::default();
        Self {
            requests: 32,
            head_bytes: dimse.head_bytes,
            frame_bytes: dimse.frame_bytes,
            frames: dimse.frames,
            elements: dimse.elements,
            nesting: dimse.nesting,
            listed: 1000,
            stall: dimse.stall,
            idle: dimse.idle,
            private_sop_classes: Vec::new(),
        }
    }
}

impl Default for SubscriptionSettings {
    fn default() -> Self {
        Self {
            total: 4096,
            per_subscriber: 64,
            lease: Duration::from_secs(3600),
            events: 256,
            channels: 4,
            ping: Duration::from_secs(20),
        }
    }
}

impl Default for DestinationSettings {
    fn default() -> Self {
        Self {
            url: String::new(),
            mode: PushMode::SendThenStore,
            ca: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
            identity: None,
            token: None,
            allow_plain: false,
            http: HttpVersion::Auto,
            connections: 8,
            batch: 1,
            rotate: Duration::from_secs(60),
            rotate_bytes: 4 << 30,
            connect: Duration::from_secs(5),
            send_timeout: Duration::from_secs(10),
            response: Duration::from_secs(30),
            retry: Duration::from_millis(100),
            retry_max: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for StandingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandingSettings")
            .field("search", &self.search)
            .field("filtered", &!self.filter.is_empty())
            .field("subscriber", &self.subscriber)
            .field("principal", &self.principal)
            .field("destination", &self.destination)
            .field("rate", &self.rate)
            .field("from", &self.from)
            .field("transfer_syntax", &self.transfer_syntax)
            .field("rendered", &self.rendered)
            .finish()
    }
}
