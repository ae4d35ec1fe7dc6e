//! Representations of rendered images (PS3.18 §8.7.4), with one form more than the standard has:
//! `multipart/x-mixed-replace`, in which a browser shows a growing series as moving pictures.

use super::accept::Resource;
use super::range::MediaRange;
use super::select::{Offer, rank, select};
use super::{Accept, Extent, MediaError, TransferSyntaxWish};

/// The encoding of one rendered image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// `image/jpeg`, the default.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/gif`.
    Gif,
}

impl ImageFormat {
    /// All of them, the default first.
    pub const ALL: [Self; 3] = [Self::Jpeg, Self::Png, Self::Gif];

    /// `type/subtype`.
    pub const fn essence(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
        }
    }
}

/// How rendered images fill the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderedForm {
    /// One image alone. Of a study or series that is the latest one.
    Single,
    /// `multipart/related`, one image per part.
    MultipartRelated,
    /// `multipart/x-mixed-replace`: each part takes the place of the one before.
    MultipartReplace,
}

/// How a rendered resource is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderedMedia {
    /// The encoding of each image.
    pub format: ImageFormat,
    /// Single or multipart.
    pub form: RenderedForm,
}

const SERVED: &[&str] = &[
    "image/jpeg",
    "image/png",
    "image/gif",
    "multipart/related of these",
    "multipart/x-mixed-replace of these",
];

/// The acceptable representations of a rendered study or series ([`Extent::Many`]), or of a rendered
/// instance or frame ([`Extent::One`]), best first.
///
/// The default is `image/jpeg`: alone for one image, as `multipart/related` for many. A browser that is
/// pointed at many images gets them as `multipart/x-mixed-replace` (and JPEG, where it reads that),
/// since it can show nothing else.
///
/// # Errors
/// [`MediaError::NotAcceptable`], [`MediaError::Mixed`].
pub fn rendered(accept: &Accept, extent: Extent) -> Result<Vec<RenderedMedia>, MediaError> {
    use RenderedForm::{MultipartRelated, MultipartReplace, Single};
    accept.refuse_mixed(Resource::Rendered)?;
    let forms = match extent {
        Extent::One => [Single, MultipartRelated, MultipartReplace],
        Extent::Many => [MultipartRelated, MultipartReplace, Single],
    };
    let offers: Vec<_> =
        forms.iter().flat_map(|&form| ImageFormat::ALL.map(|format| offer(format, form))).collect();

    let mut ranked: Vec<RenderedMedia> =
        rank(&accept.query, &offers).into_iter().map(|choice| choice.media).collect();
    if extent == Extent::Many && is_browser(&accept.header) {
        // The weights of a browser are about stills; moving pictures come in our order of preference.
        let stills = rank(&accept.header, &ImageFormat::ALL.map(|format| offer(format, Single)));
        let shows = |format: &ImageFormat| stills.iter().any(|choice| choice.media.format == *format);
        let moving = ImageFormat::ALL.into_iter().filter(shows);
        ranked.extend(moving.map(|format| RenderedMedia { format, form: MultipartReplace }));
    }
    // also finds out that nothing is acceptable
    ranked.extend(select(accept, &offers, |_, _| true, SERVED)?.into_iter().map(|choice| choice.media));

    let mut unique = Vec::with_capacity(offers.len());
    for media in ranked {
        if !unique.contains(&media) {
            unique.push(media);
        }
    }
    Ok(unique)
}

/// A header that asks for pages or for images of any kind, and knows nothing of DICOMweb.
fn is_browser(header: &[MediaRange]) -> bool {
    let asks = |essence| header.iter().any(|r| r.essence == essence && r.weight.thousandths() > 0);
    (asks("text/html") || asks("image/*")) && !asks("multipart/related")
}

fn offer(format: ImageFormat, form: RenderedForm) -> Offer<RenderedMedia> {
    let (essence, part_type) = match form {
        RenderedForm::Single => (format.essence(), None),
        RenderedForm::MultipartRelated => ("multipart/related", Some(format.essence())),
        RenderedForm::MultipartReplace => ("multipart/x-mixed-replace", Some(format.essence())),
    };
    let unnamed: &[TransferSyntaxWish] = &[TransferSyntaxWish::Absent];
    Offer { media: RenderedMedia { format, form }, essence, part_type, unnamed }
}

