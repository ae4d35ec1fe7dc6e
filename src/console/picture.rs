//! The live picture of a series. In a session that may not see who is imaged it is too small to be read, unless its
//! source says that no identity is burned into it: a monitor shows the patient's name in its corner.

use dicom_dictionary_std::tags;

use crate::hub::LiveSeries;

/// Pictures a second.
pub(super) const RATE: f64 = 5.0;
/// Longest side of a picture (pixels).
const SIDE: u32 = 960;
/// Longest side of one in which nothing may be read.
const MASKED_SIDE: u32 = 48;

/// The longest side of the pictures of a series; none is enlarged.
pub(super) fn side(series: &LiveSeries, sees_people: bool) -> u32 {
    let most = if sees_people || shows_nobody(series) { SIDE } else { MASKED_SIDE };
    let of = |tag| series.context().element_opt(tag).ok().flatten()?.to_int::<u32>().ok();
    let own = of(tags::ROWS).max(of(tags::COLUMNS)).filter(|&own| own > 0);
    own.map_or(most, |own| most.min(own))
}

/// Whether the source says that nobody can be told by the picture: Burned In Annotation (0028,0301) is `NO`.
fn shows_nobody(series: &LiveSeries) -> bool {
    let element = series.context().element_opt(tags::BURNED_IN_ANNOTATION).ok().flatten();
    element.and_then(|element| element.to_str().ok()).is_some_and(|said| said.trim() == "NO")
}

#[cfg(test)]
mod tests {
    use dicom_core::{DataElement, VR};

    use super::*;
    use crate::config::settings::HubSettings;
    use crate::hub::Hub;
    use crate::instance::Dataset;

    fn side_of(said: Option<&str>, sees_people: bool) -> u32 {
        let mut dataset = Dataset::new_empty();
        if let Some(said) = said {
            dataset.put(DataElement::new(tags::BURNED_IN_ANNOTATION, VR::CS, said));
        }
        let publisher =
            Hub::new(HubSettings::default()).open(&"1".into(), &"2".into(), || Ok::<_, ()>(dataset)).unwrap();
        side(publisher.series(), sees_people)
    }

    #[test]
    fn what_might_show_a_name_is_too_small_to_be_read_in_a_locked_session() {
        assert_eq!(side_of(None, false), MASKED_SIDE);
        assert_eq!(side_of(Some("NO"), true), SIDE);
        assert_eq!(side_of(Some("YES"), false), MASKED_SIDE);
        assert_eq!(side_of(Some("NO "), false), SIDE);
        assert_eq!(side_of(Some("YES"), true), SIDE);
    }
}
