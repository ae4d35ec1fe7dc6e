//! Reads data sets from DICOM JSON (PS3.18 Annex F).
//!
//! `dicom-json` reads it too, but forgets bulk data URIs, takes no `null` among numbers or names, and
//! builds a tree of whatever it is given first, which a peer could make a hundred times as large as
//! its text. Here attributes are read one by one, and elements and nesting are bounded. No error
//! holds a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use dicom_core::value::{C, DataSetSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::instance::Dataset;
use crate::instance::metadata::{UTF_8, has_non_ascii, is_binary, parse_hex};
use crate::instance::scan::has_long_header;

/// Most bytes of JSON text of one `Value` that is no sequence.
pub const MAX_VALUE: usize = 4 << 20;

/// The longest value of an element with a 16-bit length (bytes, PS3.5 §7.1.2).
const SHORT: usize = 0xFFFE;

/// Groups below are no data set's (PS3.5 §7.1).
const FIRST_GROUP: u16 = 0x0008;

/// Bounds on one data set.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Elements and items, nested ones counted.
    pub elements: usize,
    /// Depth of sequences in sequences.
    pub nesting: usize,
}

/// A value that stands elsewhere.
#[derive(Debug)]
pub struct BulkRef<'a> {
    /// Where.
    pub uri: &'a str,
    /// Of which element.
    pub tag: Tag,
    /// Its VR.
    pub vr: VR,
    /// Whether the element stands outside of sequences.
    pub is_top: bool,
}

/// Why a text is no data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the shape of Annex F.
    #[error("the metadata is no array of DICOM JSON data sets")]
    Shape,
    /// An attribute whose VR or value cannot be.
    #[error("the attribute {0} is malformed")]
    Attribute(Tag),
    /// More elements than allowed.
    #[error("the data set has more than {0} elements")]
    TooManyElements(usize),
    /// More data sets than allowed.
    #[error("the metadata has more than {0} data sets")]
    TooManyDataSets(usize),
    /// Sequences nest deeper than allowed.
    #[error("sequences nest deeper than {0}")]
    TooDeep(usize),
}

/// Parts the array into its data sets, none of which is looked into.
///
/// # Errors
/// When it is no array, or has more than `most` members.
pub fn data_sets(text: &Bytes, most: usize) -> Result<Vec<Bytes>, JsonError> {
    struct Members<'a> {
        text: &'a Bytes,
        most: usize,
        over: &'a mut bool,
    }
    impl<'de> Visitor<'de> for Members<'_> {
        type Value = Vec<Bytes>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("an array of data sets")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut members: A) -> Result<Vec<Bytes>, A::Error> {
            let mut found = Vec::new();
            while let Some(member) = members.next_element::<&RawValue>()? {
                if found.len() == self.most {
                    *self.over = true;
                    return Err(A::Error::custom(""));
                }
                found.push(self.text.slice_ref(member.get().as_bytes()));
            }
            Ok(found)
        }
    }
    let mut parser = serde_json::Deserializer::from_slice(text);
    let mut over = false;
    let found = parser.deserialize_seq(Members { text, most, over: &mut over });
    let found = found.map_err(|_| if over { JsonError::TooManyDataSets(most) } else { JsonError::Shape })?;
    parser.end().map_err(|_| JsonError::Shape)?;
    Ok(found)
}

/// Reads one data set. `bulk` is asked for the bytes (little endian) of each value that stands
/// elsewhere; an element that it has none for is left out. Text is in UTF-8 then, and Specific
/// Character Set says so where it matters. Group lengths and what belongs to no data set are dropped.
///
/// # Errors
/// When the text is no data set or breaks a bound.
pub fn data_set(
    text: &[u8],
    limits: ReadLimits,
    bulk: &mut dyn FnMut(BulkRef<'_>) -> Option<Bytes>,
) -> Result<Dataset, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError::Shape)?;
    let mut walk = Walk { limits, elements: 0, bulk, error: None };
    let mut dataset = walk.data_set(text, 0)?;
    if dataset.get(tags::SPECIFIC_CHARACTER_SET).is_none() && has_non_ascii(&dataset, 0) {
        dataset.put(character_set());
    }
    Ok(dataset)
}

fn character_set() -> dicom_object::mem::InMemElement {
    DataElement::new(tags::SPECIFIC_CHARACTER_SET, VR::CS, PrimitiveValue::from(UTF_8))
}

/// The walk over one data set and the items in it.
struct Walk<'w> {
    limits: ReadLimits,
    elements: usize,
    bulk: &'w mut dyn FnMut(BulkRef<'_>) -> Option<Bytes>,
    /// Why the walk stopped, where the parser could only say that it did.
    error: Option<JsonError>,
}

