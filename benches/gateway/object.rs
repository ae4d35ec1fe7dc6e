//! The objects that are sent: 8-bit XA images in Explicit VR Little Endian, of one frame or many,
//! laid out as the PDUs of a C-STORE-RQ once, so that sending costs nothing but the writes.

use anyhow::Context as _;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use framegate::instance::encode::file_meta;
use memchr::memmem;

/// X-Ray Angiographic Image Storage.
pub(crate) const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.12.1";
/// The transfer syntax of every object.
pub(crate) const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
/// The presentation context that objects are sent in.
pub(crate) const CONTEXT: u8 = 1;
/// Digits at the end of a SOP Instance UID that tell the objects of a series apart.
const DIGITS: usize = 10;

/// An object: who it is and how large.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object {
    /// Tells series apart; each is of a study of its own.
    pub(crate) series: u32,
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    /// 1 is a single-frame object.
    pub(crate) frames: u32,
}

impl Object {
    /// Study Instance UID.
    pub(crate) fn study_uid(self) -> String {
        format!("2.25.{}", 10_000_000_000 + u64::from(self.series))
    }

    /// Series Instance UID.
    pub(crate) fn series_uid(self) -> String {
        format!("2.25.{}", 20_000_000_000 + u64::from(self.series))
    }

    /// SOP Instance UID of the object `number` of the series, always of the same length.
    pub(crate) fn sop_instance_uid(self, number: u32) -> String {
        // Multi-frame objects have a range of their own, so that both may be of one series.
        let kind = if self.frames > 1 { 2 } else { 1 };
        format!("2.25.{kind}{:08}1{number:09}", self.series)
    }

    /// Bytes of one frame.
    pub(crate) fn frame_bytes(self) -> usize {
        usize::from(self.rows) * usize::from(self.columns)
    }

