//! Small readings of data element values that every part of the splitter shares: numbers, one component
//! of many, items of a sequence. What does not have the expected form reads as `None`; the caller knows
//! whether that is an error.

use dicom_core::header::Header as _;
use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_object::mem::InMemElement;

use crate::instance::Dataset;

/// Longest value of a Decimal String component, in characters (PS3.5 6.2).
const DS_LENGTH: usize = 16;

/// All numbers of `tag`, in order; `None` when it is absent, empty, a sequence, or holds anything that is
/// not a finite number.
pub(super) fn numbers(data: &Dataset, tag: Tag) -> Option<Vec<f64>> {
    numbers_of(data.get(tag)?)
}

/// As [`numbers`], of one element.
pub(super) fn numbers_of(element: &InMemElement) -> Option<Vec<f64>> {
    let list = match element.value().primitive()? {
        // A value that was put together by hand may hold several in one string.
        PrimitiveValue::Str(text) => text
            .split('\\')
            .map(|part| part.trim_matches([' ', '\0']).parse().ok())
            .collect::<Option<Vec<f64>>>()?,
        // By way of its shortest text, so that 765.1 does not become 765.0999755859375.
        PrimitiveValue::F32(list) => {
            list.iter().map(|number| number.to_string().parse().ok()).collect::<Option<Vec<f64>>>()?
        }
        value => value.to_multi_float64().ok()?,
    };
    (!list.is_empty() && list.iter().all(|n| n.is_finite())).then_some(list)
}

/// The one number of `tag`; `None` as in [`numbers`], or when there are several.
pub(super) fn number(data: &Dataset, tag: Tag) -> Option<f64> {
    match numbers(data, tag)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// The text of `tag` without padding; `None` when it is absent, a sequence, or empty.
pub(super) fn text(data: &Dataset, tag: Tag) -> Option<String> {
    let value = data.get(tag)?.value().primitive()?.to_str();
    let value = value.trim_matches([' ', '\0']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// Value `index` (0-based) of a multi-valued `tag`, without padding.
pub(super) fn text_at(data: &Dataset, tag: Tag, index: usize) -> Option<String> {
    text(data, tag)?.split('\\').nth(index).map(|value| value.trim().to_owned())
}

/// Takes the items out of the sequence `tag`; `None` when it is absent, `Some(Err(()))` when it is there
/// but is no sequence.
pub(super) fn take_items(data: &mut Dataset, tag: Tag) -> Option<Result<Vec<Dataset>, ()>> {
    let items = data.take(tag)?.into_value().into_items();
    Some(items.map(|items| items.into_vec()).ok_or(()))
}

/// A sequence element of undefined length: the lengths that came with the items no longer hold.
pub(super) fn sequence(tag: Tag, items: Vec<Dataset>) -> InMemElement {
    DataElement::new(tag, VR::SQ, DataSetSequence::from(items))
}

/// Appends `items` to the sequence `tag`, behind those that are there.
pub(super) fn append_items(data: &mut Dataset, tag: Tag, items: impl IntoIterator<Item = Dataset>) {
    let mut all = take_items(data, tag).and_then(Result::ok).unwrap_or_default();
    all.extend(items);
    data.put(sequence(tag, all));
}

/// How many values `element` holds.
pub(super) fn multiplicity(element: &InMemElement) -> usize {
    match element.value().primitive() {
        Some(PrimitiveValue::Str(text)) if text.trim_matches([' ', '\0']).is_empty() => 0,
        Some(PrimitiveValue::Str(text)) => text.split('\\').count(),
        Some(value) => value.multiplicity() as usize,
        None => 0,
    }
}

/// An element like `element` with value `index` (0-based) alone; `None` past the end, and for values
/// that are no list.
pub(super) fn component(element: &InMemElement, index: usize) -> Option<InMemElement> {
    use PrimitiveValue as P;
    let value = match element.value().primitive()? {
        P::Str(text) => P::from(text.split('\\').nth(index)?),
        P::Strs(list) => P::from(list.get(index)?.as_str()),
        P::U16(list) => P::from(*list.get(index)?),
        P::I16(list) => P::from(*list.get(index)?),
        P::U32(list) => P::from(*list.get(index)?),
        P::I32(list) => P::from(*list.get(index)?),
        P::F32(list) => P::from(*list.get(index)?),
        P::F64(list) => P::from(*list.get(index)?),
        P::Tags(list) => P::from(*list.get(index)?),
        _ => return None,
    };
    Some(DataElement::new(element.tag(), element.vr(), value))
}

/// `number` as a Decimal String component: at most 16 characters, as exact as those allow.
pub(super) fn decimal(number: f64) -> String {
    let shortest = number.to_string();
    if shortest.len() <= DS_LENGTH {
        return shortest;
    }
    if number.abs() >= 1e-3 {
        for digits in (0..DS_LENGTH).rev() {
            let fixed = format!("{number:.digits$}");
            if fixed.len() <= DS_LENGTH {
                let trimmed =
                    if digits > 0 { fixed.trim_end_matches('0').trim_end_matches('.') } else { &fixed };
                return trimmed.to_owned();
            }
        }
    }
    let short = format!("{number:e}");
    if short.len() <= DS_LENGTH { short } else { format!("{number:.8e}") }
}

/// `number` as an Integer String component, rounded; `None` outside what IS can hold (32 bit).
pub(super) fn integer(number: f64) -> Option<String> {
    let rounded = number.round();
    (rounded.abs() <= f64::from(i32::MAX)).then(|| format!("{}", rounded as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_core::dicom_value;
    use dicom_dictionary_std::tags;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_short_and_close() {
        assert_eq!(decimal(10.1 + 0.2), "10.3");
        assert_eq!(decimal(-30.0), "-30");
        assert_eq!(decimal(1.0e300), "1e300");
        assert_eq!(decimal(1.5e-20), "1.5e-20");
        assert_eq!(decimal(12_345_678_901_234_567_890.0), "1.23456789e19");
    }

    #[test]
    fn a_component_keeps_its_representation() {
        let vector = DataElement::new(tags::FRAME_TIME_VECTOR, VR::DS, dicom_value!(Strs, ["0", "66.7"]));
        assert_eq!(component(&vector, 1).unwrap().to_str().unwrap(), "66.7");
        assert!(component(&vector, 2).is_none());
        let joined = DataElement::new(tags::FRAME_TIME_VECTOR, VR::DS, "0\\66.7");
        assert_eq!(
            (multiplicity(&joined), component(&joined, 0).unwrap().to_str().unwrap().as_ref()),
            (2, "0")
        );
        let pointer = DataElement::new(tags::SLICE_VECTOR, VR::US, dicom_value!(U16, [4, 5]));
        assert_eq!(component(&pointer, 0).unwrap().value(), &dicom_value!(U16, [4]).into());
    }

    #[test]
    fn single_precision_keeps_its_decimal_digits() {
        let distance =
            DataElement::new(tags::DISTANCE_SOURCE_TO_ISOCENTER, VR::FL, dicom_value!(F32, [765.1]));
        assert_eq!(numbers_of(&distance).unwrap(), [765.1]);
    }

    proptest! {
        #[test]
        fn every_finite_number_fits_a_decimal_string(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let text = decimal(number);
            prop_assert!(text.len() <= DS_LENGTH, "{}", text);
            let back: f64 = text.parse().unwrap();
            prop_assert!((back - number).abs() <= number.abs() * 1e-7);
        }
    }
}