#[cfg(test)]
mod tests {
    use super::super::accept::tests::accept;
    use super::ImageFormat::{Gif, Jpeg, Png};
    use super::RenderedForm::{MultipartRelated, MultipartReplace, Single};
    use super::*;

    const CHROME_PAGE: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7";
    const CHROME_IMG: &str = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
    const FIREFOX_IMG: &str = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";
    const SAFARI_IMG: &str = "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5";

    fn first(header: &str, extent: Extent) -> Result<(ImageFormat, RenderedForm), MediaError> {
        let found = rendered(&accept(&[header], &[]), extent)?;
        Ok(found.first().map(|media| (media.format, media.form)).expect("never empty"))
    }

    #[test]
    fn first_choices() {
        for (header, one, many) in [
            ("", (Jpeg, Single), (Jpeg, MultipartRelated)),
            ("*/*", (Jpeg, Single), (Jpeg, MultipartRelated)),
            ("application/json, text/plain, */*", (Jpeg, Single), (Jpeg, MultipartRelated)),
            ("image/jpeg", (Jpeg, Single), (Jpeg, Single)),
            ("image/gif;q=0.5, image/png", (Png, Single), (Png, Single)),
            (r#"multipart/related; type="image/gif""#, (Gif, MultipartRelated), (Gif, MultipartRelated)),
            ("multipart/related", (Jpeg, MultipartRelated), (Jpeg, MultipartRelated)),
            ("multipart/*", (Jpeg, MultipartRelated), (Jpeg, MultipartRelated)),
            ("multipart/x-mixed-replace", (Jpeg, MultipartReplace), (Jpeg, MultipartReplace)),
            ("multipart/x-mixed-replace;type=image/png", (Png, MultipartReplace), (Png, MultipartReplace)),
            (CHROME_PAGE, (Jpeg, Single), (Jpeg, MultipartReplace)),
            (CHROME_IMG, (Jpeg, Single), (Jpeg, MultipartReplace)),
            (FIREFOX_IMG, (Png, Single), (Jpeg, MultipartReplace)),
            (SAFARI_IMG, (Png, Single), (Jpeg, MultipartReplace)),
            ("text/html, image/png", (Png, Single), (Png, MultipartReplace)),
        ] {
            assert_eq!(first(header, Extent::One), Ok(one), "{header}");
            assert_eq!(first(header, Extent::Many), Ok(many), "{header}");
        }
    }

    #[test]
    fn an_agent_that_knows_multipart_related_is_no_browser() {
        let found = rendered(&accept(&["image/*;q=0.5, multipart/related"], &[]), Extent::Many).unwrap();
        assert_eq!(found.first(), Some(&RenderedMedia { format: Jpeg, form: MultipartRelated }));
        assert!(!found.iter().any(|media| media.form == MultipartReplace));
    }

    #[test]
    fn a_browser_can_ask_for_more_in_the_query_parameter() {
        let found = rendered(&accept(&[CHROME_IMG], &["image/png"]), Extent::Many).unwrap();
        assert_eq!(found[0], RenderedMedia { format: Png, form: Single });
        assert_eq!(found[1], RenderedMedia { format: Jpeg, form: MultipartReplace });
        let unique: std::collections::HashSet<_> = found.iter().map(|media| format!("{media:?}")).collect();
        assert_eq!(unique.len(), found.len());
    }

    #[test]
    fn what_is_not_rendered_is_refused() {
        for header in ["text/html", "image/webp", "video/mp4", "application/dicom", "image/png;q=0"] {
            for extent in [Extent::One, Extent::Many] {
                assert_eq!(first(header, extent), Err(MediaError::NotAcceptable(SERVED)), "{header}");
            }
        }
        for header in
            ["image/jpeg, application/dicom", "multipart/related;type=image/jpeg, application/octet-stream"]
        {
            assert_eq!(first(header, Extent::One), Err(MediaError::Mixed), "{header}");
        }
    }
}
