//! Which SOP classes are those of instances. One answer for every way in: what one gateway has accepted
//! over DIMSE, the next one in a chain must not refuse over DICOMweb.

use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::StandardSopClassDictionary;

/// Whether objects of this SOP class are taken: it is a Storage SOP class of the standard, or one of the
/// `private` ones that are configured (`dimse.private_sop_classes`).
pub(super) fn is_taken(sop_class: &str, private: &[String]) -> bool {
    is_storage(sop_class) || private.iter().any(|class| class == sop_class)
}

/// Whether the standard's dictionary has this as a SOP class of the Storage service (PS3.4 §B.5
/// and the retired ones): by its name, since that is what all of them share.
fn is_storage(sop_class: &str) -> bool {
    StandardSopClassDictionary.by_uid(sop_class).is_some_and(|entry| {
        let name = entry.name;
        name.contains("Storage") && !name.contains("Commitment") && !name.contains("Directory")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn storage_classes_of_the_cath_lab_are_taken_and_queries_are_not() {
        for class in [
            "1.2.840.10008.5.1.4.1.1.12.1",
            "1.2.840.10008.5.1.4.1.1.12.2",
            "1.2.840.10008.5.1.4.1.1.12.1.1",
            "1.2.840.10008.5.1.4.1.1.3.1",
            "1.2.840.10008.5.1.4.1.1.6.1",
            "1.2.840.10008.5.1.4.1.1.77.1.4",
            "1.2.840.10008.5.1.4.1.1.14.1",
            "1.2.840.10008.5.1.4.1.1.88.67",
            "1.2.840.10008.5.1.4.1.1.9.2.1",
            "1.2.840.10008.5.1.4.1.1.104.1",
        ] {
            assert!(is_storage(class), "{class}");
        }
        for class in ["1.2.840.10008.1.20.1", "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.3.10", "1.2.3"]
        {
            assert!(!is_storage(class), "{class}");
        }
    }

    #[test]
    fn private_classes_come_by_configuration() {
        let private = ["1.3.12.2.1107.5.9.1".to_owned()];
        assert!(is_taken("1.3.12.2.1107.5.9.1", &private) && !is_taken("1.3.12.2.1107.5.9", &private));
        assert!(is_taken("1.2.840.10008.5.1.4.1.1.12.1", &private));
        assert!(!is_taken("1.3.12.2.1107.5.9.1", &[]));
    }
}
