//! A message as syslog has it: RFC 5424, framed for TLS by RFC 5425 §4.3 (octet counting), with the values that PS3.15
//! §A.6 asks for.

use std::time::SystemTime;

use super::message::Source;
use super::xml::time;

/// Facility 10 (security and authorisation), severity 5 (notice), or 4 (warning) where something failed.
const NOTICE: u8 = 10 * 8 + 5;
const WARNING: u8 = 10 * 8 + 4;
/// MSGID of audit messages of DICOM.
const KIND: &str = "DICOM+RFC3881";
/// What begins a text in UTF-8 (RFC 5424 §6.4).
const BOM: &str = "\u{FEFF}";

/// The octets that go out for the document `xml`.
pub(super) fn frame(xml: &[u8], at: SystemTime, is_failure: bool, source: &Source) -> Vec<u8> {
    let priority = if is_failure { WARNING } else { NOTICE };
    let host: String = source.host.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let header = format!("<{priority}>1 {} {host} framegate {} {KIND} - {BOM}", time(at), source.process);
    let mut frame = format!("{} {header}", header.len() + xml.len()).into_bytes();
    frame.extend_from_slice(xml);
    frame
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn octets_are_counted_from_the_priority_to_the_end_of_the_document() {
        let source = Source {
            host: "box 1é".into(),
            ae_title: "X".into(),
            process: "7".into(),
            program: "framegate 1".into(),
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
        let frame = frame("<é/>".as_bytes(), at, false, &source);
        let frame = String::from_utf8(frame).unwrap();
        let (length, rest) = frame.split_once(' ').unwrap();
        assert_eq!(rest, "<85>1 2025-11-24T16:00:00.123Z box1 framegate 7 DICOM+RFC3881 - \u{FEFF}<é/>");
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
        let warned = super::frame(b"<x/>", at, true, &source);
        assert!(String::from_utf8(warned).unwrap().contains(" <84>1 "));
    }
}
