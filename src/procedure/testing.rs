//! A RIS for tests: takes one association after the other and gives each message to the test, which answers.

use std::net::SocketAddr;

use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_encoding::transfer_syntax::TransferSyntaxIndex as _;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;
use dicom_ul::association::Association as _;
use dicom_ul::association::server::{AsyncServerAssociation, ServerAssociationOptions};
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu};
use tokio::net::{TcpListener, TcpStream};

use crate::config::settings::DimsePeer;
use crate::dimse::element::number;
use crate::instance::{Dataset, IMPLICIT_VR_LITTLE_ENDIAN, decode, decode_flat};

/// Where the gateway's associations arrive.
pub(super) struct Ris {
    listener: TcpListener,
    class: &'static str,
}

impl Ris {
    pub(super) async fn new(class: &'static str) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), class }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// How the gateway is to reach it.
    pub(super) fn peer(&self) -> DimsePeer {
        DimsePeer {
            address: self.address().to_string(),
            ae_title: "RIS".into(),
            calling_ae_title: "XA1".into(),
            tls: None,
        }
    }

    /// The next association.
    pub(super) async fn accept(&self) -> Talk {
        let (stream, _) = self.listener.accept().await.unwrap();
        let options = ServerAssociationOptions::new()
            .accept_called_ae_title()
            .ae_title("RIS")
            .with_abstract_syntax(self.class);
        let association = options.establish_async(stream).await.unwrap();
        assert_eq!(association.peer_ae_title(), "XA1");
        Talk { association }
    }
}

/// One association.
pub(super) struct Talk {
    association: AsyncServerAssociation<TcpStream>,
}

/// A request as it came.
pub(super) struct Asked {
    pub(super) field: u16,
    pub(super) message: u16,
    pub(super) instance: String,
    pub(super) dataset: Option<Dataset>,
}

impl Talk {
    fn context(&self) -> (u8, String) {
        let context = &self.association.presentation_contexts()[0];
        (context.id, context.transfer_syntax.clone())
    }

    /// The next request; `None` where the gateway releases, which is answered.
    pub(super) async fn next(&mut self) -> Option<Asked> {
        let (mut command, mut dataset) = (Vec::new(), Vec::new());
        loop {
            let data = match self.association.receive().await.unwrap() {
                Pdu::PData { data } => data,
                Pdu::ReleaseRQ => {
                    self.association.send(&Pdu::ReleaseRP).await.unwrap();
                    return None;
                }
                pdu => panic!("{}", pdu.short_description()),
            };
            for value in data {
                let is_command = value.value_type == PDataValueType::Command;
                if is_command { &mut command } else { &mut dataset }.extend(value.data);
                if !value.is_last {
                    continue;
                }
                let set = decode_flat(&command, IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
                let number = |tag| set.get(tag).map(|element| element.to_int::<u16>().unwrap());
                if is_command && number(tags::COMMAND_DATA_SET_TYPE) != Some(0x0101) {
                    continue;
                }
                let uid = [tags::AFFECTED_SOP_INSTANCE_UID, tags::REQUESTED_SOP_INSTANCE_UID]
                    .into_iter()
                    .find_map(|tag| set.get(tag))
                    .map(|element| element.to_str().unwrap().trim_end_matches('\0').to_owned());
                return Some(Asked {
                    field: number(tags::COMMAND_FIELD).unwrap(),
                    message: number(tags::MESSAGE_ID)
                        .or(number(tags::MESSAGE_ID_BEING_RESPONDED_TO))
                        .unwrap(),
                    instance: uid.unwrap_or_default(),
                    dataset: (!is_command).then(|| decode(&dataset, &self.context().1).unwrap()),
                });
            }
        }
    }

    /// Answers with a status, further elements of the command set, and a data set.
    pub(super) async fn answer(
        &mut self,
        asked: &Asked,
        status: u16,
        more: Option<(Tag, u16)>,
        dataset: Option<&Dataset>,
    ) {
        let (context, syntax) = self.context();
        let elements = [
            number(tags::COMMAND_FIELD, asked.field | 0x8000),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, asked.message),
            number(tags::COMMAND_DATA_SET_TYPE, if dataset.is_some() { 1 } else { 0x0101 }),
            number(tags::STATUS, status),
        ];
        let more = more.map(|(tag, value)| number(tag, value));
        let set = InMemDicomObject::command_from_element_iter(elements.into_iter().chain(more));
        self.send(context, PDataValueType::Command, bytes(&set, IMPLICIT_VR_LITTLE_ENDIAN)).await;
        if let Some(dataset) = dataset {
            self.send(context, PDataValueType::Data, bytes(dataset, &syntax)).await;
        }
    }

    /// Sends these bytes as a response's data set.
    pub(super) async fn answer_garbage(&mut self, asked: &Asked, garbage: &[u8]) {
        let (context, _) = self.context();
        let set = InMemDicomObject::command_from_element_iter([
            number(tags::COMMAND_FIELD, asked.field | 0x8000),
            number(tags::MESSAGE_ID_BEING_RESPONDED_TO, asked.message),
            number(tags::COMMAND_DATA_SET_TYPE, 1),
            number(tags::STATUS, 0xFF00),
        ]);
        self.send(context, PDataValueType::Command, bytes(&set, IMPLICIT_VR_LITTLE_ENDIAN)).await;
        self.send(context, PDataValueType::Data, garbage.to_vec()).await;
    }

    async fn send(&mut self, context: u8, value_type: PDataValueType, data: Vec<u8>) {
        let value = PDataValue { presentation_context_id: context, value_type, is_last: true, data };
        self.association.send(&Pdu::PData { data: vec![value] }).await.unwrap();
    }
}

fn bytes(dataset: &Dataset, syntax: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    dataset.write_dataset_with_ts(&mut bytes, TransferSyntaxRegistry.get(syntax).unwrap()).unwrap();
    bytes
}

/// The text of an attribute, as it stands; empty without a value.
pub(super) fn value(dataset: &Dataset, tag: Tag) -> String {
    dataset.element(tag).unwrap().to_str().unwrap().trim_end().to_owned()
}

/// An element of text.
pub(super) fn element(tag: Tag, vr: VR, value: &str) -> DataElement<Dataset> {
    crate::dimse::element::text(tag, vr, value)
}
