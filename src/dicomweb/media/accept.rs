//! What a request accepts: its `Accept` header fields and its `accept` query parameter.

use http::HeaderMap;
use http::header::ACCEPT;

use super::MediaError;
use super::range::{MediaRange, parse_list};

/// Longest text that a request may spend on acceptable media types, in bytes, header and query together.
pub const MAX_ACCEPT_BYTES: usize = 4096;
/// Most media ranges that a request may list, header and query together.
pub const MAX_MEDIA_RANGES: usize = 64;

/// The acceptable media types of one request.
///
/// PS3.18 §8.7.8.1 prioritises the query parameter and the header separately: the header counts only
/// where nothing in the query parameter can be served. A request that has neither is taken as `*/*`,
/// the meaning in RFC 9110 §12.5.1; many user agents send none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    pub(super) query: Vec<MediaRange>,
    pub(super) header: Vec<MediaRange>,
}

impl Accept {
    /// Reads all `Accept` header fields of a request and the values of its `accept` query parameter.
    ///
    /// The query values come percent-decoded by RFC 3986, where `+` stands for itself: decoding them as
    /// form data would turn `application/dicom+json` into something else.
    ///
    /// # Errors
    /// [`MediaError::Malformed`] for anything but a list of media ranges within [`MAX_ACCEPT_BYTES`] and
    /// [`MAX_MEDIA_RANGES`], and for a wildcard in the query parameter (PS3.18 §8.3.3.1 has none there).
    pub fn parse<'q>(
        headers: &HeaderMap,
        query: impl IntoIterator<Item = &'q str>,
    ) -> Result<Self, MediaError> {
        let mut bytes_left = MAX_ACCEPT_BYTES;
        let mut spend = |bytes: usize| match bytes_left.checked_sub(bytes) {
            Some(left) => {
                bytes_left = left;
                Ok(())
            }
            None => Err(MediaError::Malformed("too long")),
        };
        let mut accept = Self { query: Vec::new(), header: Vec::new() };
        for value in query {
            spend(value.len())?;
            parse_list(value, &mut accept.query, MAX_MEDIA_RANGES)?;
        }
        if accept.query.iter().any(MediaRange::is_wildcard) {
            return Err(MediaError::Malformed("the accept query parameter has a wildcard"));
        }
        for value in headers.get_all(ACCEPT) {
            spend(value.len())?;
            let text = value.to_str().map_err(|_| MediaError::Malformed("not visible ASCII"))?;
            parse_list(text, &mut accept.header, MAX_MEDIA_RANGES - accept.query.len())?;
        }
        if accept.query.is_empty() && accept.header.is_empty() {
            accept.header.push(MediaRange::any());
        }
        Ok(accept)
    }

    /// Refuses a list that holds DICOM and rendered media types (PS3.18 §8.7.5).
    ///
    /// Each list is judged alone, because the query parameter is there for agents that cannot change
    /// their header. Rendered types that this server has nothing to do with, such as `text/plain` in
    /// the default header of many script libraries, are not held against a request.
    pub(super) fn refuse_mixed(&self, resource: Resource) -> Result<(), MediaError> {
        for list in [&self.query, &self.header] {
            let has = |family| {
                let mut wanted = list.iter().filter(|range| range.weight.thousandths() > 0);
                wanted.any(|range| family_of(range, resource) == Some(family))
            };
            if has(Family::Dicom) && has(Family::Rendered) {
                return Err(MediaError::Mixed);
            }
        }
        Ok(())
    }
}

/// The resource categories between which the meaning of `image/jpeg` differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource {
    /// Instances, metadata, search results.
    Dataset,
    /// Frames and bulkdata, where `image/jpeg` is a DICOM media type.
    BulkData,
    /// Rendered images, where `image/jpeg` is a rendered media type.
    Rendered,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Dicom,
    Rendered,
}

