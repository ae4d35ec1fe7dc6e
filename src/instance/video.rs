//! The head of an instance made from a frame of video.
//!
//! It says what a monitor's cable tells and no more: no XA attribute, for none of them is in a picture
//! (no kV, no angle); no pixel spacing unless somebody calibrated it. What made the picture is the
//! Contributing Equipment, what grabbed it is the General and SC Equipment.
//!
//! - Conversion Type is `DI` (digital interface) or `DV` (digitised video).
//! - Burned In Annotation is `YES` unless the operator says that masks cover every identity: a monitor
//!   shows names.
//! - Image Type is `DERIVED\SECONDARY` after masking, cropping or lossy compression of ours would be a
//!   claim about another image; there is none in DICOM, so it is `ORIGINAL\PRIMARY` for cameras and
//!   `ORIGINAL\SECONDARY` for grabs.
//! - The Synchronization module (PS3.3 §C.7.4.2) stands only where the state of the clock is known, and
//!   never in visible light objects, whose IODs do not have it.

use std::time::SystemTime;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};

use super::Dataset;
use super::secondary_capture::put_image_pixel;
use crate::context::{Context, Equipment, date, date_time, time};
use crate::frame::PixelDescription;

/// UTC as a synchronization frame of reference (PS3.3 §C.7.4.2.1.1).
const UTC: &str = "1.2.840.10008.15.1.1";

/// What the instances are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SopClass {
    /// Secondary Capture Image (PS3.3 §A.8.1): a monitor.
    SecondaryCapture,
    /// VL Photographic Image (§A.32.4): a camera in the room.
    VlPhotographic,
    /// VL Endoscopic Image (§A.32.1).
    VlEndoscopic,
    /// Ultrasound Image (§A.6).
    Ultrasound,
}

impl SopClass {
    /// SOP Class UID (0008,0016).
    pub fn uid(self) -> &'static str {
        match self {
            Self::SecondaryCapture => uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
            Self::VlPhotographic => uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
            Self::VlEndoscopic => uids::VL_ENDOSCOPIC_IMAGE_STORAGE,
            Self::Ultrasound => uids::ULTRASOUND_IMAGE_STORAGE,
        }
    }

    fn is_visible_light(self) -> bool {
        matches!(self, Self::VlPhotographic | Self::VlEndoscopic)
    }
}

/// What is the same for all frames of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSource {
    /// What the instances are.
    pub sop_class: SopClass,
    /// Whether the cable is analogue (Conversion Type DV) and not digital (DI).
    pub analog: bool,
    /// The modality behind the card; `None` when nobody said.
    pub behind: Option<Equipment>,
    /// Whether the picture may hold identities.
    pub burned_in: bool,
    /// Row and column spacing (mm), where calibrated.
    pub pixel_spacing: Option<[f64; 2]>,
    /// The capture card as its driver names it (LO); empty for unknown.
    pub card: String,
}

/// What is known of the clock that stamps the frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClockState {
    /// Nothing.
    #[default]
    Unknown,
    /// It runs free.
    Free,
    /// It follows a reference.
    Synchronized {
        /// Time Distribution Protocol (0018,1802): `NTP`, `PTP`.
        protocol: &'static str,
        /// Time Source (0018,1801), SH; empty for unknown.
        source: String,
        /// NTP Source Address (0018,1803): an IP address; empty for unknown.
        address: String,
    },
}

/// What lossy compression did to the pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lossy {
    /// Lossy Image Compression Method (0028,2114), such as `ISO_10918_1`.
    pub method: &'static str,
    /// Lossy Image Compression Ratio (0028,2112); `None` for unknown, or for a whole series.
    pub ratio: Option<f64>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoFrame<'a> {
    /// Instance Number (0020,0013).
    pub number: i32,
    /// When the driver stamped it.
    pub captured: SystemTime,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: &'a str,
    /// Image Pixel module.
    pub pixels: PixelDescription,
    /// Photometric Interpretation (0028,0004) of a codestream, where it is not that of `pixels`.
    pub photometric: Option<&'static str>,
    /// Every lossy compression that it went through, in order: the card's, ours.
    pub lossy: &'a [Lossy],
}

fn text(tag: Tag, vr: VR, value: &str) -> DataElement<dicom_object::InMemDicomObject> {
    let value = if value.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(value) };
    DataElement::new(tag, vr, value)
}

