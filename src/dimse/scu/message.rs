//! The command sets of what we ask, and of the responses to it (PS3.7 §9.3, §10.3, Annex E).

use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use crate::dimse::command::{C_CANCEL, C_ECHO, N_CREATE, N_SET, NO_DATA_SET, RESPONSE};
use crate::dimse::element::{number, text};
use crate::instance::{Dataset, IMPLICIT_VR_LITTLE_ENDIAN, decode_flat};

const DATA_SET: u16 = 0x0001;
/// Priority (0000,0700): medium.
const MEDIUM: u16 = 0x0000;

/// What is asked of a peer (PS3.7 §9.1, §10.1), with the SOP Instance UID that it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'u> {
    /// C-ECHO.
    Echo,
    /// C-FIND.
    Find,
    /// N-CREATE.
    Create(&'u str),
    /// N-SET.
    Set(&'u str),
}

impl Operation<'_> {
    /// Its name, for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "C-ECHO",
            Self::Find => "C-FIND",
            Self::Create(_) => "N-CREATE",
            Self::Set(_) => "N-SET",
        }
    }

    /// Command Field (0000,0100) of its request.
    pub(in crate::dimse) fn field(self) -> u16 {
        match self {
            Self::Echo => C_ECHO,
            Self::Find => 0x0020,
            Self::Create(_) => N_CREATE,
            Self::Set(_) => N_SET,
        }
    }

    /// The request's command set (PS3.7 Tables 9.3-3, 10.3-9 and 10.3-5).
    pub(in crate::dimse) fn command(self, sop_class: &str, message: u16, data_set: bool) -> Dataset {
        let mut elements = vec![
            number(tags::COMMAND_FIELD, self.field()),
            number(tags::MESSAGE_ID, message),
            number(tags::COMMAND_DATA_SET_TYPE, if data_set { DATA_SET } else { NO_DATA_SET }),
        ];
        let (class_tag, instance) = match self {
            Self::Echo => (tags::AFFECTED_SOP_CLASS_UID, None),
            Self::Find => {
                elements.push(number(tags::PRIORITY, MEDIUM));
                (tags::AFFECTED_SOP_CLASS_UID, None)
            }
            Self::Create(uid) => (tags::AFFECTED_SOP_CLASS_UID, Some((tags::AFFECTED_SOP_INSTANCE_UID, uid))),
            Self::Set(uid) => (tags::REQUESTED_SOP_CLASS_UID, Some((tags::REQUESTED_SOP_INSTANCE_UID, uid))),
        };
        elements.push(text(class_tag, VR::UI, sop_class));
        elements.extend(instance.map(|(tag, uid)| text(tag, VR::UI, uid)));
        InMemDicomObject::command_from_element_iter(elements)
    }
}

/// A command set that is a response, as far as we need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dimse) struct Response {
    pub(super) field: u16,
    pub(super) message: u16,
    pub(super) data_set: bool,
    pub(in crate::dimse) status: u16,
    pub(super) error_id: Option<u16>,
}

impl Response {
    /// Whether it is one to this request.
    pub(in crate::dimse) fn answers(&self, operation: Operation<'_>, message: u16) -> bool {
        self.field == operation.field() | RESPONSE && self.message == message
    }
}

/// A C-CANCEL-RQ (PS3.7 §9.3.2.3).
pub(super) fn cancel(message: u16) -> Dataset {
    InMemDicomObject::command_from_element_iter([
        number(tags::COMMAND_FIELD, C_CANCEL),
        number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
        number(tags::COMMAND_DATA_SET_TYPE, NO_DATA_SET),
    ])
}

/// Writes a data set; `None` where the library cannot.
pub(in crate::dimse) fn encoded(dataset: &Dataset, transfer_syntax: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    dataset.write_dataset_with_ts(&mut bytes, TransferSyntaxRegistry.get(transfer_syntax)?).ok()?;
    Some(bytes)
}

/// Reads a response's command set (Implicit VR Little Endian, PS3.7 §6.3.1); `None` for what is none.
pub(in crate::dimse) fn read_response(bytes: &[u8]) -> Option<Response> {
    let set = decode_flat(bytes, IMPLICIT_VR_LITTLE_ENDIAN).ok()?;
    let number = |tag: Tag| set.get(tag)?.to_int::<u16>().ok();
    Some(Response {
        field: number(tags::COMMAND_FIELD)?,
        message: number(tags::MESSAGE_ID_BEING_RESPONDED_TO)?,
        data_set: number(tags::COMMAND_DATA_SET_TYPE)? != NO_DATA_SET,
        status: number(tags::STATUS)?,
        error_id: number(tags::ERROR_ID),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(set: Vec<dicom_object::mem::InMemElement>) -> Option<Response> {
        let set = InMemDicomObject::command_from_element_iter(set);
        read_response(&encoded(&set, IMPLICIT_VR_LITTLE_ENDIAN).unwrap())
    }

    /// Tags and numbers as PS3.7 has them for the request's kind.
    #[test]
    fn each_request_names_its_class_and_instance_in_its_own_attributes() {
        let of = |operation: Operation<'_>| operation.command("1.2", 7, true);
        let value = |set: &Dataset, tag| set.get(tag).map(|e| e.to_str().unwrap().into_owned());
        let create = of(Operation::Create("1.9"));
        assert_eq!(value(&create, tags::AFFECTED_SOP_CLASS_UID).unwrap(), "1.2");
        assert_eq!(value(&create, tags::AFFECTED_SOP_INSTANCE_UID).unwrap(), "1.9");
        assert_eq!(create.element(tags::COMMAND_FIELD).unwrap().to_int::<u16>().unwrap(), 0x0140);
        let set = of(Operation::Set("1.9"));
        assert_eq!(value(&set, tags::REQUESTED_SOP_CLASS_UID).unwrap(), "1.2");
        assert_eq!(value(&set, tags::REQUESTED_SOP_INSTANCE_UID).unwrap(), "1.9");
        assert_eq!(value(&set, tags::AFFECTED_SOP_CLASS_UID), None);
        let find = of(Operation::Find);
        assert_eq!(value(&find, tags::AFFECTED_SOP_CLASS_UID).unwrap(), "1.2");
        assert!(find.get(tags::PRIORITY).is_some() && find.get(tags::AFFECTED_SOP_INSTANCE_UID).is_none());
        let bytes = encoded(&create, IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        assert_eq!(read_response(&bytes), None, "a request is no response");
    }

    #[test]
    fn a_response_is_read() {
        let respond = |set| {
            vec![
                number(tags::COMMAND_FIELD, 0x8140),
                number(tags::MESSAGE_ID_BEING_RESPONDED_TO, 3),
                number(tags::COMMAND_DATA_SET_TYPE, set),
                number(tags::STATUS, 0x0110),
                number(tags::ERROR_ID, 0xA710),
            ]
        };
        let expected =
            Response { field: 0x8140, message: 3, data_set: false, status: 0x0110, error_id: Some(0xA710) };
        assert_eq!(read(respond(NO_DATA_SET)), Some(expected));
        assert_eq!(read(respond(DATA_SET)), Some(Response { data_set: true, ..expected }));
    }

    proptest! {
        #[test]
        fn arbitrary_responses_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_response(&bytes);
        }
    }
}
