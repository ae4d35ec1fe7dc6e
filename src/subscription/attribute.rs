//! How a query parameter names an attribute.
//!
//! PS3.18 §8.3.4.1: a keyword of PS3.6 or eight hexadecimal digits, and for an attribute inside
//! sequence items the names of the sequences before it, separated by dots, as in
//! `RequestAttributesSequence.RequestedProcedureID`.

use std::fmt;

use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::StandardDataDictionary;
use smallvec::SmallVec;

/// The most steps a path may have: the attribute itself and the sequences around it.
pub const MAX_DEPTH: usize = 8;

/// An attribute, and the sequences it stands in, from the outermost inwards. Never empty.
///
/// Ordered by tag, step by step, so that a sorted list holds the keys of one sequence side by side.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttributePath(SmallVec<[Tag; 2]>);

/// Why a parameter name is not the name of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttributePathError {
    /// A step is neither a known keyword nor eight hexadecimal digits.
    #[error("not a keyword of PS3.6 and not eight hexadecimal digits")]
    Unknown,
    /// More than [`MAX_DEPTH`] steps.
    #[error("more than {MAX_DEPTH} steps deep")]
    TooDeep,
    /// A step before the last is known, and is not a sequence.
    #[error("a step before the last is not a sequence")]
    NotASequence,
}

impl AttributePath {
    /// Parses a name as it stands in a query, already percent-decoded.
    ///
    /// # Errors
    /// [`AttributePathError::Unknown`] when it is the name of something else, the others when it is
    /// an attribute's name but no usable one.
    pub fn parse(name: &str) -> Result<Self, AttributePathError> {
        let mut tags = SmallVec::new();
        for step in name.split('.') {
            let tag = parse_tag(step).ok_or(AttributePathError::Unknown)?;
            if tags.len() == MAX_DEPTH {
                return Err(AttributePathError::TooDeep);
            }
            tags.push(tag);
        }
        let parents = tags.len().saturating_sub(1);
        if tags.iter().take(parents).any(|&tag| vr_of(tag).is_some_and(|vr| vr != VR::SQ)) {
            return Err(AttributePathError::NotASequence);
        }
        Ok(Self(tags))
    }

    /// The tags from the outermost sequence to the attribute itself.
    pub fn tags(&self) -> &[Tag] {
        &self.0
    }

    /// The VR that the dictionary gives the attribute itself; `None` for one it does not know (a
    /// private one). Where PS3.6 leaves a choice, US for "US or SS" and OW for the others.
    pub fn vr(&self) -> Option<VR> {
        self.0.last().and_then(|&tag| vr_of(tag))
    }
}

impl fmt::Display for AttributePath {
    /// The shortest name: keywords where there are some, hexadecimal digits elsewhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (step, tag) in self.0.iter().enumerate() {
            if step > 0 {
                f.write_str(".")?;
            }
            match StandardDataDictionary.by_tag(*tag).filter(|_| tag.group().is_multiple_of(2)) {
                Some(entry) => f.write_str(entry.alias())?,
                None => write!(f, "{:04X}{:04X}", tag.group(), tag.element())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for AttributePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One step of a path, also the way a value of VR AT is written: a keyword or `GGGGEEEE`.
pub(super) fn parse_tag(text: &str) -> Option<Tag> {
    if text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        let number = u32::from_str_radix(text, 16).ok()?;
        return Some(Tag((number >> 16) as u16, (number & 0xFFFF) as u16));
    }
    StandardDataDictionary.by_name(text).map(|entry| entry.tag())
}

fn vr_of(tag: Tag) -> Option<VR> {
    // The dictionary answers for private tags too, with what a creator element would have.
    if !tag.group().is_multiple_of(2) {
        return None;
    }
    let vr = StandardDataDictionary.by_tag(tag)?.vr();
    Some(match vr {
        VirtualVr::Exact(vr) => vr,
        other => other.relaxed(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyword_and_digits_name_the_same_attribute() {
        let keyword = AttributePath::parse("PatientID").unwrap();
        assert_eq!(keyword, AttributePath::parse("00100020").unwrap());
        assert_eq!(keyword.to_string(), "PatientID");
        assert_eq!(keyword.vr(), Some(VR::LO));
    }

    #[test]
    fn a_path_keeps_its_order_and_mixes_spellings() {
        let path = AttributePath::parse("RequestAttributesSequence.00401001").unwrap();
        assert_eq!(path.tags(), [Tag(0x0040, 0x0275), Tag(0x0040, 0x1001)]);
        assert_eq!(path.to_string(), "RequestAttributesSequence.RequestedProcedureID");
    }

    #[test]
    fn private_attributes_have_no_known_vr() {
        let path = AttributePath::parse("0009100a").unwrap();
        assert_eq!(path.vr(), None);
        assert_eq!(path.to_string(), "0009100A");
    }

    #[test]
    fn what_is_no_attribute_is_told_from_what_is_a_bad_one() {
        use AttributePathError::*;
        let deep = ["00400275"; MAX_DEPTH + 1].join(".");
        let deepest = ["00400275"; MAX_DEPTH].join(".");
        assert!(AttributePath::parse(&deepest).is_ok());
        for (name, error) in [
            ("", Unknown),
            ("patientid", Unknown),
            ("0010002", Unknown),
            ("0010002G", Unknown),
            ("PatientID.", Unknown),
            (".PatientID", Unknown),
            ("PatientID.PatientName", NotASequence),
            (deep.as_str(), TooDeep),
        ] {
            assert_eq!(AttributePath::parse(name).unwrap_err(), error, "{name}");
        }
    }
}