/// The data set, without Pixel Data, of one frame.
pub fn dataset(
    context: &Context,
    source: &VideoSource,
    clock: &ClockState,
    frame: &VideoFrame<'_>,
) -> Dataset {
    let mut dataset = context.dataset();
    let (date, time) = (date(frame.captured), time(frame.captured));
    for element in [
        text(tags::SOP_CLASS_UID, VR::UI, source.sop_class.uid()),
        text(tags::SOP_INSTANCE_UID, VR::UI, frame.sop_instance_uid),
        text(tags::INSTANCE_CREATION_DATE, VR::DA, &date),
        text(tags::INSTANCE_CREATION_TIME, VR::TM, &time),
        // General Acquisition
        text(tags::ACQUISITION_DATE, VR::DA, &date),
        text(tags::ACQUISITION_TIME, VR::TM, &time),
        text(tags::ACQUISITION_DATE_TIME, VR::DT, &date_time(frame.captured)),
        // General Image
        text(tags::INSTANCE_NUMBER, VR::IS, &frame.number.to_string()),
        text(tags::CONTENT_DATE, VR::DA, &date),
        text(tags::CONTENT_TIME, VR::TM, &time),
        text(tags::PATIENT_ORIENTATION, VR::CS, ""),
        text(tags::BURNED_IN_ANNOTATION, VR::CS, if source.burned_in { "YES" } else { "NO" }),
        DataElement::new(tags::IMAGE_TYPE, VR::CS, image_type(source.sop_class)),
    ] {
        dataset.put(element);
    }
    put_equipment(&mut dataset, source, &context.equipment, (&date, &time));
    put_image_pixel(&mut dataset, &frame.pixels);
    if let Some(photometric) = frame.photometric {
        dataset.put(text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric));
    }
    put_compression(&mut dataset, frame.lossy);
    if !source.sop_class.is_visible_light() {
        put_synchronization(&mut dataset, clock);
    }
    if let Some([row, column]) = source.pixel_spacing {
        let spacing = PrimitiveValue::Strs([row, column].map(decimal).into_iter().collect());
        dataset.put(DataElement::new(tags::PIXEL_SPACING, VR::DS, spacing));
        if source.sop_class == SopClass::SecondaryCapture {
            // PS3.3 §10.7.1.3: what the spacing was calibrated by.
            dataset.put(text(tags::PIXEL_SPACING_CALIBRATION_TYPE, VR::CS, "FIDUCIAL"));
            dataset.put(text(tags::PIXEL_SPACING_CALIBRATION_DESCRIPTION, VR::LO, "By the operator"));
        }
    }
    dataset
}

fn image_type(class: SopClass) -> PrimitiveValue {
    let values: &[&str] = match class {
        SopClass::SecondaryCapture => &["ORIGINAL", "SECONDARY"],
        _ => &["ORIGINAL", "PRIMARY"],
    };
    PrimitiveValue::Strs(values.iter().map(|&value| value.to_owned()).collect())
}

/// The device that grabbed the frame, and the one behind it.
fn put_equipment(dataset: &mut Dataset, source: &VideoSource, ours: &Equipment, (date, time): (&str, &str)) {
    match source.sop_class {
        SopClass::SecondaryCapture => {
            for element in [
                text(tags::CONVERSION_TYPE, VR::CS, if source.analog { "DV" } else { "DI" }),
                text(tags::SECONDARY_CAPTURE_DEVICE_MANUFACTURER, VR::LO, &ours.manufacturer),
                text(tags::SECONDARY_CAPTURE_DEVICE_MANUFACTURER_MODEL_NAME, VR::LO, &ours.model_name),
                text(tags::SECONDARY_CAPTURE_DEVICE_SOFTWARE_VERSIONS, VR::LO, &ours.software_versions),
                text(tags::DATE_OF_SECONDARY_CAPTURE, VR::DA, date),
                text(tags::TIME_OF_SECONDARY_CAPTURE, VR::TM, time),
            ] {
                dataset.put(element);
            }
            if !source.card.is_empty() {
                dataset.put(text(tags::SECONDARY_CAPTURE_DEVICE_ID, VR::LO, &source.card));
            }
        }
        SopClass::VlPhotographic | SopClass::VlEndoscopic => {
            // Type 2: what was done to make the picture, of which nothing is known.
            let none = DataSetSequence::<Dataset>::empty();
            dataset.put(DataElement::new(tags::ACQUISITION_CONTEXT_SEQUENCE, VR::SQ, none));
        }
        SopClass::Ultrasound => {}
    }
    if let Some(behind) = &source.behind {
        dataset.put(contributing(behind));
    }
}

