//! The validated settings that the rest of the house is built from: plain values, no parsing.
//! Every limit stands here with its default, so that "is this bounded, and by how much" has one
//! place to look.

mod access;
mod audit;
mod capture;
mod console;
mod live;
mod metrics;
mod procedure;
mod relay;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use access::{AccessSettings, JwtSettings, PrincipalSettings, Right, Rights};
pub use audit::{AuditReceiver, AuditSettings};
pub use capture::{
    CaptureSettings, Compression, Deinterlace, MatrixChoice, PixelChoice, Provider, RangeChoice, Rectangle,
    SeriesPolicy, VideoSopClass,
};
pub use console::ConsoleSettings;
pub use live::{
    AvailabilitySettings, DestinationSettings, HttpVersion, PushMode, SendSettings, StandingSettings,
    SubscriptionSettings,
};
pub use metrics::MetricsSettings;
pub use procedure::{DimsePeer, MppsSettings, PeerTls, WebPeer, WorklistPeer, WorklistSettings};
pub use relay::{RelaySettings, SpoolSettings, WhenUnreachable};

/// Everything `framegate run` needs, validated. The default is what runs without any file: all on
/// loopback, DICOMweb with a [self-signed certificate](HttpTls::SelfSigned).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Settings {
    /// Bounds of the rings and the life of a live series.
    pub hub: HubSettings,
    /// The DIMSE source (C-ECHO and C-STORE SCP).
    pub dimse: DimseSettings,
    /// The DICOMweb origin server.
    pub dicomweb: DicomwebSettings,
    /// The field engineer's console.
    pub console: ConsoleSettings,
    /// Who may do what.
    pub access: AccessSettings,
    /// Bounds on what is posted to us (Send and Store).
    pub send: SendSettings,
    /// Bounds on standing searches and on what tells of their results.
    pub subscriptions: SubscriptionSettings,
    /// Peers that instances are pushed to, by name.
    pub destinations: BTreeMap<String, DestinationSettings>,
    /// Standing searches for fixed peers, by name.
    pub standing: BTreeMap<String, StandingSettings>,
    /// Peers that are told over DIMSE what has become available, by name.
    pub availability: BTreeMap<String, AvailabilitySettings>,
    /// Peers that associations are passed on to, by name.
    pub relays: BTreeMap<String, RelaySettings>,
    /// Where objects wait for such a peer.
    pub spool: SpoolSettings,
    /// Worklists that are asked what is scheduled, by name.
    pub worklists: BTreeMap<String, WorklistSettings>,
    /// Peers that are told what captures perform, by name.
    pub mpps: BTreeMap<String, MppsSettings>,
    /// Where the audit trail goes.
    pub audit: AuditSettings,
    /// Video outputs that become live series, by name.
    pub captures: BTreeMap<String, CaptureSettings>,
    /// The synthetic source; off unless asked for.
    pub pattern: PatternSettings,
    /// The process itself: drain time, log.
    pub service: ServiceSettings,
    /// Where monitoring asks.
    pub metrics: MetricsSettings,
}

/// Bounds of the rings and the life of a live series.
#[derive(Debug, Clone, PartialEq)]
pub struct HubSettings {
    /// Bytes that all rings together may hold.
    pub budget_bytes: u64,
    /// An instance older than this leaves its ring.
    pub max_age: Duration,
    /// A live series from which nothing came for this long ends as completed.
    pub quiet: Duration,
    /// How long a series stays open after its last association or source has ended properly, so
    /// that a modality that opens one association per object feeds one series.
    pub linger: Duration,
    /// Live and still readable series at once.
    pub max_series: usize,
}

/// The DIMSE listener(s) and policy.
#[derive(Debug, Clone, PartialEq)]
pub struct DimseSettings {
    /// Plain DICOM upper layer over TCP; `None` closes it.
    pub listen: Option<SocketAddr>,
    /// DICOM over mutual TLS; `None` closes it.
    pub tls: Option<DimseTlsSettings>,
    /// Our AE title, the called one that is answered (PS3.8 §7.1.1.4, at most 16 characters).
    pub ae_title: String,
    /// Whether a request that calls another AE title is accepted all the same.
    pub accept_any_called_ae_title: bool,
    /// Calling AE titles that are let in; empty means any.
    pub calling_ae_titles: Vec<String>,
    /// Peer networks that are let in.
    pub allow: Vec<IpNet>,
    /// Private Storage SOP Class UIDs to accept beside the standard's, over DICOMweb too.
    pub private_sop_classes: Vec<String>,
    /// Bounds on what a peer may do.
    pub limits: DimseLimits,
}

/// The TLS listener of the DIMSE source.
#[derive(Debug, Clone, PartialEq)]
pub struct DimseTlsSettings {
    /// Address, usually port 2762 (PS3.8 §9.1.1: dicom-tls).
    pub listen: SocketAddr,
    /// Our certificate and key, and whom we trust.
    pub identity: TlsIdentity,
}

/// PEM files of one TLS identity.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsIdentity {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key of the leaf.
    pub key: PathBuf,
    /// Roots that client certificates must chain to; `None` asks for no client certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is let in all the same, to show a token instead.
    pub client_certificate_optional: bool,
    /// Certificate revocation lists (PEM) that client certificates are held against; `None` for none.
    pub client_crl: Option<PathBuf>,
}

