//! Folding of functional groups: the attributes of a frame's macros move to the top level, where a classic
//! image has them (PS3.3 C.7.6.16).
//!
//! A macro is a sequence with one item whose attributes describe the frame; macros that this file has
//! never heard of are folded by the same rule. Sequences that hold a list, and those whose items only mean
//! something together with their sequence, stay sequences. References to source images are collected, so
//! that they can stand beside the reference to the multi-frame object.

use dicom_core::header::Header as _;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use super::classes::Family;
use super::classic;
use super::run::belongs_to_run;
use super::values::{append_items, text};
use crate::instance::Dataset;

/// Macros that are lists even when they hold one item.
const LISTS: &[Tag] = &[
    tags::REFERENCED_IMAGE_SEQUENCE,
    tags::REAL_WORLD_VALUE_MAPPING_SEQUENCE,
    tags::PIXEL_INTENSITY_RELATIONSHIP_LUT_SEQUENCE,
    tags::CONTRAST_BOLUS_USAGE_SEQUENCE,
    tags::RADIOPHARMACEUTICAL_USAGE_SEQUENCE,
    tags::EXPOSURE_CONTROL_SENSING_REGIONS_SEQUENCE,
    tags::CT_ADDITIONAL_X_RAY_SOURCE_SEQUENCE,
    tags::MR_SPATIAL_SATURATION_SEQUENCE,
    tags::MR_METABOLITE_MAP_SEQUENCE,
    tags::MR_VELOCITY_ENCODING_SEQUENCE,
    tags::STORED_VALUE_COLOR_RANGE_SEQUENCE,
];

/// Folds `groups`, an item of a Functional Groups Sequence, into the image `data`; its attributes win over
/// those that are there. The Source Image Sequence items found on the way are appended to `sources`.
pub(super) fn fold(data: &mut Dataset, groups: &Dataset, family: Family, sources: &mut Vec<Dataset>) {
    for element in groups {
        let tag = element.tag();
        // Anything but a sequence has no place in a functional group item.
        let Some(items) = element.items() else { continue };
        if is_private(tag) {
            put_private(data, groups, element);
            continue;
        }
        if belongs_to_run(tag, true) {
            continue;
        }
        match (tag, items) {
            (_, []) => {}
            (tags::DERIVATION_IMAGE_SEQUENCE, items) => fold_derivation(data, items, sources),
            // The classic images that a legacy converted object was made of.
            (tags::CONVERSION_SOURCE_ATTRIBUTES_SEQUENCE, items) => sources.extend_from_slice(items),
            (_, [item]) if !LISTS.contains(&tag) => fold_item(data, item, family),
            _ => {
                data.put(element.clone());
            }
        }
    }
}

fn fold_item(data: &mut Dataset, item: &Dataset, family: Family) {
    for element in item {
        if is_private(element.tag()) {
            put_private(data, item, element);
        } else {
            classic::put(data, element, family);
        }
    }
}

/// The Derivation Image macro (C.7.6.16.2.6) in the words of the General Reference module (C.12.4): one
/// description, all codes, all source images.
fn fold_derivation(data: &mut Dataset, items: &[Dataset], sources: &mut Vec<Dataset>) {
    if let Some(description) = items.iter().find_map(|item| item.get(tags::DERIVATION_DESCRIPTION)) {
        data.put(description.clone());
    }
    let of = |tag| items.iter().filter_map(move |item| item.get(tag)?.items()).flatten().cloned();
    let codes: Vec<Dataset> = of(tags::DERIVATION_CODE_SEQUENCE).collect();
    if !codes.is_empty() {
        append_items(data, tags::DERIVATION_CODE_SEQUENCE, codes);
    }
    sources.extend(of(tags::SOURCE_IMAGE_SEQUENCE));
}

fn is_private(tag: Tag) -> bool {
    tag.group() % 2 == 1
}

/// Puts a private element of `from` into `data` under the same private creator, whose block may be another
/// one there (PS3.5 7.8.1). An element that nobody reserved, or that finds no free block, cannot be read
/// and goes.
fn put_private(data: &mut Dataset, from: &Dataset, element: &InMemElement) {
    let group = element.tag().group();
    let [block, number] = element.tag().element().to_be_bytes();
    if block < 0x10 {
        return;
    }
    let Some(creator) = text(from, Tag(group, block.into())) else { return };
    // Its own block first: most objects use one block for one creator throughout.
    let taken = |block: u8| text(data, Tag(group, block.into()));
    let Some(block) =
        std::iter::once(block).chain(0x10..=0xFF).find(|&block| taken(block).is_none_or(|by| by == creator))
    else {
        return;
    };
    data.put(DataElement::new(Tag(group, block.into()), VR::LO, creator));
    let tag = Tag(group, u16::from_be_bytes([block, number]));
    data.put(DataElement::new(tag, element.vr(), element.value().clone()));
}

