//! Reads what an operator says of an encounter: a data set with who is imaged, and for which study.
//!
//! What is taken becomes part of every instance that follows, so that nothing is taken that a data set
//! may not hold (PS3.5 §6.2), and nothing passed over: an attribute that is not for an [`Order`] is
//! refused, not ignored. No error holds a value.

use std::fmt;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};
use dicom_object::InMemDicomObject;
use dicom_object::mem::InMemElement;

use super::order::Order;
use super::value::{LONG, MAX_UID, SHORT, is_date, is_name, is_sex, is_text};

/// What a value has to be.
type Check = fn(&str) -> bool;
/// Where it goes.
type Place = fn(&mut Order) -> &mut String;

/// One attribute that may be given.
struct Attribute {
    tag: Tag,
    vr: VR,
    expected: &'static str,
    check: Check,
    place: Place,
}

const NAME: &str =
    "one name of at most 3 groups of 64 characters, each of at most 5 components with ^ between them";
const LONG_TEXT: &str = "one text of at most 64 characters, without backslash and control characters";
const SHORT_TEXT: &str = "one text of at most 16 characters, without backslash and control characters";

/// All but Study Instance UID, whose absence means something.
const ATTRIBUTES: [Attribute; 10] = [
    Attribute {
        tag: tags::PATIENT_NAME,
        vr: VR::PN,
        expected: NAME,
        check: is_name,
        place: |order| &mut order.patient.name,
    },
    Attribute {
        tag: tags::PATIENT_ID,
        vr: VR::LO,
        expected: LONG_TEXT,
        check: |text| is_text(text, LONG),
        place: |order| &mut order.patient.id,
    },
    Attribute {
        tag: tags::ISSUER_OF_PATIENT_ID,
        vr: VR::LO,
        expected: LONG_TEXT,
        check: |text| is_text(text, LONG),
        place: |order| &mut order.patient.issuer,
    },
    Attribute {
        tag: tags::PATIENT_BIRTH_DATE,
        vr: VR::DA,
        expected: "one day of the calendar as YYYYMMDD",
        check: is_date,
        place: |order| &mut order.patient.birth_date,
    },
    Attribute {
        tag: tags::PATIENT_SEX,
        vr: VR::CS,
        expected: "M, F or O",
        check: is_sex,
        place: |order| &mut order.patient.sex,
    },
    Attribute {
        tag: tags::STUDY_ID,
        vr: VR::SH,
        expected: SHORT_TEXT,
        check: |text| is_text(text, SHORT),
        place: |order| &mut order.study_id,
    },
    Attribute {
        tag: tags::ACCESSION_NUMBER,
        vr: VR::SH,
        expected: SHORT_TEXT,
        check: |text| is_text(text, SHORT),
        place: |order| &mut order.accession_number,
    },
    Attribute {
        tag: tags::REFERRING_PHYSICIAN_NAME,
        vr: VR::PN,
        expected: NAME,
        check: is_name,
        place: |order| &mut order.referring_physician,
    },
    Attribute {
        tag: tags::STUDY_DESCRIPTION,
        vr: VR::LO,
        expected: LONG_TEXT,
        check: |text| is_text(text, LONG),
        place: |order| &mut order.study_description,
    },
    Attribute {
        tag: tags::ADMISSION_ID,
        vr: VR::LO,
        expected: LONG_TEXT,
        check: |text| is_text(text, LONG),
        place: |order| &mut order.admission_id,
    },
];

/// Why a data set is no [`Order`]. Names the attribute and what would be right, never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// An attribute that is not an operator's to give.
    #[error("{} cannot be given here; what can is {}", Named(*.0), allowed())]
    NotForAnOrder(Tag),
    /// An attribute in another VR than PS3.6 has for it.
    #[error("{} has the VR {vr}", Named(*.tag))]
    Representation {
        /// Which.
        tag: Tag,
        /// The right one.
        vr: VR,
    },
    /// A value that the attribute cannot have.
    #[error("{} takes {expected}, or no value", Named(*.tag))]
    Value {
        /// Which.
        tag: Tag,
        /// What it takes.
        expected: &'static str,
    },
    /// Nothing is said.
    #[error("no attribute has a value; to go back to who would be imaged without a word, delete the patient")]
    Empty,
}

/// An attribute as a person reads it: `PatientID (0010,0020)`.
struct Named(Tag);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match keyword(self.0) {
            Some(keyword) => write!(f, "{keyword} {}", self.0),
            None => write!(f, "the attribute {}", self.0),
        }
    }
}

fn keyword(tag: Tag) -> Option<&'static str> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.alias())
}

