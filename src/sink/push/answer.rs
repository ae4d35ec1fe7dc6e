//! What a destination answers: what its status means for us, and what its body says of single instances
//! (PS3.18 §10.5.3, Annex I). The body is asked for in DICOM JSON; one in another form, or none, leaves us
//! with the status.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

/// Bytes of a response that are read.
pub(super) const MOST: usize = 1 << 20;
/// The longest `Retry-After` that is honoured.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The request is done; failures of single instances are final (200, 202, 409 and what is like them).
    Done,
    /// Not now: 429, 503 and other faults of the peer. With the time that it asked for.
    Later(Option<Duration>),
    /// The peer does not know what we asked: 404, 405, 415, 501.
    Unknown,
    /// The peer does not take anything from us like this: 401, 403, redirects, and what else there is.
    Refused,
    /// The peer does not take what was in this request: 400, 413 and their like.
    Content,
}

/// Judges a response's head. `now` is what a date in `Retry-After` is held against.
pub(super) fn judge(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Verdict {
    match status.as_u16() {
        200..=299 | 409 => Verdict::Done,
        404 | 405 | 415 | 501 => Verdict::Unknown,
        400 | 406 | 411 | 413 | 422 => Verdict::Content,
        408 | 425 | 429 | 500..=599 => Verdict::Later(retry_after(headers, now)),
        _ => Verdict::Refused,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

/// How an operator can mend a refusal.
pub(super) fn remedy(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "redirects are not followed: put the address that it names into url",
        401 => "check token, or the certificate that we show, and whether the peer knows them",
        403 => "the peer knows us but allows us too little; ask its operator for the right to store",
        404 => "check the path of url",
        405 | 501 => {
            "check the path of url, and whether the peer knows this transaction; mode = \"store\" asks less"
        }
        413 => "the peer takes no instance this large; raise its limit, or lower batch",
        415 => "the peer takes no multipart/related of application/dicom there; check url and mode",
        _ => "the peer's own log should say why",
    }
}

/// What a response says of single instances.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Whether it lists instances at all, be the list empty.
    pub lists: bool,
    /// Items of Referenced SOP Sequence (0008,1199): taken.
    pub taken: usize,
    /// Those of them with a Warning Reason (0008,1196).
    pub warnings: usize,
    /// Failure Reason (0008,1197) of each item of Failed SOP Sequence (0008,1198) and Other Failures
    /// Sequence (0008,119A); 0x0110, processing failure, where an item has none.
    pub failed: Vec<u16>,
}

/// Reads a response's body, DICOM JSON from outside. `None` where it is none.
pub fn report(body: &[u8]) -> Option<Report> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let dataset = match &value {
        Value::Array(datasets) => datasets.first()?.as_object()?,
        value => value.as_object()?,
    };
    let items = |tag: &str| -> &[Value] {
        dataset.get(tag).and_then(|element| element.get("Value")?.as_array()).map_or(&[], Vec::as_slice)
    };
    let taken = items("00081199");
    let failures = items("00081198").iter().chain(items("0008119A"));
    Some(Report {
        lists: dataset.contains_key("00081199") || dataset.contains_key("00081198"),
        taken: taken.len(),
        warnings: taken.iter().filter(|item| number(item, "00081196").is_some()).count(),
        failed: failures.map(|item| number(item, "00081197").unwrap_or(0x0110)).collect(),
    })
}

/// A US value, which some write as text.
fn number(item: &Value, tag: &str) -> Option<u16> {
    let value = item.get(tag)?.get("Value")?.get(0)?;
    let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())?;
    u16::try_from(number).ok()
}

