//! What a peer is told: the data set of an Instance Availability Notification (PS3.4 Table R.3.2-1)
//! and the command sets around it (PS3.7 §10.3.5).
//!
//! The table is closed: Annex R forbids to add attributes, so that no patient or procedure travels along.

use std::sync::Arc;

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use crate::config::settings::AvailabilitySettings;
use crate::hub::LiveSeries;
use crate::instance::{Dataset, IMPLICIT_VR_LITTLE_ENDIAN, Uid, decode_flat, uid};

/// Instances that one notification lists (each about 300 bytes); the oldest of the series.
pub(super) const MOST_ITEMS: usize = 10_000;

const N_CREATE: u16 = 0x0140;
const RESPONSE: u16 = 0x8000;
const DATA_SET: u16 = 0x0001;
const NO_DATA_SET: u16 = 0x0101;
/// Message ID (0000,0110); an association carries one message.
const MESSAGE: u16 = 1;

/// That a series has ended and can be retrieved.
#[derive(Debug)]
pub(super) struct Notice {
    /// Affected SOP Instance UID; the same in every try and for every peer, so that a repetition is known
    /// as such.
    pub(super) uid: String,
    study: Uid,
    series: Uid,
    /// SOP Class and SOP Instance UID.
    items: Vec<(Uid, Uid)>,
    /// Instances that are there and not listed.
    pub(super) left_out: usize,
}

impl Notice {
    /// Lists what the ring of a series holds; `None` where that is nothing.
    pub(super) fn of(live: &LiveSeries) -> Option<Self> {
        let instances = live.instances();
        let of = |instance: &Arc<crate::instance::Instance>| {
            let identity = instance.identity();
            (identity.sop_class.clone(), identity.sop_instance.clone())
        };
        let items: Vec<_> = instances.iter().take(MOST_ITEMS).map(of).collect();
        (!items.is_empty()).then(|| Self {
            uid: uid::random(),
            study: live.study().clone(),
            series: live.series().clone(),
            left_out: instances.len() - items.len(),
            items,
        })
    }

    /// Series Instance UID, for the log.
    pub(super) fn series(&self) -> &str {
        &self.series
    }

    /// How many instances are listed.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// The data set for one peer. Retrieve AE Title (0008,0054), type 1, is the title by which the peer
    /// knows us; Retrieve URL (0008,1190), type 3, is there where the settings say our base URL.
    pub(super) fn dataset(&self, peer: &AvailabilitySettings) -> Dataset {
        let (study, series) = (&self.study, &self.series);
        let base = peer.retrieve_url.trim_end_matches('/');
        let items = self.items.iter().map(|(class, instance)| {
            let mut item = InMemDicomObject::from_element_iter([
                text(tags::INSTANCE_AVAILABILITY, VR::CS, "ONLINE"),
                text(tags::RETRIEVE_AE_TITLE, VR::AE, &peer.calling_ae_title),
                text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class),
                text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance),
            ]);
            if !base.is_empty() {
                let url = format!("{base}/studies/{study}/series/{series}/instances/{instance}");
                item.put(text(tags::RETRIEVE_URL, VR::UR, &url));
            }
            item
        });
        let of_series = InMemDicomObject::from_element_iter([
            sequence(tags::REFERENCED_SOP_SEQUENCE, items.collect()),
            text(tags::SERIES_INSTANCE_UID, VR::UI, series),
        ]);
        InMemDicomObject::from_element_iter([
            // Type 2, and we know of no Performed Procedure Step.
            sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, Vec::new()),
            sequence(tags::REFERENCED_SERIES_SEQUENCE, vec![of_series]),
            text(tags::STUDY_INSTANCE_UID, VR::UI, study),
        ])
    }

    /// N-CREATE-RQ (PS3.7 Table 10.3-9).
    pub(super) fn command(&self) -> Dataset {
        InMemDicomObject::command_from_element_iter([
            text(tags::AFFECTED_SOP_CLASS_UID, VR::UI, uids::INSTANCE_AVAILABILITY_NOTIFICATION),
            number(tags::COMMAND_FIELD, N_CREATE),
            number(tags::MESSAGE_ID, MESSAGE),
            number(tags::COMMAND_DATA_SET_TYPE, DATA_SET),
            text(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, &self.uid),
        ])
    }
}

/// Writes a data set; `None` where the library cannot.
pub(super) fn encoded(dataset: &Dataset, transfer_syntax: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    dataset.write_dataset_with_ts(&mut bytes, TransferSyntaxRegistry.get(transfer_syntax)?).ok()?;
    Some(bytes)
}

/// Writes a command set (Implicit VR Little Endian, PS3.7 §6.3.1).
pub(super) fn encoded_command(command: &Dataset) -> Option<Vec<u8>> {
    encoded(command, IMPLICIT_VR_LITTLE_ENDIAN)
}

/// What an N-CREATE-RSP says: Status (0000,0900), and whether a data set follows. `None` for what is no
/// N-CREATE-RSP to our message.
pub(super) fn read_response(bytes: &[u8]) -> Option<(u16, bool)> {
    let set = decode_flat(bytes, IMPLICIT_VR_LITTLE_ENDIAN).ok()?;
    let number = |tag| set.get(tag)?.to_int::<u16>().ok();
    let ours = number(tags::COMMAND_FIELD)? == N_CREATE | RESPONSE
        && number(tags::MESSAGE_ID_BEING_RESPONDED_TO)? == MESSAGE;
    let data_set = number(tags::COMMAND_DATA_SET_TYPE)? != NO_DATA_SET;
    ours.then_some((number(tags::STATUS)?, data_set))
}