/// The family that a range speaks of, or `None` where it may be of either or of none.
fn family_of(range: &MediaRange, resource: Resource) -> Option<Family> {
    let multipart = range.part_type.is_some();
    match range.part_type.as_deref().unwrap_or(&range.essence) {
        "application/dicom"
        | "application/dicom+json"
        | "application/dicom+xml"
        | "application/octet-stream" => Some(Family::Dicom),
        "image/png" | "image/gif" | "multipart/x-mixed-replace" => Some(Family::Rendered),
        "image/jpeg" => match resource {
            Resource::Rendered => Some(Family::Rendered),
            Resource::Dataset if !multipart => Some(Family::Rendered),
            Resource::Dataset | Resource::BulkData => None,
        },
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::super::*;
    use super::*;

    /// What a request with these `Accept` header lines and `accept` query parameters accepts.
    pub(in super::super) fn accept(lines: &[&str], query: &[&str]) -> Accept {
        Accept::parse(&headers(lines), query.iter().copied()).unwrap()
    }

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (ACCEPT, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn text_and_ranges_are_bounded_over_all_lines_and_the_query() {
        let line = format!("a/b;c={}", "x".repeat(2000));
        assert!(Accept::parse(&headers(&[&line, &line]), None).is_ok());
        assert!(Accept::parse(&headers(&[&line, &line]), [line.as_str()]).is_err());
        let many = ["a/b"; 32].join(",");
        assert!(Accept::parse(&headers(&[&many]), [many.as_str()]).is_ok());
        assert!(Accept::parse(&headers(&[&many, "a/b"]), [many.as_str()]).is_err());
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let lines = Accept::parse(&headers(&["a/b, c/d", "e/f"]), None);
        assert_eq!(lines, Accept::parse(&headers(&["a/b, c/d, e/f"]), None));
    }

    #[test]
    fn nothing_said_is_everything_accepted() {
        let any = Accept::parse(&headers(&["*/*"]), None);
        assert_eq!(Accept::parse(&HeaderMap::new(), None), any);
        assert_eq!(Accept::parse(&headers(&[""]), None), any);
    }

    #[test]
    fn a_wildcard_belongs_in_the_header_only() {
        for wildcard in ["*/*", "image/*", "image/png, *"] {
            assert!(Accept::parse(&HeaderMap::new(), [wildcard]).is_err(), "{wildcard}");
        }
    }

    #[test]
    fn what_is_not_ascii_is_malformed() {
        let value = HeaderValue::from_bytes(b"image/\xe4").unwrap();
        let parsed = Accept::parse(&HeaderMap::from_iter([(ACCEPT, value)]), None);
        assert_eq!(parsed.unwrap_err().status(), 400);
    }

    fn negotiate_everything(accept: &Accept) {
        for extent in [Extent::One, Extent::Many] {
            let weights: Vec<_> =
                instances(accept, extent).into_iter().flatten().map(|choice| choice.weight).collect();
            assert!(accept.query.len() + accept.header.len() <= MAX_MEDIA_RANGES);
            if accept.query.is_empty() {
                assert!(weights.is_sorted_by(|a, b| a >= b));
            }
            let _ = bulk_data(accept, extent);
            let _ = rendered(accept, extent);
        }
        let _ = datasets(accept);
        let _ = capabilities(accept);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(query in any::<String>(), line in any::<Vec<u8>>()) {
            let headers = HeaderMap::from_iter(HeaderValue::from_bytes(&line).ok().map(|value| (ACCEPT, value)));
            if let Ok(accept) = Accept::parse(&headers, [query.as_str()]) {
                negotiate_everything(&accept);
            }
        }

        #[test]
        fn text_that_looks_like_a_list_never_panics(
            line in r#"((multipart|image|application|\*)/(related|x-mixed-replace|dicom|jpeg|octet-stream|\*)(; ?(type|q|transfer-syntax)=("?(application/dicom|image/png|0\.[0-9]{1,3}|\*|1\.2\.840\.10008\.1\.2\.1)"?)){0,3},? ?){0,5}"#
        ) {
            let headers = HeaderMap::from_iter(HeaderValue::from_str(&line).ok().map(|value| (ACCEPT, value)));
            if let Ok(accept) = Accept::parse(&headers, None) {
                negotiate_everything(&accept);
            }
        }
    }
}
