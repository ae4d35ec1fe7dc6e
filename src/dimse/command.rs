//! DIMSE command sets (PS3.7 §9.3, Annex E): the requests that we understand and their responses.
//! Command sets are always Implicit VR Little Endian (PS3.7 §6.3.1).

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use crate::instance::{Dataset, IMPLICIT_VR_LITTLE_ENDIAN, Uid, decode_flat};

/// Verification SOP Class (C-ECHO).
pub const VERIFICATION: &str = "1.2.840.10008.1.1";
/// Command Field of a C-STORE-RQ.
pub const C_STORE: u16 = 0x0001;
/// Command Field of an N-SET-RQ.
pub const N_SET: u16 = 0x0120;
/// Command Field of an N-CREATE-RQ.
pub const N_CREATE: u16 = 0x0140;
/// Command Field of a C-ECHO-RQ.
pub(super) const C_ECHO: u16 = 0x0030;
/// Command Field of a C-CANCEL-RQ.
pub(super) const C_CANCEL: u16 = 0x0FFF;
/// Set in the Command Field of a response.
pub const RESPONSE: u16 = 0x8000;
/// Command Data Set Type (0000,0800) where no data set follows.
pub(super) const NO_DATA_SET: u16 = 0x0101;

/// Status (0000,0900) of a response (PS3.7 Annex C, PS3.4 §B.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// 0000H.
    Success,
    /// 0110H: processing failure.
    ProcessingFailure,
    /// 0122H: SOP class not supported.
    SopClassNotSupported,
    /// 0211H: unrecognized operation.
    UnrecognizedOperation,
    /// A700H: refused, out of resources.
    OutOfResources,
    /// A900H: data set does not match SOP class.
    DataSetMismatch,
    /// C000H: cannot understand.
    CannotUnderstand,
}

impl Status {
    /// The code in hexadecimal, as logs and metrics have it.
    pub fn hex(self) -> &'static str {
        match self {
            Self::Success => "0000",
            Self::ProcessingFailure => "0110",
            Self::SopClassNotSupported => "0122",
            Self::UnrecognizedOperation => "0211",
            Self::OutOfResources => "A700",
            Self::DataSetMismatch => "A900",
            Self::CannotUnderstand => "C000",
        }
    }

    /// The code on the wire.
    pub fn code(self) -> u16 {
        match self {
            Self::Success => 0x0000,
            Self::ProcessingFailure => 0x0110,
            Self::SopClassNotSupported => 0x0122,
            Self::UnrecognizedOperation => 0x0211,
            Self::OutOfResources => 0xA700,
            Self::DataSetMismatch => 0xA900,
            Self::CannotUnderstand => 0xC000,
        }
    }
}

/// A request, as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// C-ECHO-RQ.
    Echo {
        /// Message ID (0000,0110).
        message: u16,
    },
    /// C-STORE-RQ.
    Store {
        /// Message ID (0000,0110).
        message: u16,
        /// Affected SOP Class UID (0000,0002).
        sop_class: Uid,
        /// Affected SOP Instance UID (0000,1000).
        sop_instance: Uid,
    },
    /// C-CANCEL-RQ: there is nothing that could be cancelled.
    Cancel,
    /// Any other request.
    Other {
        /// Command Field (0000,0100).
        field: u16,
        /// Message ID (0000,0110).
        message: u16,
        /// Whether a data set follows.
        data_set: bool,
    },
}

