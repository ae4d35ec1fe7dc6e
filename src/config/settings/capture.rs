//! A video output that becomes a live series: `[capture.NAME]`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One capture device and what becomes of its pictures. `Debug` withholds the name of the patient.
#[derive(Clone, PartialEq)]
pub struct CaptureSettings {
    /// Which device: `auto` (the only one there is), a path below `/dev`, `usb:VVVV:PPPP`,
    /// `bus:BUS_INFO` or `card:NAME`; or `replay:PATH`, a [clip](crate::config::profile::Clip) instead.
    pub device: String,
    /// Name of a hardware profile, or `auto` for the one that matches.
    pub profile: String,
    /// Name or number of the video input; empty for that of the profile, or the current one.
    pub input: String,
    /// What the SOP instances are.
    pub sop_class: VideoSopClass,
    /// Modality (0008,0060).
    pub modality: String,
    /// Grey (MONOCHROME2) or colour.
    pub pixels: PixelChoice,
    /// How pixels go out.
    pub compression: Compression,
    /// Quality of lossy JPEG, 1 to 100.
    pub jpeg_quality: u8,
    /// Overrides what the driver says of the colour equations.
    pub matrix: MatrixChoice,
    /// Overrides what the driver says of the code values.
    pub range: RangeChoice,
    /// How the two fields of interlaced video become frames.
    pub deinterlace: Deinterlace,
    /// The part of the picture that is kept: x, y, width, height (pixels). `None` keeps all.
    pub crop: Option<Rectangle>,
    /// Parts that are blackened, in pixels of the whole picture, before anything leaves the capture
    /// thread.
    pub masks: Vec<Rectangle>,
    /// Whether the operator says that crop and masks cover every burnt-in identity. Only then is
    /// Burned In Annotation (0028,0301) `NO`.
    pub masks_cover_identity: bool,
    /// Width and height (pixels) of the pictures that crop, masks and spacing are made for; others do not go
    /// out. `None` takes any.
    pub picture_size: Option<(u32, u32)>,
    /// Frames a second that go out at most; `None` for as captured.
    pub rate: Option<f64>,
    /// Frames equal to the one before do not go out.
    pub changes_only: bool,
    /// With `changes_only`: one goes out all the same after this long.
    pub keep_alive: Duration,
    /// When a series begins and ends.
    pub series: SeriesPolicy,
    /// With [`SeriesPolicy::Activity`]: a series ends when the picture has stood still for this long.
    pub activity_quiet: Duration,
    /// With [`SeriesPolicy::Activity`]: part of the picture (0 to 1) that must change to count as activity.
    pub activity_threshold: f64,
    /// Patient's Name (0010,0010) of encounters that nobody announced (PN); empty for none. PHI once an
    /// operator writes one here.
    pub patient_name: String,
    /// Study Description (0008,1030); empty for none.
    pub study_description: String,
    /// Series Description (0008,103E); empty for none.
    pub series_description: String,
    /// Body Part Examined (0018,0015), of an unpaired part; empty for unknown.
    pub body_part: String,
    /// The modality behind the card, for Contributing Equipment: manufacturer (LO); empty for unknown.
    pub manufacturer: String,
    /// Its model name (LO).
    pub model_name: String,
    /// Its serial number (LO).
    pub serial_number: String,
    /// Its station name (SH).
    pub station_name: String,
    /// Pixel Spacing (0028,0030), row then column (mm), only if somebody calibrated it.
    pub pixel_spacing: Option<[f64; 2]>,
    /// Who is believed of who is imaged, the first before the next; who is not listed is not heard.
    pub precedence: Vec<Provider>,
    /// AE titles of the modality whose picture it is: its performed steps and its objects say who is imaged.
    pub modality_ae_titles: Vec<String>,
    /// What was said of who is imaged longer ago shows as a warning; `None` for never.
    pub stale: Option<Duration>,
    /// Patient's Name (0010,0010) of an emergency (PN); empty for none.
    pub emergency_name: String,
    /// Name of the `[mpps.NAME]` that is told of the steps of this capture; empty for none.
    pub mpps: String,
}

/// Who says who is imaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// An operator, by the operations resource: in words, by a choice from the worklist, or with a barcode.
    Operator,
    /// The modality, by its performed procedure step.
    Mpps,
    /// The modality, by the objects that it sends.
    Association,
    /// The worklist, where exactly one entry is due.
    Worklist,
}

impl Provider {
    /// All of them, in the order in which most are believed.
    pub const ALL: [Self; 4] = [Self::Operator, Self::Mpps, Self::Association, Self::Worklist];

    /// As the configuration and the operations resource write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Mpps => "mpps",
            Self::Association => "association",
            Self::Worklist => "worklist",
        }
    }
}

