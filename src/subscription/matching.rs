//! The matching types of PS3.4 C.2.2.2, compiled from a parameter's value and run over datasets.
//!
//! | value | matches |
//! |---|---|
//! | nothing, or `*` | everything, the attribute need not be there (universal) |
//! | `""` | the attribute is absent or has no value (empty value) |
//! | `a-b`, `a-`, `-b` in DA, TM, DT | values in the range, ends included; see [`super::moment`] |
//! | `*` and `?` in AE CS LO LT PN SH ST UC UR UT | see [`super::wildcard`], and [`super::person_name`] for PN |
//! | `a,b` or `a\b` in UI | either UID |
//! | `a\b` in the others | either value; with `multiplevaluematching=true` all of them |
//! | anything else | that value: numbers by number, AT as tag or keyword, text by character |
//!
//! An element of several values matches if one of them does. Padding around a value counts on
//! neither side. An attribute the dictionary does not know (a private one) is compared as what its
//! element turns out to hold, text or number; private blocks are taken at face value, without regard
//! to the Private Creator. Keys inside one sequence must meet in one and the same item.

use std::fmt;

use dicom_core::value::Value;
use dicom_core::{PrimitiveValue, Tag, VR};
use dicom_dictionary_std::tags;
use dicom_object::mem::InMemElement;

use super::attribute::{AttributePath, parse_tag};
use super::moment::{Kind, Range, parse_offset};
use super::person_name::NameKey;
use super::wildcard::{Case, Pattern, Wildcards};
use crate::instance::Dataset;

/// One condition of a query: an attribute and what its value must be.
#[derive(Clone, PartialEq)]
pub struct MatchKey {
    path: AttributePath,
    rule: Rule,
}

/// How the values of a key are to be read, from the query's other parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MatchOptions {
    /// `fuzzymatching`: person names by the beginnings of their words.
    pub fuzzy: bool,
    /// `multiplevaluematching`: of several values in a key every one must be found.
    pub all_values: bool,
}

/// Why a value cannot be searched for. Says nothing of the value, which may identify a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMatchValue {
    /// DA, TM or DT: neither a moment nor a range that ends after it begins.
    #[error("neither a date or time nor a range of them")]
    Moment,
    /// IS, DS, US and the like: not a number.
    #[error("not a number")]
    Number,
    /// UI: not digits and dots, or longer than 64 characters.
    #[error("not a UID")]
    Uid,
    /// AT: not a tag.
    #[error("not a tag")]
    Tag,
    /// SQ and binary VRs can be asked for with an empty value only.
    #[error("an attribute of this VR has no value to match")]
    Vr,
    /// Nothing but separators.
    #[error("a list without a value")]
    List,
}

#[derive(Clone, PartialEq)]
enum Rule {
    Universal,
    Empty,
    AnyOf(Box<[Test]>),
    AllOf(Box<[Test]>),
}

#[derive(Clone, PartialEq)]
enum Test {
    Text(Pattern),
    Name(NameKey),
    Moment(Range),
    Number(Number),
    Tag(Tag),
    /// For an attribute of unknown VR.
    Untyped(Pattern, Option<Number>),
}

#[derive(Clone, Copy, PartialEq)]
struct Number {
    /// Exact where the text is an integer, since SV and UV hold more digits than a double.
    integer: Option<i128>,
    double: f64,
}

/// One value of a data element, as it is held.
#[derive(Clone, Copy)]
enum Single<'a> {
    Text(&'a str),
    Integer(i128),
    Float(f32),
    Double(f64),
    Tag(Tag),
}

impl MatchKey {
    /// Compiles one `attribute=value`, the value percent-decoded.
    ///
    /// # Errors
    /// When the attribute's VR does not allow the value.
    pub fn new(path: AttributePath, value: &str, options: MatchOptions) -> Result<Self, BadMatchValue> {
        let rule = match trim(value) {
            // Specific Character Set says how others are encoded, and is never matched (C.2.2.2).
            _ if path.tags() == [tags::SPECIFIC_CHARACTER_SET] => Rule::Universal,
            "" | "*" => Rule::Universal,
            "\"\"" => Rule::Empty,
            value => {
                let vr = path.vr();
                let list =
                    |c: char| c == '\\' && !vr.is_some_and(is_one_text) || c == ',' && vr == Some(VR::UI);
                let tests: Box<[Test]> = value
                    .split(list)
                    .map(trim)
                    .filter(|one| !one.is_empty())
                    .map(|one| Test::new(vr, one, options.fuzzy))
                    .collect::<Result<_, _>>()?;
                if tests.is_empty() {
                    return Err(BadMatchValue::List);
                }
                match options.all_values && vr != Some(VR::UI) {
                    true => Rule::AllOf(tests),
                    false => Rule::AnyOf(tests),
                }
            }
        };
        Ok(Self { path, rule })
    }