/// A command set that is none.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Not a data set.
    #[error("the command set cannot be decoded: {0}")]
    Decode(#[from] crate::instance::DecodeError),
    /// An element that the request must have.
    #[error("the command set lacks {0}, or it is malformed")]
    Element(&'static str),
    /// A response, which nobody asked for.
    #[error("a response came where a request is expected")]
    Response,
}

/// Reads a command set.
///
/// # Errors
/// When it is no request.
pub fn read(bytes: &[u8]) -> Result<Command, CommandError> {
    let set = decode_flat(bytes, IMPLICIT_VR_LITTLE_ENDIAN)?;
    let number = |tag, name| {
        set.get(tag).and_then(|element| element.to_int::<u16>().ok()).ok_or(CommandError::Element(name))
    };
    let uid = |tag, name| uid(&set, tag).ok_or(CommandError::Element(name));
    let field = number(tags::COMMAND_FIELD, "Command Field")?;
    if field == C_CANCEL {
        return Ok(Command::Cancel);
    }
    if field & RESPONSE != 0 {
        return Err(CommandError::Response);
    }
    let message = number(tags::MESSAGE_ID, "Message ID")?;
    let data_set = number(tags::COMMAND_DATA_SET_TYPE, "Command Data Set Type")? != NO_DATA_SET;
    match field {
        C_ECHO if !data_set => Ok(Command::Echo { message }),
        C_STORE if data_set => Ok(Command::Store {
            message,
            sop_class: uid(tags::AFFECTED_SOP_CLASS_UID, "Affected SOP Class UID")?,
            sop_instance: uid(tags::AFFECTED_SOP_INSTANCE_UID, "Affected SOP Instance UID")?,
        }),
        C_ECHO | C_STORE => Err(CommandError::Element("the right Command Data Set Type")),
        _ => Ok(Command::Other { field, message, data_set }),
    }
}

fn uid(set: &Dataset, tag: Tag) -> Option<Uid> {
    let text = set.get(tag)?.to_str().ok()?;
    let uid = text.trim_matches(['\0', ' ']);
    let valid = !uid.is_empty() && uid.len() <= 64 && uid.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    valid.then(|| uid.into())
}

/// What any command set says of its message, request or response, for whoever only looks on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// Command Field (0000,0100).
    pub field: u16,
    /// Message ID (0000,0110), in a response Message ID Being Responded To (0000,0120).
    pub message: u16,
    /// Whether a data set follows.
    pub data_set: bool,
    /// Status (0000,0900) of a response.
    pub status: Option<u16>,
    /// Affected or Requested SOP Class UID (0000,0002), (0000,0003).
    pub sop_class: Option<Uid>,
    /// Affected or Requested SOP Instance UID (0000,1000), (0000,1001).
    pub sop_instance: Option<Uid>,
}

impl Heading {
    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are no command set, or lack what every one has.
    pub fn read(bytes: &[u8]) -> Result<Self, CommandError> {
        let set = decode_flat(bytes, IMPLICIT_VR_LITTLE_ENDIAN)?;
        let number = |tag| set.get(tag).and_then(|element| element.to_int::<u16>().ok());
        let field = number(tags::COMMAND_FIELD).ok_or(CommandError::Element("Command Field"))?;
        let answers = field & RESPONSE != 0 || field == C_CANCEL;
        let message =
            if answers { number(tags::MESSAGE_ID_BEING_RESPONDED_TO) } else { number(tags::MESSAGE_ID) };
        let data_set = number(tags::COMMAND_DATA_SET_TYPE);
        Ok(Self {
            field,
            message: message.ok_or(CommandError::Element("Message ID"))?,
            data_set: data_set.ok_or(CommandError::Element("Command Data Set Type"))? != NO_DATA_SET,
            status: number(tags::STATUS),
            sop_class: uid(&set, tags::AFFECTED_SOP_CLASS_UID)
                .or_else(|| uid(&set, tags::REQUESTED_SOP_CLASS_UID)),
            sop_instance: uid(&set, tags::AFFECTED_SOP_INSTANCE_UID)
                .or_else(|| uid(&set, tags::REQUESTED_SOP_INSTANCE_UID)),
        })
    }

    /// Whether it asks for a response.
    pub fn is_request(&self) -> bool {
        self.field & RESPONSE == 0 && self.field != C_CANCEL
    }

    /// Whether it is the last response to its request: any but a pending one (PS3.7 §C.5).
    pub fn is_final_response(&self) -> bool {
        self.field & RESPONSE != 0 && !matches!(self.status, Some(0xFF00 | 0xFF01))
    }
}