/// The word under which a Failure Reason is counted: few, whatever a peer sends (PS3.4 Table B.2-1,
/// PS3.18 Table I.2-2).
pub(super) fn reason_word(reason: u16) -> &'static str {
    match reason {
        0x0110 => "0110",
        0x0111 => "0111",
        0x0117 => "0117",
        0x0122 => "0122",
        0x0124 => "0124",
        0xA700..=0xA7FF => "A7xx",
        0xA900..=0xA9FF => "A9xx",
        0xC122 => "C122",
        0xC000..=0xCFFF => "Cxxx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(status: u16, retry: Option<&str>) -> Verdict {
        let mut headers = HeaderMap::new();
        if let Some(retry) = retry {
            headers.insert(header::RETRY_AFTER, retry.parse().unwrap());
        }
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").unwrap();
        judge(StatusCode::from_u16(status).unwrap(), &headers, now)
    }

    #[test]
    fn each_status_has_its_meaning() {
        for (statuses, meaning) in [
            (&[200, 202, 204, 409][..], Verdict::Done),
            (&[404, 405, 415, 501], Verdict::Unknown),
            (&[400, 413], Verdict::Content),
            (&[401, 403, 301, 307, 418], Verdict::Refused),
            (&[408, 429, 500, 502, 503, 504], Verdict::Later(None)),
        ] {
            for &status in statuses {
                assert_eq!(verdict(status, None), meaning, "{status}");
                assert!(!remedy(StatusCode::from_u16(status).unwrap()).is_empty());
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_an_hour_at_most() {
        let later = |seconds| Verdict::Later(Some(Duration::from_secs(seconds)));
        assert_eq!(verdict(503, Some("7")), later(7));
        assert_eq!(verdict(429, Some(" 90 ")), later(90));
        assert_eq!(verdict(503, Some("Sun, 22 Nov 2026 12:01:30 GMT")), later(90));
        assert_eq!(verdict(503, Some("Sun, 22 Nov 2026 11:00:00 GMT")), later(0));
        assert_eq!(verdict(503, Some("99999999")), later(3600));
        assert_eq!(verdict(503, Some("soon")), Verdict::Later(None));
    }

    #[test]
    fn a_response_is_read_by_its_sequences() {
        let body = br#"{
            "00081190": {"vr": "UR", "Value": ["http://pacs/studies/1"]},
            "00081199": {"vr": "SQ", "Value": [
                {"00081155": {"vr": "UI", "Value": ["1.2"]}},
                {"00081155": {"vr": "UI", "Value": ["1.3"]}, "00081196": {"vr": "US", "Value": [45056]}}]},
            "00081198": {"vr": "SQ", "Value": [
                {"00081155": {"vr": "UI", "Value": ["1.4"]}, "00081197": {"vr": "US", "Value": [42752]}},
                {"00081155": {"vr": "UI", "Value": ["1.5"]}, "00081197": {"vr": "US", "Value": ["290"]}},
                {}]},
            "0008119A": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [49442]}}]}}"#;
        let read = report(body).unwrap();
        let expected = Report { lists: true, taken: 2, warnings: 1, failed: vec![42752, 290, 272, 49442] };
        assert_eq!(read, expected);
        let words: Vec<_> = read.failed.into_iter().map(reason_word).collect();
        assert_eq!(words, ["A7xx", "0122", "0110", "C122"]);
        let in_array = [b"[", &body[..], b"]"].concat();
        assert_eq!(report(&in_array), Some(expected));
    }

    #[test]
    fn an_answer_that_lists_nothing_is_told_from_one_that_says_nothing() {
        // Orthanc's, to a request of which it understood no part.
        let empty = br#"{"00081198": {"vr": "SQ"}, "00081199": {"vr": "SQ"}}"#;
        assert_eq!(report(empty), Some(Report { lists: true, ..Report::default() }));
        assert_eq!(report(b"{}"), Some(Report::default()));
        for other in [&b""[..], b"<NativeDicomModel/>", b"[]", b"[7]", b"\"stored\"", b"{\"a\":"] {
            assert_eq!(report(other), None);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<u32>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9A-Fa-z ]{0,8}".prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("00081199".to_owned()),
            Just("00081198".to_owned()),
            Just("0008119A".to_owned()),
            Just("00081197".to_owned()),
            Just("Value".to_owned()),
            "[a-z]{0,3}",
        ];
        leaf.prop_recursive(6, 64, 5, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((key.clone(), inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_left(value in json()) {
            let body = serde_json::to_vec(&value).unwrap();
            if let Some(read) = report(&body) {
                prop_assert!(read.warnings <= read.taken);
                prop_assert!(read.lists || read.taken == 0);
                prop_assert!(read.taken + read.failed.len() <= body.len());
            }
        }

        #[test]
        fn any_bytes_are_read_or_left(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = report(&body);
        }
    }
}