/// Contributing Equipment Sequence (0018,A001): the modality whose picture it is (PS3.3 §C.12.1.1.5).
fn contributing(behind: &Equipment) -> DataElement<dicom_object::InMemDicomObject> {
    let purpose = Dataset::from_element_iter([
        text(tags::CODE_VALUE, VR::SH, "109101"),
        text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, "DCM"),
        text(tags::CODE_MEANING, VR::LO, "Acquisition Equipment"),
    ]);
    let purpose = DataSetSequence::<Dataset>::from(vec![purpose]);
    let mut item = Dataset::from_element_iter([
        DataElement::new(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, VR::SQ, purpose),
        // Type 1 of an item.
        text(
            tags::MANUFACTURER,
            VR::LO,
            if behind.manufacturer.is_empty() { "Unknown" } else { &behind.manufacturer },
        ),
    ]);
    for (tag, vr, value) in [
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, &behind.model_name),
        (tags::DEVICE_SERIAL_NUMBER, VR::LO, &behind.serial_number),
        (tags::STATION_NAME, VR::SH, &behind.station_name),
        (tags::SOFTWARE_VERSIONS, VR::LO, &behind.software_versions),
    ] {
        if !value.is_empty() {
            item.put(text(tag, vr, value));
        }
    }
    DataElement::new(
        tags::CONTRIBUTING_EQUIPMENT_SEQUENCE,
        VR::SQ,
        DataSetSequence::<Dataset>::from(vec![item]),
    )
}

/// Once lossy, always lossy (PS3.3 §C.7.6.1.1.5); ratios and methods stand in the order of the compressions.
fn put_compression(dataset: &mut Dataset, lossy: &[Lossy]) {
    let was_lossy = if lossy.is_empty() { "00" } else { "01" };
    dataset.put(text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, was_lossy));
    if lossy.is_empty() {
        return;
    }
    let methods = lossy.iter().map(|lossy| lossy.method.to_owned()).collect();
    dataset.put(DataElement::new(
        tags::LOSSY_IMAGE_COMPRESSION_METHOD,
        VR::CS,
        PrimitiveValue::Strs(methods),
    ));
    if let Some(ratios) = lossy.iter().map(|lossy| lossy.ratio.map(decimal)).collect() {
        let ratios = PrimitiveValue::Strs(ratios);
        dataset.put(DataElement::new(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, ratios));
    }
}

fn put_synchronization(dataset: &mut Dataset, clock: &ClockState) {
    let synchronized = match clock {
        ClockState::Unknown => return,
        ClockState::Free => "N",
        ClockState::Synchronized { protocol, source, address } => {
            dataset.put(text(tags::TIME_DISTRIBUTION_PROTOCOL, VR::CS, protocol));
            for (tag, vr, value) in
                [(tags::TIME_SOURCE, VR::SH, source), (tags::NTP_SOURCE_ADDRESS, VR::LO, address)]
            {
                if !value.is_empty() {
                    dataset.put(text(tag, vr, value));
                }
            }
            "Y"
        }
    };
    for element in [
        text(tags::SYNCHRONIZATION_FRAME_OF_REFERENCE_UID, VR::UI, UTC),
        text(tags::SYNCHRONIZATION_TRIGGER, VR::CS, "NO TRIGGER"),
        text(tags::ACQUISITION_TIME_SYNCHRONIZED, VR::CS, synchronized),
    ] {
        dataset.put(element);
    }
}