/// One attribute as it stands.
#[derive(Deserialize)]
struct Attribute<'a> {
    vr: &'a str,
    #[serde(rename = "Value", borrow)]
    value: Option<&'a RawValue>,
    #[serde(rename = "InlineBinary")]
    inline_binary: Option<String>,
    #[serde(rename = "BulkDataURI")]
    bulk_data_uri: Option<String>,
}

impl Walk<'_> {
    fn data_set(&mut self, text: &str, depth: usize) -> Result<Dataset, JsonError> {
        let mut parser = serde_json::Deserializer::from_str(text);
        let read = parser.deserialize_map(Attributes { walk: self, depth });
        let dataset = read.map_err(|_| self.error.take().unwrap_or(JsonError::Shape))?;
        parser.end().map_err(|_| JsonError::Shape)?;
        Ok(dataset)
    }

    fn count(&mut self) -> Result<(), JsonError> {
        self.elements += 1;
        let most = self.limits.elements;
        if self.elements > most { Err(JsonError::TooManyElements(most)) } else { Ok(()) }
    }

    fn attribute(
        &mut self,
        dataset: &mut Dataset,
        name: &str,
        text: &RawValue,
        depth: usize,
    ) -> Result<(), JsonError> {
        self.count()?;
        let tag = parse_hex(name).ok_or(JsonError::Shape)?;
        if tag.group() < FIRST_GROUP || tag.element() == 0 {
            return Ok(());
        }
        let bad = || JsonError::Attribute(tag);
        let attribute: Attribute<'_> = serde_json::from_str(text.get()).map_err(|_| bad())?;
        let vr: VR = attribute.vr.parse().map_err(|_| bad())?;
        let Attribute { value, inline_binary, bulk_data_uri, .. } = attribute;
        let value = match (value, inline_binary, bulk_data_uri) {
            (Some(items), None, None) if vr == VR::SQ => {
                let items = self.items(items.get(), tag, depth)?;
                dataset.put(DataElement::new(tag, vr, DataSetSequence::from(items)));
                return Ok(());
            }
            (None, None, None) if vr == VR::SQ => {
                dataset.put(DataElement::new(tag, vr, DataSetSequence::empty()));
                return Ok(());
            }
            (None, None, None) => PrimitiveValue::Empty,
            (Some(_), None, None) if tag == tags::SPECIFIC_CHARACTER_SET => PrimitiveValue::from(UTF_8),
            (Some(values), None, None) if values.get().len() <= MAX_VALUE => {
                values_of(vr, values.get()).ok_or_else(bad)?
            }
            (None, Some(text), None) if is_binary(vr) => {
                PrimitiveValue::from(STANDARD.decode(text).map_err(|_| bad())?)
            }
            (None, None, Some(uri)) if vr != VR::SQ => {
                match (self.bulk)(BulkRef { uri: &uri, tag, vr, is_top: depth == 0 }) {
                    Some(bytes) => PrimitiveValue::from(bytes.to_vec()),
                    None => return Ok(()),
                }
            }
            _ => return Err(bad()),
        };
        if !has_long_header(vr) && value.calculate_byte_len() > SHORT {
            return Err(bad());
        }
        dataset.put(DataElement::new(tag, vr, value));
        Ok(())
    }

    fn items(&mut self, text: &str, tag: Tag, depth: usize) -> Result<Vec<Dataset>, JsonError> {
        if depth >= self.limits.nesting {
            return Err(JsonError::TooDeep(self.limits.nesting));
        }
        let read = serde_json::Deserializer::from_str(text).deserialize_seq(Items { walk: self, depth });
        read.map_err(|_| self.error.take().unwrap_or(JsonError::Attribute(tag)))
    }
}

struct Attributes<'a, 'w> {
    walk: &'a mut Walk<'w>,
    depth: usize,
}

impl<'de> Visitor<'de> for Attributes<'_, '_> {
    type Value = Dataset;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a data set")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Dataset, A::Error> {
        let mut dataset = Dataset::new_empty();
        while let Some((name, text)) = map.next_entry::<String, &RawValue>()? {
            if let Err(error) = self.walk.attribute(&mut dataset, &name, text, self.depth) {
                self.walk.error = Some(error);
                return Err(A::Error::custom(""));
            }
        }
        Ok(dataset)
    }
}