/// Which SOP Class frames become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoSopClass {
    /// Secondary Capture Image.
    SecondaryCapture,
    /// VL Photographic Image.
    VlPhotographic,
    /// VL Endoscopic Image.
    VlEndoscopic,
    /// Ultrasound Image.
    Ultrasound,
}

/// Grey or colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PixelChoice {
    /// MONOCHROME2, 8 bits, or as many as a deeper grey format has.
    Grey,
    /// RGB (or what a JPEG of the device is).
    Color,
}

/// How pixels go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Explicit VR Little Endian.
    None,
    /// RLE Lossless.
    Rle,
    /// JPEG-LS Lossless.
    JpegLs,
    /// JPEG Baseline (lossy).
    Jpeg,
    /// The device's own JPEG pictures as they are (MJPEG).
    AsCaptured,
}

/// Colour equations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MatrixChoice {
    /// As the driver says.
    Auto,
    /// BT.601.
    #[serde(rename = "bt601")]
    Bt601,
    /// BT.709.
    #[serde(rename = "bt709")]
    Bt709,
}

/// Code values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeChoice {
    /// As the driver says.
    Auto,
    /// 16 to 235.
    Limited,
    /// 0 to 255.
    Full,
}

/// What becomes of two fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deinterlace {
    /// One frame of both.
    Weave,
    /// A frame of each, its lines doubled.
    Bob,
}

/// A part of the picture (pixels from the top left).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First column.
    pub x: u32,
    /// First row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// When a series begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesPolicy {
    /// One series for as long as the format lasts, across losses of signal.
    Continuous,
    /// From signal to loss of signal.
    Signal,
    /// From an operator's start to stop.
    Operator,
    /// From the first movement until the picture stands still.
    Activity,
}

impl fmt::Debug for CaptureSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CaptureSettings")
            .field("device", &self.device)
            .field("profile", &self.profile)
            .field("input", &self.input)
            .field("sop_class", &self.sop_class)
            .field("modality", &self.modality)
            .field("pixels", &self.pixels)
            .field("compression", &self.compression)
            .field("jpeg_quality", &self.jpeg_quality)
            .field("matrix", &self.matrix)
            .field("range", &self.range)
            .field("deinterlace", &self.deinterlace)
            .field("crop", &self.crop)
            .field("masks", &self.masks)
            .field("masks_cover_identity", &self.masks_cover_identity)
            .field("picture_size", &self.picture_size)
            .field("rate", &self.rate)
            .field("changes_only", &self.changes_only)
            .field("keep_alive", &self.keep_alive)
            .field("series", &self.series)
            .field("activity_quiet", &self.activity_quiet)
            .field("activity_threshold", &self.activity_threshold)
            .field("named", &!self.patient_name.is_empty())
            .field("study_description", &self.study_description)
            .field("series_description", &self.series_description)
            .field("body_part", &self.body_part)
            .field("manufacturer", &self.manufacturer)
            .field("model_name", &self.model_name)
            .field("serial_number", &self.serial_number)
            .field("station_name", &self.station_name)
            .field("pixel_spacing", &self.pixel_spacing)
            .field("precedence", &self.precedence)
            .field("modality_ae_titles", &self.modality_ae_titles)
            .field("stale", &self.stale)
            .field("emergency_named", &!self.emergency_name.is_empty())
            .field("mpps", &self.mpps)
            .finish()
    }
}

impl Default for CaptureSettings {
    fn default() -> Self {
        Self {
            device: "auto".to_owned(),
            profile: "auto".to_owned(),
            input: String::new(),
            sop_class: VideoSopClass::SecondaryCapture,
            modality: "OT".to_owned(),
            pixels: PixelChoice::Color,
            compression: Compression::None,
            jpeg_quality: 90,
            matrix: MatrixChoice::Auto,
            range: RangeChoice::Auto,
            deinterlace: Deinterlace::Weave,
            crop: None,
            masks: Vec::new(),
            masks_cover_identity: false,
            picture_size: None,
            rate: None,
            changes_only: false,
            keep_alive: Duration::from_secs(1),
            series: SeriesPolicy::Continuous,
            activity_quiet: Duration::from_secs(10),
            activity_threshold: 0.002,
            patient_name: "Unidentified^".to_owned(),
            study_description: String::new(),
            series_description: String::new(),
            body_part: String::new(),
            manufacturer: String::new(),
            model_name: String::new(),
            serial_number: String::new(),
            station_name: String::new(),
            pixel_spacing: None,
            precedence: vec![Provider::Operator, Provider::Mpps, Provider::Association],
            modality_ae_titles: Vec::new(),
            stale: Some(Duration::from_secs(240 * 60)),
            emergency_name: "Emergency^".to_owned(),
            mpps: String::new(),
        }
    }
}