/// DS (PS3.5 §6.2): at most 16 characters.
fn decimal(value: f64) -> String {
    let mut text = format!("{value:.6}");
    if text.len() > 16 {
        text = format!("{value:.8e}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use dicom_object::FileMetaTableBuilder;

    use super::*;
    use crate::frame::Photometric;

    const UID: &str = "2.25.4711";

    fn moment() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(1_772_323_199_000_042)
    }

    fn pixels(bits: u16, color: bool) -> PixelDescription {
        PixelDescription {
            rows: 4,
            columns: 6,
            samples: if color { 3 } else { 1 },
            bits_allocated: if bits > 8 { 16 } else { 8 },
            bits_stored: bits,
            photometric: if color { Photometric::Rgb } else { Photometric::Monochrome2 },
        }
    }

    fn source(sop_class: SopClass) -> VideoSource {
        let behind = Equipment {
            manufacturer: "Maker".to_owned(),
            model_name: "Artery 3".to_owned(),
            serial_number: String::new(),
            software_versions: String::new(),
            station_name: "LAB2".to_owned(),
        };
        VideoSource {
            sop_class,
            analog: false,
            behind: Some(behind),
            burned_in: true,
            pixel_spacing: None,
            card: "vivid".to_owned(),
        }
    }

    fn built(class: SopClass, bits: u16, color: bool, clock: &ClockState) -> Dataset {
        let modality = match class {
            SopClass::SecondaryCapture => "XA",
            SopClass::VlPhotographic => "XC",
            SopClass::VlEndoscopic => "ES",
            SopClass::Ultrasound => "US",
        };
        let equipment = Equipment::framegate("0815", "cathlab-2");
        let context = Context::encounter("Unidentified^", modality, moment(), 1, equipment);
        let frame = VideoFrame {
            number: 12,
            captured: moment(),
            sop_instance_uid: UID,
            pixels: pixels(bits, color),
            photometric: None,
            lossy: &[],
        };
        dataset(&context, &source(class), clock, &frame)
    }

    fn value(dataset: &Dataset, tag: Tag) -> String {
        dataset.element(tag).unwrap().to_str().unwrap().trim_end().to_owned()
    }

    #[test]
    fn says_what_grabbed_the_frame_and_what_made_it() {
        let dataset = built(SopClass::SecondaryCapture, 8, false, &ClockState::Unknown);
        assert_eq!(value(&dataset, tags::CONVERSION_TYPE), "DI");
        assert_eq!(value(&dataset, tags::BURNED_IN_ANNOTATION), "YES");
        assert_eq!(value(&dataset, tags::ACQUISITION_DATE_TIME), "20260228235959.000042+0000");
        assert_eq!(value(&dataset, tags::LOSSY_IMAGE_COMPRESSION), "00");
        let behind = dataset.element(tags::CONTRIBUTING_EQUIPMENT_SEQUENCE).unwrap();
        let item = &behind.items().unwrap()[0];
        assert_eq!(value(item, tags::MANUFACTURER_MODEL_NAME), "Artery 3");
        assert!(item.element(tags::DEVICE_SERIAL_NUMBER).is_err());
        assert!(dataset.element(tags::PIXEL_SPACING).is_err());
    }

    #[test]
    fn claims_a_synchronised_clock_only_when_somebody_says_so() {
        let clock = ClockState::Synchronized {
            protocol: "NTP",
            source: "chrony".to_owned(),
            address: "192.0.2.1".to_owned(),
        };
        let with = built(SopClass::SecondaryCapture, 8, false, &clock);
        assert_eq!(value(&with, tags::ACQUISITION_TIME_SYNCHRONIZED), "Y");
        assert_eq!(value(&with, tags::NTP_SOURCE_ADDRESS), "192.0.2.1");
        let free = built(SopClass::SecondaryCapture, 8, false, &ClockState::Free);
        assert_eq!(value(&free, tags::ACQUISITION_TIME_SYNCHRONIZED), "N");
        let unknown = built(SopClass::SecondaryCapture, 8, false, &ClockState::Unknown);
        assert!(unknown.element(tags::SYNCHRONIZATION_FRAME_OF_REFERENCE_UID).is_err());
        let light = built(SopClass::VlPhotographic, 8, true, &clock);
        assert!(light.element(tags::ACQUISITION_TIME_SYNCHRONIZED).is_err());
    }

    #[test]
    fn decimals_fit_their_representation() {
        for value in [0.0, 12.5, 1e9, 123_456_789_012.5] {
            assert!(decimal(value).len() <= 16, "{}", decimal(value));
        }
    }

    /// `dciodvfy` (dicom3tools) is the judge where it is installed.
    #[test]
    fn written_files_satisfy_the_iod_verifier() {
        let folder = tempfile::tempdir().unwrap();
        let clock =
            ClockState::Synchronized { protocol: "NTP", source: String::new(), address: String::new() };
        for (class, name) in [
            (SopClass::SecondaryCapture, "SCImage"),
            (SopClass::VlPhotographic, "VLPhotographicImage"),
            (SopClass::VlEndoscopic, "VLEndoscopicImage"),
            (SopClass::Ultrasound, "USImage"),
        ] {
            for (bits, color) in [(8, false), (12, false), (16, false), (8, true)] {
                // Only grey of 8 bits and colour are in the IODs of cameras and of ultrasound.
                if bits > 8 && class != SopClass::SecondaryCapture {
                    continue;
                }
                let mut dataset = built(class, bits, color, &clock);
                let description = pixels(bits, color);
                let vr = if bits > 8 { VR::OW } else { VR::OB };
                let bytes = vec![0_u8; description.frame_bytes()];
                dataset.put(DataElement::new(tags::PIXEL_DATA, vr, PrimitiveValue::from(bytes)));
                let meta = FileMetaTableBuilder::new().transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN);
                let path = folder.path().join(format!("{name}-{bits}-{color}.dcm"));
                dataset.with_meta(meta).unwrap().write_to_file(&path).unwrap();
                let Ok(verdict) = Command::new("dciodvfy").arg("-new").arg(&path).output() else {
                    eprintln!("dciodvfy is not installed: not verified");
                    return;
                };
                let text = String::from_utf8_lossy(&verdict.stderr).into_owned();
                assert!(text.contains(name), "{text}");
                let finding = |line: &&str| {
                    // What it does not know yet: the module came to Secondary Capture later. And that nobody
                    // knows the body part is true.
                    let known = ["not present in standard DICOM IOD", "empty when actually unknown"];
                    (line.contains("Error") || line.contains("Warning"))
                        && !known.iter().any(|known| line.contains(known))
                };
                let found: Vec<&str> = text.lines().filter(finding).collect();
                assert!(found.is_empty(), "{name} {bits} {color}: {found:?}");
            }
        }
    }
}