#[cfg(test)]
mod tests {
    use super::super::values::sequence;
    use super::*;
    use dicom_core::dicom_value;

    fn item<const N: usize>(elements: [InMemElement; N]) -> Dataset {
        Dataset::from_element_iter(elements)
    }

    fn folded(groups: &Dataset) -> (Dataset, Vec<Dataset>) {
        let (mut data, mut sources) = (Dataset::new_empty(), Vec::new());
        fold(&mut data, groups, Family::Ct, &mut sources);
        (data, sources)
    }

    #[test]
    fn single_items_fold_and_lists_stay() {
        let window = item([DataElement::new(tags::WINDOW_CENTER, VR::DS, "40")]);
        let unknown = item([DataElement::new(Tag(0x0018, 0xFFF0), VR::LO, "kept")]);
        let (data, _) = folded(&item([
            sequence(tags::FRAME_VOILUT_SEQUENCE, vec![window.clone()]),
            sequence(Tag(0x0018, 0xFFF1), vec![unknown.clone()]),
            sequence(Tag(0x0018, 0xFFF2), vec![unknown.clone(), unknown]),
            sequence(tags::REFERENCED_IMAGE_SEQUENCE, vec![window]),
            sequence(tags::PLANE_POSITION_SEQUENCE, vec![]),
        ]));
        assert_eq!(text(&data, tags::WINDOW_CENTER).unwrap(), "40");
        assert_eq!(text(&data, Tag(0x0018, 0xFFF0)).unwrap(), "kept");
        assert_eq!(data.get(Tag(0x0018, 0xFFF2)).unwrap().items().unwrap().len(), 2);
        assert_eq!(data.get(tags::REFERENCED_IMAGE_SEQUENCE).unwrap().items().unwrap().len(), 1);
        assert!(data.get(tags::FRAME_VOILUT_SEQUENCE).is_none());
        assert!(data.get(tags::PLANE_POSITION_SEQUENCE).is_none());
    }

    #[test]
    fn derivations_are_gathered() {
        let reference = item([DataElement::new(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, "1.2")]);
        let derivation = item([
            DataElement::new(tags::DERIVATION_DESCRIPTION, VR::ST, "filtered"),
            sequence(tags::DERIVATION_CODE_SEQUENCE, vec![Dataset::new_empty()]),
            sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![reference.clone()]),
        ]);
        let (data, sources) = folded(&item([
            sequence(tags::DERIVATION_IMAGE_SEQUENCE, vec![derivation.clone(), derivation]),
            sequence(tags::CONVERSION_SOURCE_ATTRIBUTES_SEQUENCE, vec![reference]),
        ]));
        assert_eq!(text(&data, tags::DERIVATION_DESCRIPTION).unwrap(), "filtered");
        assert_eq!(data.get(tags::DERIVATION_CODE_SEQUENCE).unwrap().items().unwrap().len(), 2);
        assert_eq!(sources.len(), 3);
        assert!(data.get(tags::REFERENCED_SOP_INSTANCE_UID).is_none());
    }

    #[test]
    fn private_groups_keep_their_creator() {
        let mut groups = item([
            DataElement::new(Tag(0x0021, 0x0010), VR::LO, "MAKER B"),
            sequence(Tag(0x0021, 0x1001), vec![Dataset::new_empty()]),
            sequence(Tag(0x0023, 0x1001), vec![Dataset::new_empty()]),
        ]);
        groups.put(DataElement::new(tags::ROWS, VR::US, dicom_value!(U16, [9])));
        let mut data = item([DataElement::new(Tag(0x0021, 0x0010), VR::LO, "MAKER A")]);
        fold(&mut data, &groups, Family::Ct, &mut Vec::new());
        assert_eq!(text(&data, Tag(0x0021, 0x0010)).unwrap(), "MAKER A");
        assert_eq!(text(&data, Tag(0x0021, 0x0011)).unwrap(), "MAKER B");
        assert!(data.get(Tag(0x0021, 0x1101)).unwrap().items().is_some());
        assert!(data.get(Tag(0x0023, 0x1001)).is_none(), "no creator, no meaning");
        assert!(data.get(tags::ROWS).is_none());
    }
}