    /// The data set in Explicit VR Little Endian, up to and with Pixel Data's element header.
    fn head(self, number: u32) -> anyhow::Result<Vec<u8>> {
        let text = |tag, vr, value: &str| DataElement::new(tag, vr, PrimitiveValue::from(value));
        let short = |tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
        let mut elements = vec![
            text(tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\SINGLE PLANE"),
            text(tags::SOP_CLASS_UID, VR::UI, SOP_CLASS),
            text(tags::SOP_INSTANCE_UID, VR::UI, &self.sop_instance_uid(number)),
            text(tags::STUDY_DATE, VR::DA, "20240101"),
            text(tags::STUDY_TIME, VR::TM, "120000"),
            text(tags::ACCESSION_NUMBER, VR::SH, "BENCH"),
            text(tags::MODALITY, VR::CS, "XA"),
            text(tags::MANUFACTURER, VR::LO, "framegate"),
            text(tags::PATIENT_NAME, VR::PN, "Bench^Mark"),
            text(tags::PATIENT_ID, VR::LO, "BENCH"),
            text(tags::STUDY_INSTANCE_UID, VR::UI, &self.study_uid()),
            text(tags::SERIES_INSTANCE_UID, VR::UI, &self.series_uid()),
            text(tags::SERIES_NUMBER, VR::IS, "1"),
            text(tags::INSTANCE_NUMBER, VR::IS, "1"),
            short(tags::SAMPLES_PER_PIXEL, 1),
            text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2"),
            short(tags::ROWS, self.rows),
            short(tags::COLUMNS, self.columns),
            short(tags::BITS_ALLOCATED, 8),
            short(tags::BITS_STORED, 8),
            short(tags::HIGH_BIT, 7),
            short(tags::PIXEL_REPRESENTATION, 0),
            text(tags::PIXEL_INTENSITY_RELATIONSHIP, VR::CS, "LIN"),
        ];
        if self.frames > 1 {
            elements.push(text(tags::NUMBER_OF_FRAMES, VR::IS, &self.frames.to_string()));
            elements.push(text(tags::FRAME_TIME, VR::DS, "33.3"));
            let pointer = PrimitiveValue::Tags(vec![tags::FRAME_TIME].into());
            elements.push(DataElement::new(tags::FRAME_INCREMENT_POINTER, VR::AT, pointer));
        }
        let mut bytes = write(elements, EXPLICIT_VR_LITTLE_ENDIAN, false)?;
        let length = u32::try_from(self.frame_bytes())?.checked_mul(self.frames).context("too large")?;
        let Tag(group, element) = tags::PIXEL_DATA;
        bytes.extend(group.to_le_bytes());
        bytes.extend(element.to_le_bytes());
        bytes.extend(b"OB\0\0");
        bytes.extend(length.to_le_bytes());
        Ok(bytes)
    }

    /// The data set of the object `number`, whole.
    fn dataset(self, number: u32) -> anyhow::Result<(Vec<u8>, usize)> {
        let mut bytes = self.head(number)?;
        let pixels = bytes.len();
        // xorshift: nothing that anything on the way could take for a constant.
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let words = (self.frame_bytes() * self.frames as usize).div_ceil(8);
        for _ in 0..words {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        Ok((bytes, pixels))
    }

    /// A DICOM file (PS3.10) with the object `number`.
    pub(crate) fn file(self, number: u32) -> anyhow::Result<Vec<u8>> {
        let meta = file_meta(EXPLICIT_VR_LITTLE_ENDIAN, SOP_CLASS, &self.sop_instance_uid(number), None)?;
        Ok([&meta[..], &self.dataset(number)?.0].concat())
    }

    /// The PDUs of its C-STORE, none longer than `pdu` (bytes, as the peer's Maximum Length
    /// Received counts them). Where `per_frame`, each frame begins a new one.
    pub(crate) fn message(self, pdu: u32, per_frame: bool) -> anyhow::Result<Message> {
        let uid = self.sop_instance_uid(0);
        let text = |tag, value: &str| DataElement::new(tag, VR::UI, PrimitiveValue::from(value));
        let short = |tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
        let command = write(
            vec![
                text(tags::AFFECTED_SOP_CLASS_UID, SOP_CLASS),
                short(tags::COMMAND_FIELD, 0x0001),
                short(tags::MESSAGE_ID, 1),
                short(tags::PRIORITY, 0),
                short(tags::COMMAND_DATA_SET_TYPE, 0),
                text(tags::AFFECTED_SOP_INSTANCE_UID, &uid),
            ],
            IMPLICIT_VR_LITTLE_ENDIAN,
            true,
        )?;
        let (dataset, pixels) = self.dataset(0)?;
        let most = pdu as usize - 6;
        let mut message =
            Message { bytes: Vec::with_capacity(dataset.len() * 101 / 100 + 4096), ..Message::default() };
        message.push(&command, 0b11);
        let mut frame_end = pixels + self.frame_bytes();
        let mut from = 0;
        while from < dataset.len() {
            let mut to = (from + most).min(dataset.len());
            if per_frame {
                to = to.min(frame_end);
            }
            let last = if to == dataset.len() { 0b10 } else { 0b00 };
            message.push(dataset.get(from..to).unwrap_or_default(), last);
            while frame_end <= to {
                message.frame_pdus.push(message.pdu_ends.len() - 1);
                frame_end += self.frame_bytes();
            }
            from = to;
        }
        // Both stand before the pixels, which might hold the same bytes by chance.
        let front = message.bytes.get(..command.len() + pixels + 24).unwrap_or_default();
        message.uids = memmem::find_iter(front, uid.as_bytes()).map(|at| at + uid.len() - DIGITS).collect();
        anyhow::ensure!(message.uids.len() == 2, "the SOP Instance UID is once in each set");
        Ok(message)
    }
}

fn write(
    elements: Vec<DataElement<InMemDicomObject>>,
    syntax: &str,
    command: bool,
) -> anyhow::Result<Vec<u8>> {
    let set = if command {
        InMemDicomObject::command_from_element_iter(elements)
    } else {
        InMemDicomObject::from_element_iter(elements)
    };
    let mut bytes = Vec::new();
    let syntax = TransferSyntaxRegistry.get(syntax).context("an unknown transfer syntax")?;
    set.write_dataset_with_ts(&mut bytes, syntax)?;
    Ok(bytes)
}

/// A C-STORE-RQ as it goes over the wire, command set first.
#[derive(Debug, Default)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    pdu_ends: Vec<usize>,
    /// For each frame, the PDU that has its last byte.
    frame_pdus: Vec<usize>,
    /// Where the digits stand that tell its SOP Instance UID from others.
    uids: Vec<usize>,
}

impl Message {
    fn push(&mut self, payload: &[u8], control: u8) {
        let length = payload.len() as u32;
        self.bytes.extend([0x04, 0]);
        self.bytes.extend((length + 6).to_be_bytes());
        self.bytes.extend((length + 2).to_be_bytes());
        self.bytes.extend([CONTEXT, control]);
        self.bytes.extend(payload);
        self.pdu_ends.push(self.bytes.len());
    }

    /// Makes it the object `number` of its series.
    pub(crate) fn renumber(&mut self, number: u32) {
        let digits = format!("1{number:09}");
        for &at in &self.uids {
            if let Some(place) = self.bytes.get_mut(at..at + DIGITS) {
                place.copy_from_slice(digits.as_bytes());
            }
        }
    }

    /// Its PDUs in order.
    pub(crate) fn pdus(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.pdu_ends.iter().copied());
        starts.zip(&self.pdu_ends).filter_map(|(start, &end)| self.bytes.get(start..end))
    }

    /// For each frame, the index of the PDU that has its last byte.
    pub(crate) fn frame_pdus(&self) -> &[usize] {
        &self.frame_pdus
    }
}