/// Writes the response to a request. `comment` becomes Error Comment (0000,0902), cut to 64
/// characters.
pub fn response(command: &Command, status: Status, comment: Option<&str>) -> Vec<u8> {
    let (field, message, uids) = match command {
        Command::Echo { message } => (C_ECHO, *message, Some((VERIFICATION, None))),
        Command::Store { message, sop_class, sop_instance } => {
            (C_STORE, *message, Some((&**sop_class, Some(&**sop_instance))))
        }
        Command::Other { field, message, .. } => (*field, *message, None),
        Command::Cancel => return Vec::new(),
    };
    let mut elements = Vec::with_capacity(8);
    let mut us = |tag, value: u16| elements.push(DataElement::new(tag, VR::US, dicom_value!(U16, value)));
    us(tags::COMMAND_FIELD, field | RESPONSE);
    us(tags::MESSAGE_ID_BEING_RESPONDED_TO, message);
    us(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET);
    us(tags::STATUS, status.code());
    let mut text =
        |tag, vr, value: &str| elements.push(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    if let Some((sop_class, sop_instance)) = uids {
        text(tags::AFFECTED_SOP_CLASS_UID, VR::UI, sop_class);
        if let Some(sop_instance) = sop_instance {
            text(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, sop_instance);
        }
    }
    if let Some(comment) = comment {
        let comment: String =
            comment.chars().filter(char::is_ascii).filter(|&c| c != '\\').take(64).collect();
        text(tags::ERROR_COMMENT, VR::LO, &comment);
    }
    written(elements)
}

/// The bytes of a command set. Writing short texts and numbers to memory does not fail; an empty command set would
/// be refused, or make the peer time out, which is the safe side.
pub fn written(elements: impl IntoIterator<Item = DataElement<Dataset>>) -> Vec<u8> {
    let set = InMemDicomObject::command_from_element_iter(elements);
    let mut bytes = Vec::with_capacity(256);
    if let Some(syntax) = TransferSyntaxRegistry.get(IMPLICIT_VR_LITTLE_ENDIAN)
        && set.write_dataset_with_ts(&mut bytes, syntax).is_err()
    {
        bytes.clear();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write(elements: Vec<DataElement<dicom_object::InMemDicomObject>>) -> Vec<u8> {
        let set = InMemDicomObject::command_from_element_iter(elements);
        let mut bytes = Vec::new();
        let syntax = TransferSyntaxRegistry.get(IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        set.write_dataset_with_ts(&mut bytes, syntax).unwrap();
        bytes
    }

    fn store(data_set: u16) -> Vec<u8> {
        write(vec![
            DataElement::new(tags::AFFECTED_SOP_CLASS_UID, VR::UI, PrimitiveValue::from("1.2.3")),
            DataElement::new(tags::COMMAND_FIELD, VR::US, dicom_value!(U16, C_STORE)),
            DataElement::new(tags::MESSAGE_ID, VR::US, dicom_value!(U16, 7)),
            DataElement::new(tags::PRIORITY, VR::US, dicom_value!(U16, 0)),
            DataElement::new(tags::COMMAND_DATA_SET_TYPE, VR::US, dicom_value!(U16, data_set)),
            DataElement::new(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, PrimitiveValue::from("1.2.3.4")),
        ])
    }

    #[test]
    fn a_store_request_is_read_and_answered() {
        let command = read(&store(0)).unwrap();
        assert_eq!(
            command,
            Command::Store { message: 7, sop_class: "1.2.3".into(), sop_instance: "1.2.3.4".into() }
        );
        let comment = "x".repeat(80);
        let answer = response(&command, Status::OutOfResources, Some(&comment));
        let set = decode_flat(&answer, IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(set.get(tags::STATUS).unwrap().to_int::<u16>().unwrap(), 0xA700);
        assert_eq!(set.get(tags::COMMAND_FIELD).unwrap().to_int::<u16>().unwrap(), 0x8001);
        assert_eq!(set.get(tags::ERROR_COMMENT).unwrap().to_str().unwrap().len(), 64);
        let length = set.get(tags::COMMAND_GROUP_LENGTH).unwrap().to_int::<usize>().unwrap();
        assert_eq!(length, answer.len() - 12);
    }

    #[test]
    fn a_store_without_a_data_set_is_an_error() {
        assert!(matches!(read(&store(NO_DATA_SET)), Err(CommandError::Element(_))));
    }

    #[test]
    fn a_nesting_bomb_is_no_command() {
        // A sequence that holds a sequence, 4000 deep: a decoder that recurses would overflow.
        let bomb =
            [0x08, 0x00, 0x40, 0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0x00, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF];
        let mut bytes = store(0);
        bytes.extend(bomb.repeat(4000));
        assert!(matches!(read(&bytes), Err(CommandError::Decode(_))));
        // An element that claims 4 GB.
        let mut bytes = store(0);
        bytes.extend([0, 0, 2, 9, 0xF0, 0xFF, 0xFF, 0xFF]);
        assert!(matches!(read(&bytes), Err(CommandError::Decode(_))));
    }

    #[test]
    fn a_response_is_no_request() {
        let answer = response(&Command::Echo { message: 1 }, Status::Success, None);
        assert!(matches!(read(&answer), Err(CommandError::Response)));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