impl TlsIdentity {
    /// Without revocation lists, and no client certificate optional.
    pub fn new(certificate: PathBuf, key: PathBuf, client_ca: Option<PathBuf>) -> Self {
        Self { certificate, key, client_ca, client_certificate_optional: false, client_crl: None }
    }
}

/// Bounds of the DIMSE source.
#[derive(Debug, Clone, PartialEq)]
pub struct DimseLimits {
    /// Associations at once.
    pub associations: usize,
    /// Associations at once from one address.
    pub associations_per_peer: usize,
    /// The largest P-DATA-TF PDU that we take (bytes, PS3.8 §D.1).
    pub pdu_bytes: u32,
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
    /// From TCP accept to a negotiated association (the ARTIM timer, PS3.8 §9.1.5).
    pub handshake: Duration,
    /// Between two messages of an association.
    pub idle: Duration,
    /// Without a byte inside a message.
    pub stall: Duration,
}

/// The DICOMweb listener and policy.
#[derive(Debug, Clone, PartialEq)]
pub struct DicomwebSettings {
    /// Address of the HTTPS listener.
    pub listen: SocketAddr,
    /// Where the certificate comes from.
    pub tls: HttpTls,
    /// Client networks that are let in.
    pub allow: Vec<IpNet>,
    /// Origins that a browser application may call from (`*` for any); empty sends no CORS header.
    pub cors_origins: Vec<String>,
    /// Bounds on what a client may do.
    pub limits: HttpLimits,
}

/// Where the HTTPS certificate comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpTls {
    /// PEM files, reloaded when they change.
    Files(TlsIdentity),
    /// A fresh self-signed certificate for the loopback names, made at the start (trials only). A
    /// configuration file gets it by saying so, never by leaving the certificate out.
    SelfSigned,
}

/// Bounds of the HTTP server.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_peer: usize,
    /// HTTP/2 streams at once on one connection.
    pub streams: u32,
    /// Requests a second that one address may make, on average.
    pub requests_per_second: u32,
    /// Requests that one address may make in one burst.
    pub request_burst: u32,
    /// Bytes of all request header fields together.
    pub header_bytes: usize,
    /// From TCP accept to a finished TLS handshake, and from there to a whole request head.
    pub header_timeout: Duration,
    /// A connection without a request in flight is closed after this.
    pub idle: Duration,
    /// A client that takes none of the bytes on offer for this long is dropped.
    pub send_timeout: Duration,
    /// Results of one search when the client names no `limit`, and the most it may name.
    pub search_results: usize,
}

/// The synthetic angiogram.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternSettings {
    /// Whether the source runs.
    pub enabled: bool,
    /// Rows (pixels).
    pub rows: u16,
    /// Columns (pixels).
    pub columns: u16,
    /// Bits Stored: 8, 12 or 16. RGB is 8 bit.
    pub bits: u8,
    /// RGB instead of MONOCHROME2.
    pub color: bool,
    /// Frames per second, 1 to 240.
    pub fps: f64,
}

/// The process.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceSettings {
    /// After SIGTERM everything is out within this.
    pub drain: Duration,
    /// How often the service tries whether it works, beside once at its start; zero is not again.
    pub self_test: Duration,
    /// Log filter in `tracing` directive syntax, for instance `info` or `framegate=debug`.
    pub log: String,
    /// Log lines as text or JSON.
    pub log_format: LogFormat,
    /// Whether the process confines itself by Landlock.
    pub landlock: bool,
}

/// Form of log lines on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One human-readable line an event; an entry of the journal where that is what standard error is.
    Text,
    /// One JSON object an event.
    Json,
}

const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// The loopback networks: what is let in when nothing else is configured.
pub fn loopback_networks() -> Vec<IpNet> {
    LOOPBACK.iter().filter_map(|net| net.parse().ok()).collect()
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            budget_bytes: 512 << 20,
            max_age: Duration::from_secs(60),
            quiet: Duration::from_secs(60),
            linger: Duration::from_secs(2),
            max_series: 256,
        }
    }
}

impl Default for DimseSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 11112))),
            tls: None,
            ae_title: "FRAMEGATE".to_owned(),
            accept_any_called_ae_title: false,
            calling_ae_titles: Vec::new(),
            allow: loopback_networks(),
            private_sop_classes: Vec::new(),
            limits: DimseLimits::default(),
        }
    }
}

impl Default for DimseLimits {
    fn default() -> Self {
        Self {
            associations: 32,
            associations_per_peer: 16,
            pdu_bytes: 1 << 20,
            head_bytes: 16 << 20,
            frame_bytes: 64 << 20,
            frames: 100_000,
            elements: 500_000,
            nesting: 32,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(300),
            stall: Duration::from_secs(30),
        }
    }
}

impl Default for DicomwebSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            tls: HttpTls::SelfSigned,
            allow: loopback_networks(),
            cors_origins: Vec::new(),
            limits: HttpLimits::default(),
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            connections_per_peer: 128,
            streams: 64,
            requests_per_second: 200,
            request_burst: 400,
            header_bytes: 32 << 10,
            header_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            send_timeout: Duration::from_secs(10),
            search_results: 1000,
        }
    }
}

impl Default for PatternSettings {
    fn default() -> Self {
        Self { enabled: false, rows: 512, columns: 512, bits: 8, color: false, fps: 15.0 }
    }
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(5),
            self_test: Duration::from_secs(60),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            landlock: true,
        }
    }
}
