//! What a peer is told: the data set of an Instance Availability Notification (PS3.4 Table R.3.2-1).
//!
//! The table is closed: Annex R forbids to add attributes, so that no patient or procedure travels along.

use std::sync::Arc;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::config::settings::AvailabilitySettings;
use crate::dimse::element::{sequence, text};
use crate::hub::LiveSeries;
use crate::instance::{Dataset, Uid, uid};

/// Instances that one notification lists (each about 300 bytes); the oldest of the series.
pub(super) const MOST_ITEMS: usize = 10_000;

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
                text(tags::RETRIEVE_AE_TITLE, VR::AE, &peer.peer.calling_ae_title),
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
}

#[cfg(test)]
mod tests {
    use dicom_encoding::transfer_syntax::TransferSyntaxIndex as _;
    use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

    use super::*;
    use crate::config::settings::DimsePeer;
    use crate::instance::{IMPLICIT_VR_LITTLE_ENDIAN, decode};

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
            peer: DimsePeer {
                address: "127.0.0.1:104".into(),
                ae_title: "RIS".into(),
                calling_ae_title: "FRAMEGATE".into(),
                tls: None,
            },
            retrieve_url: retrieve_url.into(),
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
            let mut bytes = Vec::new();
            dataset.write_dataset_with_ts(&mut bytes, TransferSyntaxRegistry.get(syntax).unwrap()).unwrap();
            let read = decode(&bytes, syntax).unwrap();
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
}