    /// The attribute the key is about.
    pub fn path(&self) -> &AttributePath {
        &self.path
    }

    /// Whether the key leaves everything through and only asks for the attribute in the answer.
    pub fn is_universal(&self) -> bool {
        matches!(self.rule, Rule::Universal)
    }

    /// Whether the dataset meets this key.
    pub fn matches(&self, dataset: &Dataset) -> bool {
        all_match(std::slice::from_ref(self), dataset)
    }

    fn meets(&self, element: Option<&InMemElement>, root: &Dataset) -> bool {
        let value = element.map(|element| element.value());
        match &self.rule {
            Rule::Universal => true,
            Rule::Empty => value.is_none_or(is_empty),
            Rule::AnyOf(tests) => any_value(element, |single| tests.iter().any(|t| t.meets(single, root))),
            Rule::AllOf(tests) => tests.iter().all(|t| any_value(element, |single| t.meets(single, root))),
        }
    }
}

impl fmt::Debug for MatchKey {
    /// Names the attribute and keeps the value, which may identify a patient, to itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchKey").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Whether the dataset meets all keys, which must be sorted by path: those of one sequence then
/// stand side by side and are tried together, item by item (C.2.2.2.6).
pub(super) fn all_match(keys: &[MatchKey], dataset: &Dataset) -> bool {
    all_match_in(keys, 0, Some(dataset), dataset)
}

fn all_match_in(keys: &[MatchKey], depth: usize, item: Option<&Dataset>, root: &Dataset) -> bool {
    let step = |key: &MatchKey| key.path.tags().get(depth).copied();
    keys.chunk_by(|a, b| step(a) == step(b)).all(|group| {
        let element = group.first().and_then(step).and_then(|tag| item?.get(tag));
        let here = group.iter().take_while(|key| key.path.tags().len() == depth + 1).count();
        let (here, inside) = group.split_at(here);
        if !here.iter().all(|key| key.meets(element, root)) {
            return false;
        }
        match element.and_then(|element| element.value().items()) {
            _ if inside.is_empty() => true,
            Some(items) if !items.is_empty() => {
                items.iter().any(|item| all_match_in(inside, depth + 1, Some(item), root))
            }
            // Without an item, what asks for nothing, or for no value, is still met.
            _ => all_match_in(inside, depth + 1, None, root),
        }
    })
}

impl Test {
    fn new(vr: Option<VR>, text: &str, fuzzy: bool) -> Result<Self, BadMatchValue> {
        let Some(vr) = vr else {
            return Ok(Self::Untyped(
                Pattern::new(text, Wildcards::Active, Case::Sensitive),
                Number::parse(text),
            ));
        };
        if let Some(kind) = Kind::of(vr) {
            return Range::parse(kind, text).map(Self::Moment).ok_or(BadMatchValue::Moment);
        }
        let wildcards = match vr {
            VR::PN => return Ok(Self::Name(NameKey::new(text, fuzzy))),
            VR::AT => return parse_tag(text).map(Self::Tag).ok_or(BadMatchValue::Tag),
            VR::IS | VR::DS | VR::SS | VR::US | VR::SL | VR::UL | VR::SV | VR::UV | VR::FL | VR::FD => {
                return Number::parse(text).map(Self::Number).ok_or(BadMatchValue::Number);
            }
            VR::UI if text.len() > 64 || !text.bytes().all(|b| b.is_ascii_digit() || b == b'.') => {
                return Err(BadMatchValue::Uid);
            }
            VR::UI | VR::AS => Wildcards::Literal,
            VR::AE | VR::CS | VR::LO | VR::LT | VR::SH | VR::ST | VR::UC | VR::UR | VR::UT => {
                Wildcards::Active
            }
            _ => return Err(BadMatchValue::Vr),
        };
        Ok(Self::Text(Pattern::new(text, wildcards, Case::Sensitive)))
    }

