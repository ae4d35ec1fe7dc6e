//! A dataset as Native DICOM Model XML (PS3.19 Annex A.1): the other form of metadata.
//!
//! Private elements are written without the number of their block, as `gggg00ee`, and with the
//! Private Creator they belong to. Characters that XML 1.0 cannot hold become U+FFFD.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::value::Value;
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use dicom_object::mem::InMemElement;
use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::Dataset;
use super::metadata::{
    Attribute, BulkData, Content, MetadataError, Path, UTF_8, attributes, hex, is_binary, is_one_text,
    little_endian,
};

const NAMESPACE: &str = "http://dicom.nema.org/PS3.19/models/NativeDICOM";

/// The component groups of a person name, in order.
const GROUPS: [&str; 3] = ["Alphabetic", "Ideographic", "Phonetic"];

/// The components of each group, in order.
const COMPONENTS: [&str; 5] = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"];

/// Writes the dataset as one XML document, in UTF-8.
///
/// # Errors
/// [`MetadataError`], for a dataset that was put together wrongly or is nested too deeply.
pub fn to_xml(dataset: &Dataset, bulk: &BulkData<'_>) -> Result<Vec<u8>, MetadataError> {
    let mut document = Document(Writer::new(Vec::new()));
    document.0.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let attributes = [("xml:space", "preserve"), ("xmlns", NAMESPACE)];
    document.element("NativeDicomModel", &attributes, |document| {
        document.dataset(dataset, &Path::default(), bulk)
    })?;
    Ok(document.0.into_inner())
}

struct Document(Writer<Vec<u8>>);

impl Document {
    fn dataset(&mut self, dataset: &Dataset, path: &Path, bulk: &BulkData<'_>) -> Result<(), MetadataError> {
        for Attribute { tag, vr, content } in attributes(dataset, path, bulk)? {
            let creator = private_creator(dataset, tag);
            let shown = match creator {
                Some(_) => Tag(tag.group(), tag.element() & 0x00FF),
                None => tag,
            };
            let (number, vr_name) = (hex(shown), vr.to_string());
            let mut attributes = vec![("tag", number.as_str()), ("vr", vr_name)];
            if let Some(keyword) = keyword(tag) {
                attributes.push(("keyword", keyword));
            }
            let creator = creator.map(legal);
            if let Some(creator) = &creator {
                attributes.push(("privateCreator", creator));
            }
            self.element("DicomAttribute", &attributes, |document| match content {
                Content::Empty => Ok(()),
                Content::CharacterSet => document.numbered("Value", 1, |document| document.text(UTF_8)),
                Content::Bulk(uri) => document.element("BulkData", &[("uri", &legal(&uri))], |_| Ok(())),
                Content::Items(items) => items.iter().enumerate().try_for_each(|(index, (item, path))| {
                    document.numbered("Item", index + 1, |document| document.dataset(item, path, bulk))
                }),
                Content::Inline(element) => document.values(tag, vr, element),
            })?;
        }
        Ok(())
    }

    fn values(&mut self, tag: Tag, vr: VR, element: &InMemElement) -> Result<(), MetadataError> {
        let Value::Primitive(value) = element.value() else { return Ok(()) };
        if vr == VR::SQ {
            return Err(MetadataError::Mismatch(tag));
        }
        if is_binary(vr) {
            let text = STANDARD.encode(little_endian(value));
            return self.element("InlineBinary", &[], |document| document.text(&text));
        }
        let values = texts(vr, value);
        if values.iter().all(|value| value.is_empty()) {
            return Ok(());
        }
        values.iter().enumerate().try_for_each(|(index, value)| match vr {
            VR::PN => self.numbered("PersonName", index + 1, |document| document.person_name(value)),
            _ => self.numbered("Value", index + 1, |document| document.text(value)),
        })
    }

    fn person_name(&mut self, name: &str) -> Result<(), MetadataError> {
        let groups = GROUPS.iter().zip(name.split('=')).filter(|(_, group)| !group.is_empty());
        groups.into_iter().try_for_each(|(group_name, group)| {
            self.element(group_name, &[], |document| {
                let mut components =
                    COMPONENTS.iter().zip(group.split('^')).filter(|(_, component)| !component.is_empty());
                components.try_for_each(|(name, component)| {
                    document.element(name, &[], |document| document.text(component))
                })
            })
        })
    }

    fn element(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        content: impl FnOnce(&mut Self) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Start(start))?;
        content(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))?;
        Ok(())
    }

    fn numbered(
        &mut self,
        name: &str,
        number: usize,
        content: impl FnOnce(&mut Self) -> Result<(), MetadataError>,
    ) -> Result<(), MetadataError> {
        self.element(name, &[("number", &number.to_string())], content)
    }

    fn text(&mut self, text: &str) -> Result<(), MetadataError> {
        // A bare carriage return would reach the reader as a line feed (XML 1.0 §2.11).
        let text = escape(legal(text)).replace('\r', "&#13;");
        self.0.write_event(Event::Text(BytesText::from_escaped(text)))?;
        Ok(())
    }
}

