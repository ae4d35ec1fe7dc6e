//! Peers that we open DIMSE associations to, and those that know what is scheduled and want to know what
//! was performed: the RIS.

use std::path::PathBuf;
use std::time::Duration;

/// A peer that we open associations to, as an SCU.
#[derive(Debug, Clone, PartialEq)]
pub struct DimsePeer {
    /// Address and port.
    pub address: String,
    /// Its AE title, the called one.
    pub ae_title: String,
    /// Our AE title, the calling one.
    pub calling_ae_title: String,
    /// TLS; `None` is plain.
    pub tls: Option<PeerTls>,
}

/// Trust in a peer that we connect to.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerTls {
    /// Roots that its certificate must chain to (PEM).
    pub ca: PathBuf,
    /// Our certificate and key for it (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A worklist that is asked (`[worklist.NAME]`).
#[derive(Debug, Clone, PartialEq)]
pub struct WorklistSettings {
    /// Who has it.
    pub peer: WorklistPeer,
    /// Scheduled Station AE Titles (0040,0001) that are asked for, one request each; none asks for all.
    pub station_ae_titles: Vec<String>,
    /// Modality (0008,0060) that is asked for; empty asks for all.
    pub modality: String,
    /// Steps that were to start at most so many days before today are asked for.
    pub days_before: u32,
    /// Steps that are to start at most so many days after today are asked for.
    pub days_after: u32,
    /// How often it is asked.
    pub refresh: Duration,
    /// Most entries that are kept of it.
    pub entries: usize,
}

/// How a worklist is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum WorklistPeer {
    /// C-FIND (PS3.4 Annex K).
    Dimse(DimsePeer),
    /// Search of PS3.18 §14.4.
    Web(WebPeer),
}

/// An origin server that we ask.
#[derive(Debug, Clone, PartialEq)]
pub struct WebPeer {
    /// Base of its DICOMweb service. Plain HTTP is for loopback addresses.
    pub url: String,
    /// Roots that its certificate must chain to (PEM).
    pub ca: PathBuf,
    /// Our certificate and key for it, if it asks for one (PEM).
    pub identity: Option<(PathBuf, PathBuf)>,
    /// File with a bearer token, read for every request; `None` sends none.
    pub token: Option<PathBuf>,
}

impl WorklistSettings {
    /// Days before and after today, seconds between requests, entries.
    pub(in super::super) const DAYS_BEFORE: u32 = 0;
    pub(in super::super) const DAYS_AFTER: u32 = 0;
    pub(in super::super) const REFRESH: Duration = Duration::from_secs(30);
    pub(in super::super) const ENTRIES: usize = 200;
}

/// A peer that is told what captures perform (Modality Performed Procedure Step, PS3.4 Annex F;
/// `[mpps.NAME]`).
#[derive(Debug, Clone, PartialEq)]
pub struct MppsSettings {
    /// Whom.
    pub peer: DimsePeer,
}