/// The keywords of what can be given.
fn allowed() -> String {
    let tags = ATTRIBUTES.iter().map(|attribute| attribute.tag).chain([tags::STUDY_INSTANCE_UID]);
    tags.filter_map(keyword).collect::<Vec<_>>().join(", ")
}

impl Order {
    /// Reads it from a data set of the attributes that an order has: Patient's Name, Patient ID and its
    /// issuer, Patient's Birth Date, Patient's Sex, Study Instance UID, Study ID, Accession Number, Referring
    /// Physician's Name, Study Description and Admission ID. Each may be left out or empty. Specific Character Set (0008,0005) is passed over: the
    /// data set is text already. Spaces around a value do not count.
    ///
    /// # Errors
    /// On anything else, a value that breaks the rules of its VR (PS3.5 §6.2), and where nothing is said.
    pub fn from_dataset(dataset: &InMemDicomObject) -> Result<Self, OrderError> {
        let mut order = Self::default();
        for element in dataset {
            let tag = element.header().tag;
            if tag == tags::SPECIFIC_CHARACTER_SET {
                continue;
            }
            if tag == tags::STUDY_INSTANCE_UID {
                let uid = read(element, VR::UI, "one UID", is_uid)?;
                order.study_instance_uid = Some(uid).filter(|uid| !uid.is_empty());
                continue;
            }
            let attribute = ATTRIBUTES.iter().find(|attribute| attribute.tag == tag);
            let attribute = attribute.ok_or(OrderError::NotForAnOrder(tag))?;
            let value = read(element, attribute.vr, attribute.expected, attribute.check)?;
            *(attribute.place)(&mut order) = value;
        }
        if order == Self::default() { Err(OrderError::Empty) } else { Ok(order) }
    }
}

/// The one value of an element, or the empty text where it has none.
fn read(element: &InMemElement, vr: VR, expected: &'static str, check: Check) -> Result<String, OrderError> {
    let tag = element.header().tag;
    if element.header().vr != vr {
        return Err(OrderError::Representation { tag, vr });
    }
    let wrong = OrderError::Value { tag, expected };
    let text = match element.value().primitive() {
        Some(PrimitiveValue::Empty) => return Ok(String::new()),
        Some(PrimitiveValue::Str(text)) => text.as_str(),
        Some(PrimitiveValue::Strs(texts)) => match texts.as_slice() {
            [] => return Ok(String::new()),
            [text] => text.as_str(),
            _ => return Err(wrong),
        },
        _ => return Err(wrong),
    };
    let text = text.trim_matches(' ');
    if text.is_empty() || check(text) { Ok(text.to_owned()) } else { Err(wrong) }
}

/// PS3.5 §9.1, to the letter: this one is made by somebody who can mend it.
fn is_uid(text: &str) -> bool {
    let is_component = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && !part.is_empty()
            && (part == "0" || !part.starts_with('0'))
    };
    text.len() <= MAX_UID && text.split('.').all(is_component)
}

#[cfg(test)]
mod tests {
    use dicom_core::DataElement;
    use dicom_core::value::DataSetSequence;
    use proptest::prelude::*;

    use super::*;

    fn of(elements: &[(Tag, VR, &str)]) -> Result<Order, OrderError> {
        let elements =
            elements.iter().map(|(tag, vr, value)| DataElement::new(*tag, *vr, PrimitiveValue::from(*value)));
        Order::from_dataset(&InMemDicomObject::from_element_iter(elements))
    }

    #[test]
    fn every_attribute_has_its_place() {
        let order = of(&[
            (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192"),
            (tags::PATIENT_NAME, VR::PN, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
            (tags::PATIENT_ID, VR::LO, " 4711 "),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "20000229"),
            (tags::PATIENT_SEX, VR::CS, "F "),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2.0.840"),
            (tags::STUDY_ID, VR::SH, "S1"),
            (tags::ACCESSION_NUMBER, VR::SH, "A1"),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "Who"),
            (tags::STUDY_DESCRIPTION, VR::LO, "Left heart"),
            (tags::ISSUER_OF_PATIENT_ID, VR::LO, "HOSP"),
            (tags::ADMISSION_ID, VR::LO, "V1"),
        ])
        .unwrap();
        assert_eq!(order.patient.name, "Yamada^Tarou=山田^太郎=やまだ^たろう");
        assert_eq!(order.patient.id, "4711");
        assert_eq!(order.patient.birth_date, "20000229");
        assert_eq!(order.patient.sex, "F");
        assert_eq!(order.study_instance_uid.as_deref(), Some("1.2.0.840"));
        assert_eq!((order.study_id.as_str(), order.accession_number.as_str()), ("S1", "A1"));
        assert_eq!((order.patient.issuer.as_str(), order.admission_id.as_str()), ("HOSP", "V1"));
        assert_eq!(order.referring_physician, "Who");
        assert_eq!(order.study_description, "Left heart");
    }