/// The values of an element that is neither binary nor a sequence, one by one, without padding.
fn texts(vr: VR, value: &PrimitiveValue) -> Vec<String> {
    let trim = |text: &str| match is_one_text(vr) {
        true => text.trim_end_matches([' ', '\0']).to_owned(),
        false => text.trim_matches([' ', '\0']).to_owned(),
    };
    match value {
        PrimitiveValue::Str(text) if is_one_text(vr) => vec![trim(text)],
        PrimitiveValue::Str(list) => list.split('\\').map(trim).collect(),
        PrimitiveValue::Strs(list) => list.iter().map(|text| trim(text)).collect(),
        PrimitiveValue::Tags(list) => list.iter().map(|tag| hex(*tag)).collect(),
        other => other.to_multi_str().into_owned(),
    }
}

/// The value of the Private Creator whose block a private data element is in (PS3.5 §7.8.1).
fn private_creator(dataset: &Dataset, tag: Tag) -> Option<&str> {
    if tag.group().is_multiple_of(2) || tag.element() < 0x1000 {
        return None;
    }
    match dataset.get(Tag(tag.group(), tag.element() >> 8))?.value() {
        Value::Primitive(PrimitiveValue::Str(text)) => Some(text.trim_matches([' ', '\0'])),
        Value::Primitive(PrimitiveValue::Strs(list)) => {
            list.first().map(|text| text.trim_matches([' ', '\0']))
        }
        _ => None,
    }
}

fn keyword(tag: Tag) -> Option<&'static str> {
    if !tag.group().is_multiple_of(2) {
        return None;
    }
    StandardDataDictionary.by_tag(tag).map(|entry| entry.alias())
}