fn text(tag: Tag, vr: VR, value: &str) -> DataElement<Dataset> {
    DataElement::new(tag, vr, PrimitiveValue::from(value))
}

fn number(tag: Tag, value: u16) -> DataElement<Dataset> {
    DataElement::new(tag, VR::US, dicom_value!(U16, value))
}

fn sequence(tag: Tag, items: Vec<Dataset>) -> DataElement<Dataset> {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::instance::decode;

    fn notice(count: usize) -> Notice {
        let items = (0..count).map(|n| ("1.2.840.10008.5.1.4.1.1.7".into(), format!("1.2.{n}").into()));
        Notice {
            uid: "2.25.1".into(),
            study: "1.2".into(),
            series: "1.3".into(),
            items: items.collect(),
            left_out: 0,
        }
    }

    fn peer(retrieve_url: &str) -> AvailabilitySettings {
        AvailabilitySettings {
            address: "127.0.0.1:104".into(),
            ae_title: "RIS".into(),
            calling_ae_title: "FRAMEGATE".into(),
            retrieve_url: retrieve_url.into(),
            tls: None,
        }
    }

    /// Tags of a data set with those of its sequences' items, in order.
    fn tags_of(dataset: &Dataset) -> Vec<(u16, u16)> {
        let mut found = Vec::new();
        for element in dataset {
            found.push((element.header().tag.group(), element.header().tag.element()));
            for item in element.items().unwrap_or_default() {
                found.extend(tags_of(item));
            }
        }
        found
    }

    #[test]
    fn the_data_set_has_what_annex_r_asks_for_and_nothing_else() {
        let dataset = notice(1).dataset(&peer("https://gate.example:8443/dicomweb/"));
        let table = [
            (0x0008, 0x1111), // Referenced Performed Procedure Step Sequence, 2
            (0x0008, 0x1115), // Referenced Series Sequence, 1
            (0x0008, 0x1199), // > Referenced SOP Sequence, 1
            (0x0008, 0x0054), // >> Retrieve AE Title, 1
            (0x0008, 0x0056), // >> Instance Availability, 1
            (0x0008, 0x1150), // >> Referenced SOP Class UID, 1
            (0x0008, 0x1155), // >> Referenced SOP Instance UID, 1
            (0x0008, 0x1190), // >> Retrieve URL, 3
            (0x0020, 0x000E), // > Series Instance UID, 1
            (0x0020, 0x000D), // Study Instance UID, 1
        ];
        let (mut have, mut want) = (tags_of(&dataset), table.to_vec());
        have.sort_unstable();
        want.sort_unstable();
        assert_eq!(have, want);

        // It survives the wire, in both transfer syntaxes that are proposed.
        for syntax in [crate::instance::EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN] {
            let read = decode(&encoded(&dataset, syntax).unwrap(), syntax).unwrap();
            assert_eq!(
                read.element(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE).unwrap().items().unwrap(),
                []
            );
            let series = &read.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap()[0];
            let item = &series.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap()[0];
            let value = |tag| item.element(tag).unwrap().to_str().unwrap().trim_end().to_owned();
            assert_eq!(value(tags::INSTANCE_AVAILABILITY), "ONLINE");
            assert_eq!(value(tags::RETRIEVE_AE_TITLE), "FRAMEGATE");
            assert_eq!(
                value(tags::RETRIEVE_URL),
                "https://gate.example:8443/dicomweb/studies/1.2/series/1.3/instances/1.2.0"
            );
        }
    }

    #[test]
    fn without_a_base_there_is_no_retrieve_url() {
        let dataset = notice(2).dataset(&peer(""));
        assert!(!tags_of(&dataset).contains(&(0x0008, 0x1190)));
    }

    #[test]
    fn the_request_names_the_notification() {
        let bytes = encoded_command(&notice(1).command()).unwrap();
        let set = decode_flat(&bytes, IMPLICIT_VR_LITTLE_ENDIAN).unwrap();
        let number = |tag| set.element(tag).unwrap().to_int::<u16>().unwrap();
        assert_eq!(number(tags::COMMAND_FIELD), 0x0140);
        assert_ne!(number(tags::COMMAND_DATA_SET_TYPE), NO_DATA_SET);
        assert_eq!(set.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), "2.25.1");
        assert_eq!(read_response(&bytes), None, "a request is no response");
    }

    #[test]
    fn a_response_is_read() {
        let respond = |message, set| {
            InMemDicomObject::command_from_element_iter([
                number(tags::COMMAND_FIELD, N_CREATE | RESPONSE),
                number(tags::MESSAGE_ID_BEING_RESPONDED_TO, message),
                number(tags::COMMAND_DATA_SET_TYPE, set),
                number(tags::STATUS, 0x0110),
            ])
        };
        let read = |set| read_response(&encoded_command(&set).unwrap());
        assert_eq!(read(respond(MESSAGE, NO_DATA_SET)), Some((0x0110, false)));
        assert_eq!(read(respond(MESSAGE, DATA_SET)), Some((0x0110, true)));
        assert_eq!(read(respond(MESSAGE + 1, NO_DATA_SET)), None);
    }

    proptest! {
        #[test]
        fn arbitrary_responses_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_response(&bytes);
        }
    }
}
