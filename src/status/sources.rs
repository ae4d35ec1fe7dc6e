//! What comes in, and what is held of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A configured video device.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CaptureStatus {
    /// Name of its section.
    pub name: String,
    /// Such as `streaming` or `no-signal`.
    pub state: String,
    /// What to do where something is wrong.
    pub advice: String,
    /// The device in use.
    pub device: String,
    /// The hardware profile that fits it.
    pub profile: String,
    /// Picture size, rate and pixel format.
    pub format: String,
    /// Study Instance UID of the open series, or empty.
    pub study: String,
    /// Series Instance UID of the open series, or empty.
    pub series: String,
    /// What an operator has said; `None` where nobody has, and the configuration decides.
    pub running: Option<bool>,
    /// Whether what an operator says of the patient counts.
    pub hears_operators: bool,
    /// Keywords of the attributes that are told of who is imaged, and who says each.
    pub context: BTreeMap<String, String>,
    /// What is doubtful in that.
    pub warnings: Vec<String>,
    /// Frames from the driver since the start.
    pub frames: u64,
    /// Instances published since the start.
    pub published: u64,
    /// Frames that the driver lost since the start.
    pub lost: u64,
    /// Frames that were dropped since the start, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Frames in the last second or so, a second.
    pub frames_per_second: f64,
    /// From the buffer dequeued to the instance published: upper bounds (seconds) and how many frames were within each
    /// and above the one before; the last bound is infinite and left out.
    pub latency: Vec<(Option<f64>, u64)>,
}

/// The DIMSE source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DimseStatus {
    /// Our AE title.
    pub ae_title: String,
    /// Open associations.
    pub associations: u64,
    /// C-STOREs answered since the start, by status (hexadecimal, as `0000`).
    pub stored: BTreeMap<String, u64>,
    /// Associations refused since the start, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// All rings together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubStatus {
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes that may be in them.
    pub budget_bytes: u64,
    /// Instances in them.
    pub instances: u64,
    /// Series that are live or still readable.
    pub series: u64,
}

/// A series that is live or still readable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesStatus {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// Modality (0008,0060).
    pub modality: String,
    /// What it comes from: `capture`, `dimse`, `relay`, `send` or `pattern`.
    pub source: String,
    /// `live`, `completed` or `aborted`.
    pub state: String,
    /// Instances in its ring.
    pub instances: u64,
    /// Bytes in its ring.
    pub bytes: u64,
    /// Instances that have left the ring.
    pub evicted: u64,
    /// Instances published in the last second or so, a second.
    pub instances_per_second: f64,
    /// How long ago the newest came (milliseconds).
    pub idle_ms: u64,
    /// Rows and Columns of its pictures (pixels), where known.
    pub size: Option<(u16, u16)>,
    /// Who reads it.
    pub readers: Vec<ReaderStatus>,
}

/// One reader's place in a series.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaderStatus {
    /// `retrieve`, `push` or another sink.
    pub kind: String,
    /// Its address, or the destination's name.
    pub peer: String,
    /// Instances that it has not got yet.
    pub behind: u64,
    /// Instances that left the ring before it came to them.
    pub missed: u64,
}