/// The text with every character that an XML 1.0 document may not hold replaced.
fn legal(text: &str) -> Cow<'_, str> {
    let illegal =
        |c: char| matches!(c, '\0'..='\x08' | '\x0B' | '\x0C' | '\x0E'..='\x1F' | '\u{FFFE}' | '\u{FFFF}');
    match text.contains(illegal) {
        true => text.replace(illegal, "\u{FFFD}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::value::{C, DataSetSequence};
    use dicom_core::{DataElement, dicom_value};
    use dicom_dictionary_std::tags;
    use proptest::prelude::*;
    use quick_xml::Reader;

    fn written(dataset: &Dataset, bulk: &BulkData<'_>) -> String {
        let document = String::from_utf8(to_xml(dataset, bulk).unwrap()).unwrap();
        let start = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><NativeDicomModel xml:space=\"preserve\" \
                     xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\">";
        let inner = document.strip_prefix(start).unwrap().strip_suffix("</NativeDicomModel>").unwrap();
        inner.to_owned()
    }

    fn one(tag: Tag, vr: VR, value: impl Into<PrimitiveValue>) -> String {
        written(&Dataset::from_element_iter([DataElement::new(tag, vr, value.into())]), &BulkData::inline())
    }

    #[test]
    fn values_are_numbered_and_escaped() {
        assert_eq!(
            one(tags::IMAGE_TYPE, VR::CS, "MPG \\\\X<3"),
            "<DicomAttribute tag=\"00080008\" vr=\"CS\" keyword=\"ImageType\"><Value number=\"1\">MPG</Value>\
             <Value number=\"2\"></Value><Value number=\"3\">X&lt;3</Value></DicomAttribute>"
        );
        assert!(one(tags::PIXEL_SPACING, VR::DS, "0.250\\1").contains("<Value number=\"1\">0.250</Value>"));
        assert!(one(tags::ROWS, VR::US, 1024_u16).contains("<Value number=\"1\">1024</Value>"));
        let pointer = dicom_value!(Tags, [Tag(0x0018, 0x106A)]);
        assert!(one(tags::FRAME_INCREMENT_POINTER, VR::AT, pointer).contains(">0018106A</Value>"));
        assert!(
            one(tags::PATIENT_COMMENTS, VR::LT, "a\\b\r\nc\x1B").contains(">a\\b&#13;\nc\u{FFFD}</Value>")
        );
    }

    #[test]
    fn nothing_is_an_element_without_content() {
        let empty = "<DicomAttribute tag=\"00200010\" vr=\"SH\" keyword=\"StudyID\"></DicomAttribute>";
        assert_eq!(one(tags::STUDY_ID, VR::SH, PrimitiveValue::Empty), empty);
        assert_eq!(one(tags::STUDY_ID, VR::SH, "  "), empty);
        assert_eq!(one(Tag(0x0008, 0x0000), VR::UL, 4_u32), "");
    }

    #[test]
    fn person_names_by_group_and_component() {
        assert_eq!(
            one(tags::PATIENT_NAME, VR::PN, "Doe^Jane^^Dr.=山田"),
            "<DicomAttribute tag=\"00080005\" vr=\"CS\" keyword=\"SpecificCharacterSet\">\
             <Value number=\"1\">ISO_IR 192</Value></DicomAttribute>\
             <DicomAttribute tag=\"00100010\" vr=\"PN\" keyword=\"PatientName\"><PersonName number=\"1\">\
             <Alphabetic><FamilyName>Doe</FamilyName><GivenName>Jane</GivenName><NamePrefix>Dr.</NamePrefix></Alphabetic>\
             <Ideographic><FamilyName>山田</FamilyName></Ideographic></PersonName></DicomAttribute>"
        );
    }

    #[test]
    fn private_elements_carry_their_creator_instead_of_their_block() {
        let dataset = Dataset::from_element_iter([
            DataElement::new(Tag(0x0009, 0x0010), VR::LO, PrimitiveValue::from("A&B ")),
            DataElement::new(Tag(0x0009, 0x10FF), VR::UN, dicom_value!(U8, [0xCF, 0x4C])),
            DataElement::new(Tag(0x0009, 0x1101), VR::LO, PrimitiveValue::from("orphan")),
        ]);
        assert_eq!(
            written(&dataset, &BulkData::inline()),
            "<DicomAttribute tag=\"00090010\" vr=\"LO\"><Value number=\"1\">A&amp;B</Value></DicomAttribute>\
             <DicomAttribute tag=\"000900FF\" vr=\"UN\" privateCreator=\"A&amp;B\">\
             <InlineBinary>z0w=</InlineBinary></DicomAttribute>\
             <DicomAttribute tag=\"00091101\" vr=\"LO\"><Value number=\"1\">orphan</Value></DicomAttribute>"
        );
    }

    #[test]
    fn items_and_bulk_data() {
        let words: C<u16> = C::from_vec(vec![0x0102; 600]);
        let item = Dataset::from_element_iter([DataElement::new(
            tags::LUT_DATA,
            VR::OW,
            PrimitiveValue::U16(words),
        )]);
        let items = DataSetSequence::from(vec![Dataset::new_empty(), item]);
        let dataset =
            Dataset::from_element_iter([DataElement::new(tags::MODALITY_LUT_SEQUENCE, VR::SQ, items)]);
        let bulk = BulkData {
            uri: &|path| Some(format!("b?a&p={path}")),
            pixel_data: Some((VR::OB, "frames".to_owned())),
        };
        assert_eq!(
            written(&dataset, &bulk),
            "<DicomAttribute tag=\"00283000\" vr=\"SQ\" keyword=\"ModalityLUTSequence\"><Item number=\"1\"></Item>\
             <Item number=\"2\"><DicomAttribute tag=\"00283006\" vr=\"OW\" keyword=\"LUTData\">\
             <BulkData uri=\"b?a&amp;p=00283000/1/00283006\"></BulkData></DicomAttribute></Item></DicomAttribute>\
             <DicomAttribute tag=\"7FE00010\" vr=\"OB\" keyword=\"PixelData\">\
             <BulkData uri=\"frames\"></BulkData></DicomAttribute>"
        );
    }

    proptest! {
        #[test]
        fn any_text_makes_a_well_formed_document(text in any::<String>(), creator in any::<String>()) {
            let dataset = Dataset::from_element_iter([
                DataElement::new(Tag(0x0009, 0x0010), VR::LO, PrimitiveValue::from(creator.as_str())),
                DataElement::new(Tag(0x0009, 0x1001), VR::PN, PrimitiveValue::from(text.as_str())),
                DataElement::new(Tag(0x0009, 0x1002), VR::UT, PrimitiveValue::from(text.as_str())),
            ]);
            let document = String::from_utf8(to_xml(&dataset, &BulkData::inline()).unwrap()).unwrap();
            prop_assert!(!document.contains(|c: char| c < ' ' && !"\t\n".contains(c)));
            let mut reader = Reader::from_str(&document);
            loop {
                match reader.read_event() {
                    Ok(Event::Eof) => break,
                    Ok(Event::Start(start)) => {
                        for attribute in start.attributes() {
                            prop_assert!(attribute.unwrap().unescape_value().is_ok());
                        }
                    }
                    Ok(_) => {}
                    Err(error) => prop_assert!(false, "{error}"),
                }
            }
        }
    }
}