    fn meets(&self, value: Single<'_>, root: &Dataset) -> bool {
        match (self, value) {
            (Self::Text(pattern), Single::Text(text)) => pattern.matches(text),
            (Self::Name(key), Single::Text(text)) => key.matches(text),
            (Self::Moment(range), Single::Text(text)) => range.matches(text, || offset_from_utc(root)),
            (Self::Number(number), value) => number.equals(value),
            (Self::Tag(wanted), Single::Tag(tag)) => *wanted == tag,
            (Self::Untyped(pattern, _), Single::Text(text)) => pattern.matches(text),
            (Self::Untyped(_, Some(number)), value) => number.equals(value),
            _ => false,
        }
    }
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let double: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
        Some(Self { integer: text.parse().ok(), double })
    }

    fn equals(self, value: Single<'_>) -> bool {
        match (value, self.integer) {
            (Single::Integer(value), Some(wanted)) => value == wanted,
            (Single::Integer(value), None) => value as f64 == self.double,
            // Narrowed first: 0.1 was written into an FL as the float nearest to it.
            (Single::Float(value), _) => value == self.double as f32,
            (Single::Double(value), _) => value == self.double,
            (Single::Text(text), wanted) => {
                Self::parse(text).is_some_and(|value| match (value.integer, wanted) {
                    (Some(value), Some(wanted)) => value == wanted,
                    _ => value.double == self.double,
                })
            }
            (Single::Tag(_), _) => false,
        }
    }
}

/// Runs the test over the values of an element until one passes.
fn any_value(element: Option<&InMemElement>, mut passes: impl FnMut(Single<'_>) -> bool) -> bool {
    let Some(element) = element else { return false };
    let Value::Primitive(value) = element.value() else { return false };
    let mut text = |text: &str| passes(Single::Text(trim(text)));
    match value {
        PrimitiveValue::Str(one) if is_one_text(element.header().vr) => text(one),
        PrimitiveValue::Str(list) => list.split('\\').any(text),
        PrimitiveValue::Strs(list) => list.iter().any(|one| text(one)),
        PrimitiveValue::Date(list) => list.iter().any(|one| text(&one.to_encoded())),
        PrimitiveValue::Time(list) => list.iter().any(|one| text(&one.to_encoded())),
        PrimitiveValue::DateTime(list) => list.iter().any(|one| text(&one.to_encoded())),
        PrimitiveValue::Tags(list) => list.iter().any(|&one| passes(Single::Tag(one))),
        PrimitiveValue::U8(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::U16(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::I16(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::U32(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::I32(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::U64(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::I64(list) => list.iter().any(|&one| passes(Single::Integer(one.into()))),
        PrimitiveValue::F32(list) => list.iter().any(|&one| passes(Single::Float(one))),
        PrimitiveValue::F64(list) => list.iter().any(|&one| passes(Single::Double(one))),
        PrimitiveValue::Empty => false,
    }
}

fn is_empty<I, P>(value: &Value<I, P>) -> bool {
    match value {
        Value::Primitive(PrimitiveValue::Str(text)) => trim(text).is_empty(),
        Value::Primitive(PrimitiveValue::Strs(list)) => list.iter().all(|text| trim(text).is_empty()),
        Value::Primitive(value) => value.calculate_byte_len() == 0,
        Value::Sequence(sequence) => sequence.items().is_empty(),
        Value::PixelSequence(fragments) => fragments.fragments().is_empty(),
    }
}

/// Text in which a backslash is a character and not a separator (PS3.5 §6.2).
fn is_one_text(vr: VR) -> bool {
    matches!(vr, VR::LT | VR::ST | VR::UT | VR::UR)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\0'])
}

/// Timezone Offset From UTC (0008,0201) of the dataset, in microseconds; 0 where it gives none.
fn offset_from_utc(dataset: &Dataset) -> i64 {
    match dataset.get(tags::TIMEZONE_OFFSET_FROM_UTC).map(|element| element.value()) {
        Some(Value::Primitive(PrimitiveValue::Str(text))) => parse_offset(trim(text)),
        Some(Value::Primitive(PrimitiveValue::Strs(list))) => {
            list.first().and_then(|text| parse_offset(trim(text)))
        }
        _ => None,
    }
    .unwrap_or(0)
}

#[cfg(test)]
mod tests;
