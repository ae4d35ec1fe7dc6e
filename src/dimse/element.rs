//! Data elements as those who write DIMSE messages need them: a text, a number, a sequence, and the one
//! without a value that type 2 asks for (PS3.5 §7.4.3).

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};

use crate::instance::Dataset;

/// A text of any VR that is one.
pub fn text(tag: Tag, vr: VR, value: &str) -> DataElement<Dataset> {
    if value.is_empty() {
        return DataElement::empty(tag, vr);
    }
    DataElement::new(tag, vr, PrimitiveValue::from(value))
}

/// A US.
pub fn number(tag: Tag, value: u16) -> DataElement<Dataset> {
    DataElement::new(tag, VR::US, dicom_value!(U16, value))
}

/// A sequence of these items.
pub fn sequence(tag: Tag, items: Vec<Dataset>) -> DataElement<Dataset> {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}
