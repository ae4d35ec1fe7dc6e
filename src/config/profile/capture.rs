//! The profile of a kind of capture device: how it tells of its signal, which formats to ask for, and what
//! has to be known of it that the driver does not say.

use std::time::Duration;

use serde::Deserialize;

use super::facts::{Facts, Validated};
use super::matching::CaptureMatch;
use super::value;
use crate::config::settings::{Compression, MatrixChoice, RangeChoice};

/// What a kind of capture device needs. One file of `hw-profiles/`, with `kind = "capture"`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureProfile {
    #[serde(rename = "kind")]
    _kind: CaptureKind,
    /// Name; that of the file, too.
    #[serde(deserialize_with = "value::name")]
    pub name: String,
    /// What it is for, in a line.
    #[serde(deserialize_with = "value::line")]
    pub summary: String,
    /// Which devices.
    #[serde(rename = "match")]
    pub matches: CaptureMatch,
    /// Formats in the order of preference, as V4L2 fourccs.
    #[serde(deserialize_with = "value::fourccs")]
    pub formats: Vec<String>,
    /// Whether, and how, the timings of the signal can be had.
    pub timings: TimingsSource,
    /// How the loss of the signal shows.
    pub no_signal: NoSignal,
    /// Pictures that the device shows when it has no signal. Empty until they are learnt.
    #[serde(default, deserialize_with = "value::list")]
    pub splash: Vec<Splash>,
    /// Without a frame for so long, the signal counts as lost. `stall_ms` in the file.
    #[serde(
        default = "half_a_second",
        rename = "stall_ms",
        deserialize_with = "value::millis::<50, 60_000, _>"
    )]
    pub stall: Duration,
    /// How long a signal must be stable before it is taken. `settle_ms` in the file.
    #[serde(default, rename = "settle_ms", deserialize_with = "value::millis::<0, 60_000, _>")]
    pub settle: Duration,
    /// The EDID to give the device when it starts: a file of `hw-profiles/edid/`, without its ending. `None`
    /// where the device has its own, or takes none through V4L2.
    #[serde(default, deserialize_with = "value::some_name")]
    pub edid: Option<String>,
    /// The largest signal that it takes; `None` for unknown.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// Buffers to ask the driver for.
    #[serde(default = "four", deserialize_with = "value::whole::<2, 32, _>")]
    pub buffers: u32,
    /// Who owns the memory of the buffers.
    #[serde(default)]
    pub memory: Memory,
    /// What the timestamps of buffers mean.
    #[serde(default)]
    pub stamp: Stamp,
    /// Whether a size other than that of the signal is refused, since the device would scale to it.
    #[serde(default)]
    pub scaling_forbidden: bool,
    /// Whether the first size that the driver lists is the signal's: it is taken, and none is asked for.
    #[serde(default)]
    pub native_size: bool,
    /// Colour equations, where the driver tells the wrong ones.
    #[serde(default = "any_matrix", deserialize_with = "value::matrix")]
    pub matrix: MatrixChoice,
    /// Code values, where the driver tells the wrong ones.
    #[serde(default = "any_range", deserialize_with = "value::range")]
    pub range: RangeChoice,
    /// Conversion Type (0008,0064).
    #[serde(default)]
    pub conversion: Conversion,
    /// What brings a USB device back that answers no more.
    #[serde(default)]
    pub usb_reset: UsbReset,
    /// What is odd about it.
    #[serde(default, deserialize_with = "value::list")]
    pub quirks: Vec<Quirk>,
    /// What of the processor it may take.
    #[serde(default)]
    pub cpu: Cpu,
    /// Where all this comes from.
    pub facts: Facts,
    /// Who has tried it on a device. Absent: nobody has.
    #[serde(default)]
    pub validated: Option<Validated>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CaptureKind {
    Capture,
}

/// Where the timings of the signal (`VIDIOC_QUERY_DV_TIMINGS`) come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimingsSource {
    /// The driver tells of changes (`V4L2_EVENT_SOURCE_CHANGE`).
    Events,
    /// They can be asked, and have to be asked again and again.
    Poll,
    /// There are none.
    None,
}

/// How the loss of the signal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoSignal {
    /// By an event; frames may go on and mean nothing.
    Event,
    /// No frame comes.
    Stall,
    /// The device shows a picture of its own.
    Splash,
    /// The last frame comes again and again.
    Frozen,
}

/// A picture that the device shows when it has no signal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splash {
    /// SHA-256 over the bytes of the buffer, as dequeued.
    #[serde(deserialize_with = "value::sha256")]
    pub sha256: [u8; 32],
    /// Where it was seen: device, firmware, format and size.
    #[serde(deserialize_with = "value::line")]
    pub seen: String,
}

/// The largest signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Columns (pixels).
    #[serde(deserialize_with = "value::whole::<16, 16_384, _>")]
    pub max_width: u32,
    /// Lines (pixels).
    #[serde(deserialize_with = "value::whole::<16, 16_384, _>")]
    pub max_height: u32,
    /// Pixel clock (Hz).
    #[serde(deserialize_with = "value::whole::<1_000_000, 2_000_000_000, _>")]
    pub max_pixel_clock_hz: u32,
}

/// Who owns the memory of the buffers (`v4l2_memory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// The driver: `V4L2_MEMORY_MMAP`.
    #[default]
    Mmap,
    /// We do: `V4L2_MEMORY_USERPTR`.
    Userptr,
}

/// What the timestamps of buffers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stamp {
    /// What the driver's flags say (`V4L2_BUF_FLAG_TSTAMP_SRC_*`).
    #[default]
    Driver,
    /// The beginning of the exposure, whatever the flags say.
    StartOfFrame,
    /// The end of the frame, whatever the flags say.
    EndOfFrame,
    /// Nothing: the time of arrival is taken.
    Arrival,
}

/// Conversion Type (0008,0064), of PS3.3 C.8.6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Conversion {
    /// Digital interface: HDMI, DVI, SDI.
    #[default]
    #[serde(rename = "DI")]
    DigitalInterface,
    /// Digitized video: VGA, S-Video, composite.
    #[serde(rename = "DV")]
    DigitizedVideo,
}

/// What brings a USB device back that answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UsbReset {
    /// Nothing is tried.
    #[default]
    None,
    /// 0 and 1 into `authorized` of the device in sysfs.
    Authorized,
    /// The power of its port, where the hub can switch it.
    PortPower,
}

/// What is odd.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quirk {
    /// What it does, and what is done about it.
    #[serde(deserialize_with = "value::line")]
    pub what: String,
    /// Where that is known from.
    #[serde(deserialize_with = "value::line")]
    pub seen: String,
}

/// What of the processor a capture may take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cpu {
    /// Cores.
    #[serde(deserialize_with = "value::whole::<1, 64, _>")]
    pub cores: u32,
    /// Compressions that there is time for; `None` for whatever an operator wants.
    #[serde(deserialize_with = "value::some_compressions")]
    pub compressions: Option<Vec<Compression>>,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { cores: 1, compressions: None }
    }
}

fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

fn four() -> u32 {
    4
}

pub(super) fn any_matrix() -> MatrixChoice {
    MatrixChoice::Auto
}

pub(super) fn any_range() -> RangeChoice {
    RangeChoice::Auto
}