struct Items<'a, 'w> {
    walk: &'a mut Walk<'w>,
    depth: usize,
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = Vec<Dataset>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Dataset>, A::Error> {
        let mut items = Vec::new();
        while let Some(text) = seq.next_element::<&RawValue>()? {
            let item = self.walk.count().and_then(|()| match text.get() {
                "null" => Ok(Dataset::new_empty()),
                text => self.walk.data_set(text, self.depth + 1),
            });
            match item {
                Ok(item) => items.push(item),
                Err(error) => {
                    self.walk.error = Some(error);
                    return Err(A::Error::custom(""));
                }
            }
        }
        Ok(items)
    }
}

/// A number, or a text that says one (F.2.2).
#[derive(Deserialize)]
#[serde(untagged)]
enum Numeric {
    Number(serde_json::Number),
    Text(String),
}

/// A person name by its groups, or, as some write it, as one text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Groups {
        #[serde(rename = "Alphabetic", default)]
        alphabetic: Option<String>,
        #[serde(rename = "Ideographic", default)]
        ideographic: Option<String>,
        #[serde(rename = "Phonetic", default)]
        phonetic: Option<String>,
    },
    Text(String),
}

/// The members of a `Value`; `None` where they do not fit the VR.
fn values_of(vr: VR, text: &str) -> Option<PrimitiveValue> {
    fn list<'a, T: Deserialize<'a>>(text: &'a str) -> Option<Vec<T>> {
        serde_json::from_str(text).ok()
    }
    fn numbers<T: TryFrom<i128> + std::str::FromStr>(text: &str) -> Option<C<T>> {
        let number = |value| match value {
            Numeric::Number(number) => {
                let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                whole.and_then(|whole| T::try_from(whole).ok())
            }
            Numeric::Text(text) => text.trim().parse().ok(),
        };
        list(text)?.into_iter().map(number).collect()
    }
    fn floats(text: &str) -> Option<C<f64>> {
        let number = |value| match value {
            Numeric::Number(number) => number.as_f64(),
            Numeric::Text(text) => text.trim().parse().ok(),
        };
        list(text)?.into_iter().map(number).collect()
    }
    let texts = |values: Vec<String>| PrimitiveValue::Strs(values.into());
    Some(match vr {
        VR::AE
        | VR::AS
        | VR::CS
        | VR::DA
        | VR::DT
        | VR::LO
        | VR::LT
        | VR::SH
        | VR::ST
        | VR::TM
        | VR::UC
        | VR::UI
        | VR::UR
        | VR::UT => texts(list::<Option<String>>(text)?.into_iter().map(Option::unwrap_or_default).collect()),
        VR::IS | VR::DS => {
            let written = |value| match value {
                Some(Numeric::Number(number)) => decimal(&number),
                Some(Numeric::Text(text)) => text,
                None => String::new(),
            };
            texts(list::<Option<Numeric>>(text)?.into_iter().map(written).collect())
        }
        VR::PN => texts(
            list::<Option<Name>>(text)?
                .into_iter()
                .map(|name| name.map_or_else(String::new, person))
                .collect(),
        ),
        VR::AT => {
            let tags: Option<C<Tag>> = list::<String>(text)?.iter().map(|tag| parse_hex(tag)).collect();
            PrimitiveValue::Tags(tags?)
        }
        VR::US => PrimitiveValue::U16(numbers(text)?),
        VR::SS => PrimitiveValue::I16(numbers(text)?),
        VR::UL => PrimitiveValue::U32(numbers(text)?),
        VR::SL => PrimitiveValue::I32(numbers(text)?),
        VR::UV => PrimitiveValue::U64(numbers(text)?),
        VR::SV => PrimitiveValue::I64(numbers(text)?),
        VR::FL => PrimitiveValue::F32(floats(text)?.into_iter().map(|number| number as f32).collect()),
        VR::FD => PrimitiveValue::F64(floats(text)?),
        VR::SQ | VR::UN | VR::OB | VR::OD | VR::OF | VR::OL | VR::OV | VR::OW => return None,
    })
}

/// A number as IS or DS write it, in at most 16 characters (PS3.5 §6.2).
fn decimal(number: &serde_json::Number) -> String {
    const MOST: usize = 16;
    let text = number.to_string();
    if text.len() <= MOST {
        return text;
    }
    let Some(number) = number.as_f64() else { return text };
    let shorter = (0..MOST).rev().map(|digits| format!("{number:.digits$e}"));
    shorter.into_iter().find(|text| text.len() <= MOST).unwrap_or(text)
}

fn person(name: Name) -> String {
    match name {
        Name::Text(text) => text,
        Name::Groups { alphabetic, ideographic, phonetic } => {
            let groups = [alphabetic, ideographic, phonetic].map(Option::unwrap_or_default);
            groups.join("=").trim_end_matches('=').to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