    #[test]
    fn what_is_not_for_an_order_is_refused_by_name() {
        for (tag, vr, name) in [
            (tags::MODALITY, VR::CS, "Modality (0008,0060)"),
            (tags::OTHER_PATIENT_NAMES, VR::PN, "OtherPatientNames (0010,1001)"),
            (Tag(0x0009, 0x1001), VR::LO, "the attribute (0009,1001)"),
        ] {
            let error = of(&[(tags::PATIENT_ID, VR::LO, "4711"), (tag, vr, "SECRET")]).unwrap_err();
            assert_eq!(error, OrderError::NotForAnOrder(tag));
            let text = error.to_string();
            assert!(text.starts_with(name) && text.contains("PatientName, PatientID"), "{text}");
            assert!(!text.contains("SECRET"));
        }
        let nested = DataElement::new(tags::PATIENT_NAME, VR::SQ, DataSetSequence::empty());
        let nested = InMemDicomObject::from_element_iter([nested]);
        let error = Order::from_dataset(&nested).unwrap_err();
        assert_eq!(error, OrderError::Representation { tag: tags::PATIENT_NAME, vr: VR::PN });
    }

    #[test]
    fn values_keep_the_rules_of_their_vr() {
        let uid = |length: usize| format!("1.{}", "2".repeat(length - 2));
        let cases = [
            (tags::PATIENT_ID, VR::LO, "é".repeat(64), "é".repeat(65)),
            (tags::PATIENT_ID, VR::LO, "4 711".to_owned(), "47\\11".to_owned()),
            (tags::PATIENT_ID, VR::LO, "4'711".to_owned(), "47\u{1b}11".to_owned()),
            (tags::ACCESSION_NUMBER, VR::SH, "a".repeat(16), "a".repeat(17)),
            (tags::STUDY_ID, VR::SH, "a".repeat(16), "a".repeat(17)),
            (tags::STUDY_DESCRIPTION, VR::LO, "a".repeat(64), "a".repeat(65)),
            (tags::PATIENT_NAME, VR::PN, "a".repeat(64), "a".repeat(65)),
            (tags::PATIENT_NAME, VR::PN, "a^b^c^d^e".to_owned(), "a^b^c^d^e^f".to_owned()),
            (tags::REFERRING_PHYSICIAN_NAME, VR::PN, "a=b=c".to_owned(), "a=b=c=d".to_owned()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "20240229".to_owned(), "20230229".to_owned()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19991231".to_owned(), "1999.1.1".to_owned()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19991231".to_owned(), "1999-1-1".to_owned()),
            (tags::PATIENT_BIRTH_DATE, VR::DA, "19991231".to_owned(), "19991231-".to_owned()),
            (tags::PATIENT_SEX, VR::CS, "O".to_owned(), "X".to_owned()),
            (tags::STUDY_INSTANCE_UID, VR::UI, uid(64), uid(65)),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.0".to_owned(), "1.02".to_owned()),
            (tags::STUDY_INSTANCE_UID, VR::UI, "1.2".to_owned(), "1..2".to_owned()),
        ];
        for (tag, vr, good, bad) in cases {
            assert!(of(&[(tag, vr, &good)]).is_ok(), "{tag} {good}");
            let error = of(&[(tag, vr, &bad)]).unwrap_err();
            assert!(matches!(error, OrderError::Value { tag: at, .. } if at == tag), "{tag} {bad}: {error}");
            assert!(!error.to_string().contains(&bad));
        }
    }

    #[test]
    fn one_value_each() {
        let two = PrimitiveValue::Strs(["a".to_owned(), "b".to_owned()].into_iter().collect());
        let two = DataElement::new(tags::PATIENT_ID, VR::LO, two);
        let error = Order::from_dataset(&InMemDicomObject::from_element_iter([two])).unwrap_err();
        assert!(matches!(error, OrderError::Value { tag: tags::PATIENT_ID, .. }));
    }

    #[test]
    fn an_order_says_something() {
        assert_eq!(of(&[]), Err(OrderError::Empty));
        let blank = [(tags::PATIENT_ID, VR::LO, " "), (tags::STUDY_INSTANCE_UID, VR::UI, "")];
        assert_eq!(of(&blank), Err(OrderError::Empty));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_it_is_or_refused_without_it(text in "[^ ].{0,70}[^ ]") {
            for attribute in &ATTRIBUTES {
                match of(&[(attribute.tag, attribute.vr, &text)]) {
                    Ok(mut order) => prop_assert_eq!((attribute.place)(&mut order).as_str(), text.as_str()),
                    Err(error) => prop_assert!(text.len() < 16 || !error.to_string().contains(&text)),
                }
            }
        }
    }
}
