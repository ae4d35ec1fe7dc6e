//! The meaning of string values: addresses, networks, names, URLs, UIDs, origins. Each function is
//! the one place that reads its form; the table of keys uses it to check a value where it stands,
//! and the making of `Settings` to get the typed value. An error says what is wrong with the text;
//! what is accepted stands in the table.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::settings::{Provider, Rectangle, Right};

/// Longest name of a section, or of a subscriber (characters).
const NAME_CHARS: usize = 64;

/// Longest URL (bytes).
const URL_BYTES: usize = 2048;

type Parsed<T> = Result<T, String>;

/// `IP:PORT`. Port 0 lets the system choose.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "is not an IP address and port".to_owned())
}

/// `IP:PORT`, or nothing for a closed listener.
pub(super) fn listener(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// A network in CIDR form, or one address. Bits set behind the prefix are refused: they are
/// either a slip in the address or one in the prefix length.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| "is not a network".to_owned())?;
    let whole = network.trunc();
    if whole == network {
        Ok(network)
    } else {
        Err(format!("has bits set behind its prefix; the network is {whole}"))
    }
}

/// An AE title (PS3.5 §6.2, VR AE). Spaces at the ends are not significant there, so that a title
/// written with them is a slip.
pub(super) fn ae_title(text: &str) -> Parsed<()> {
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.len() > 16 {
        return Err(format!("is {} characters long", text.chars().count()));
    }
    if text.trim() != text {
        return Err("begins or ends with a space".to_owned());
    }
    if text.chars().all(|c| matches!(c, ' '..='~') && c != '\\') {
        Ok(())
    } else {
        Err("holds a character that an AE title may not".to_owned())
    }
}

/// A UID (PS3.5 §9.1).
pub(super) fn uid(text: &str) -> Parsed<()> {
    let component = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    if text.len() > 64 {
        Err(format!("is {} characters long", text.chars().count()))
    } else if text.contains('.') && text.split('.').all(component) {
        Ok(())
    } else {
        Err("is not a UID".to_owned())
    }
}

/// `*`, or the origin of a browser application (RFC 6454 §6.2) spelt as the browser sends it:
/// anything else would never match.
pub(super) fn origin(text: &str) -> Parsed<()> {
    if text == "*" {
        return Ok(());
    }
    let not_one = || "is not an origin".to_owned();
    let uri: http::Uri = text.parse().map_err(|_| not_one())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(not_one()) };
    if !matches!(scheme, "http" | "https") || authority.as_str().contains('@') {
        return Err(not_one());
    }
    if text != format!("{scheme}://{authority}") {
        return Err("has something behind its host".to_owned());
    }
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err("has capital letters, which a browser never sends".to_owned());
    }
    if matches!((scheme, authority.port_u16()), ("http", Some(80)) | ("https", Some(443))) {
        return Err("names the default port, which a browser leaves out".to_owned());
    }
    Ok(())
}

/// A filter in `tracing` directive syntax.
pub(super) fn log_filter(text: &str) -> Parsed<()> {
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
    parsed.map(drop).map_err(|error| format!("is not a log filter: {error}"))
}

/// The name of a named section: what TOML takes without quotes.
pub(super) fn name(text: &str) -> Parsed<()> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if (1..=NAME_CHARS).contains(&text.len()) && text.bytes().all(legal) {
        Ok(())
    } else {
        Err("is not a name".to_owned())
    }
}

/// A [`name`], or nothing.
pub(super) fn name_or_none(text: &str) -> Parsed<()> {
    if text.is_empty() { Ok(()) } else { name(text) }
}

/// A [`name`], or `*` for all that there are.
pub(super) fn name_or_all(text: &str) -> Parsed<()> {
    if text == "*" { Ok(()) } else { name(text) }
}

/// The name of a subscriber.
pub(super) fn subscriber(text: &str) -> Parsed<()> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if (1..=NAME_CHARS).contains(&text.len()) && text.bytes().all(legal) {
        Ok(())
    } else {
        Err("is not the name of a subscriber".to_owned())
    }
}

/// The word for a right.
pub(super) fn right(text: &str) -> Parsed<Right> {
    Right::ALL.into_iter().find(|right| right.word() == text).ok_or_else(|| "is not a right".to_owned())
}

/// A right that a one-time code may give.
pub(super) fn code_right(text: &str) -> Parsed<Right> {
    let right =
        right(text).ok().filter(|right| matches!(right, Right::Operate | Right::Phi | Right::Configure));
    right.ok_or_else(|| "is not a right that a code gives".to_owned())
}

/// The word for a provider of a context.
pub(super) fn provider(text: &str) -> Parsed<Provider> {
    Provider::ALL
        .into_iter()
        .find(|who| who.word() == text)
        .ok_or_else(|| "says nothing of patients".to_owned())
}

/// A name in a certificate, with the field that it stands in.
pub(super) fn certificate_name(text: &str) -> Parsed<()> {
    let fields = ["CN=", "DNS:", "URI:", "email:"];
    if fields.iter().any(|field| text.strip_prefix(field).is_some_and(|name| !name.is_empty())) {
        Ok(())
    } else {
        Err("does not begin with CN=, DNS:, URI: or email:, or names nobody".to_owned())
    }
}

/// Anything but nothing.
pub(super) fn not_empty(text: &str) -> Parsed<()> {
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(()) }
}

/// The base URL of a DICOMweb service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceUrl {
    /// Without a slash at its end.
    pub(super) url: String,
    /// Whether it is plain HTTP to another host.
    pub(super) exposed: bool,
}

/// A base URL: scheme, host and path. A query or fragment would get lost when paths are added to it,
/// and credentials have no place in what is logged.
pub(super) fn service_url(text: &str) -> Parsed<ServiceUrl> {
    let wrong = |what: &str| Err(what.to_owned());
    if text.len() > URL_BYTES {
        return Err(format!("is {} bytes long", text.len()));
    }
    if text.contains(['?', '#']) {
        return wrong("has a query or a fragment");
    }
    let Ok(uri) = text.parse::<http::Uri>() else { return wrong("is not a URL") };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return wrong("is not a URL with scheme and host");
    };
    if !matches!(scheme, "http" | "https") {
        return wrong("is neither an https:// nor an http:// URL");
    }
    if authority.as_str().contains('@') {
        return wrong("has credentials before its host");
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if authority.host().is_empty() || !(port.is_empty() || authority.port_u16().is_some_and(|port| port > 0))
    {
        return wrong("has no host, or a port that is none");
    }
    let exposed = scheme == "http" && !is_loopback(authority.host());
    Ok(ServiceUrl { url: text.trim_end_matches('/').to_owned(), exposed })
}

/// A [`service_url`], or nothing.
pub(super) fn service_url_or_none(text: &str) -> Parsed<Option<ServiceUrl>> {
    if text.is_empty() { Ok(None) } else { service_url(text).map(Some) }
}

/// Whether a URL's host is this one. `localhost` is by RFC 6761 §6.3.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse().map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |ip: IpAddr| ip.is_loopback())
}

/// `HOST:PORT` of a peer that we connect to; an IPv6 address stands in brackets.
pub(super) fn peer_address(text: &str) -> Parsed<()> {
    let wrong = || Err("is not a host and port".to_owned());
    let Some((host, port)) = text.rsplit_once(':') else { return wrong() };
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return wrong();
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return if inner.parse::<std::net::Ipv6Addr>().is_ok() { Ok(()) } else { wrong() };
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if host.len() <= 253 && host.split('.').all(label) { Ok(()) } else { wrong() }
}

/// An [`ae_title`], or nothing.
pub(super) fn ae_title_or_none(text: &str) -> Parsed<()> {
    if text.is_empty() { Ok(()) } else { ae_title(text) }
}

/// One of the six resources that can be searched (PS3.18 §10.6).
pub(super) fn search_resource(text: &str) -> Parsed<()> {
    let wrong = || Err("is not a search resource".to_owned());
    let Some(path) = text.strip_prefix('/') else { return wrong() };
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["studies" | "series" | "instances"] => Ok(()),
        ["studies", study, "series" | "instances"] => uid(study),
        ["studies", study, "series", series, "instances"] => uid(study).and_then(|()| uid(series)),
        _ => wrong(),
    }
}

/// Where a push begins: `oldest`, `latest` or an Instance Number (VR IS).
pub(super) fn from(text: &str) -> Parsed<()> {
    let number = || text.bytes().all(|b| b.is_ascii_digit() || b == b'-') && text.parse::<i32>().is_ok();
    if matches!(text, "oldest" | "latest") || number() {
        Ok(())
    } else {
        Err("is not a place to begin at".to_owned())
    }
}

/// A path, or nothing.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

/// Longest name that a driver gives a card, a bus or an input (bytes): 32 with the zero that ends it
/// (`struct v4l2_capability`, `struct v4l2_input`).
const DRIVER_BYTES: usize = 31;

/// Which capture device. A path is spelt in one way only, so that two sections with the same one are told.
pub(super) fn device(text: &str) -> Parsed<()> {
    let plain = |below: &str| below.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let known = match text.split_once(':') {
        _ if text.starts_with('/') => text.strip_prefix("/dev/").is_some_and(plain),
        Some(("usb", ids)) => ids.split_once(':').is_some_and(|(vendor, product)| {
            let is_id = |id: &str| id.len() == 4 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_id(vendor) && is_id(product)
        }),
        Some(("bus" | "card", name)) => !name.is_empty() && driver_name(name).is_ok(),
        Some(("replay", clip)) => {
            clip.ends_with(".toml") && clip.strip_prefix('/').is_some_and(plain) && !clip.contains('\0')
        }
        _ => text == "auto",
    };
    if known { Ok(()) } else { Err("names no capture device".to_owned()) }
}

/// A name as a driver gives it, or nothing.
pub(super) fn driver_name(text: &str) -> Parsed<()> {
    if text.len() <= DRIVER_BYTES {
        Ok(())
    } else {
        Err(format!("is longer than a driver's name can be, {DRIVER_BYTES} bytes"))
    }
}

/// Longest side of a picture (pixels).
const LONGEST_SIDE: u32 = 16_384;

/// `X,Y,WIDTH,HEIGHT` in pixels.
pub(super) fn rectangle(text: &str) -> Parsed<Rectangle> {
    let number = |part: &str| {
        let part = part.trim();
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
    };
    let numbers: Option<Vec<u32>> = text.split(',').map(number).collect();
    let Some(&[x, y, width, height]) = numbers.as_deref() else {
        return Err("is not four whole numbers with commas between".to_owned());
    };
    if width == 0 || height == 0 {
        return Err("has no area".to_owned());
    }
    let inside = |start: u32, length: u32| start.checked_add(length).is_some_and(|end| end <= LONGEST_SIDE);
    if !inside(x, width) || !inside(y, height) {
        return Err(format!("reaches beyond {LONGEST_SIDE} pixels"));
    }
    Ok(Rectangle { x, y, width, height })
}

/// A [`rectangle`], or nothing.
pub(super) fn rectangle_or_none(text: &str) -> Parsed<Option<Rectangle>> {
    if text.is_empty() { Ok(None) } else { rectangle(text).map(Some) }
}

/// `WIDTHxHEIGHT` in pixels, or nothing.
pub(super) fn size(text: &str) -> Parsed<Option<(u32, u32)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let side = |part: &str| part.parse().ok().filter(|side| (1..=LONGEST_SIDE).contains(side));
    let sides = text.split_once('x').and_then(|(width, height)| side(width).zip(side(height)));
    sides
        .map(Some)
        .ok_or_else(|| format!("is not two whole numbers from 1 to {LONGEST_SIDE} with an x between"))
}

/// `ROW,COLUMN` in millimetres, or nothing.
pub(super) fn pixel_spacing(text: &str) -> Parsed<Option<[f64; 2]>> {
    if text.is_empty() {
        return Ok(None);
    }
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    match numbers.as_deref() {
        Some([row, column]) if [row, column].into_iter().all(|mm| (0.001..=100.0).contains(mm)) => {
            Ok(Some([*row, *column]))
        }
        Some([_, _]) => Err("is out of range: 0.001 to 100 mm".to_owned()),
        _ => Err("is not two numbers with a comma between".to_owned()),
    }
}

/// CS (PS3.5 §6.2), or nothing.
pub(super) fn code_string(text: &str) -> Parsed<()> {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'_');
    if text.len() <= 16 && text.bytes().all(good) && text.trim() == text {
        Ok(())
    } else {
        Err("is not up to 16 capital letters, digits, spaces and _".to_owned())
    }
}

/// CS that is not empty.
pub(super) fn modality(text: &str) -> Parsed<()> {
    not_empty(text)?;
    code_string(text)
}

/// LO (PS3.5 §6.2), or nothing.
pub(super) fn long_string(text: &str) -> Parsed<()> {
    string(text, 64)
}

/// SH (PS3.5 §6.2), or nothing.
pub(super) fn short_string(text: &str) -> Parsed<()> {
    string(text, 16)
}

fn string(text: &str, most: usize) -> Parsed<()> {
    if text.chars().count() > most {
        return Err(format!("is longer than {most} characters"));
    }
    if text.contains('\\') { Err("has a backslash, which parts values".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn listeners_are_addresses_or_closed() {
        assert_eq!(listener("").unwrap(), None);
        assert_eq!(listener("[::1]:104").unwrap().unwrap().port(), 104);
        for wrong in ["localhost:104", "127.0.0.1", ":104", "127.0.0.1:70000", " "] {
            assert!(listener(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_have_no_bits_behind_the_prefix() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert!(network("10.1.2.3/8").unwrap_err().contains("10.0.0.0/8"));
        assert!(network("10.0.0.0/33").is_err());
        assert!(network("ward-3").is_err());
    }

    #[test]
    fn ae_titles_follow_their_vr() {
        for right in ["A", "CATHLAB 1", "SIXTEEN_LETTERS_"] {
            assert!(ae_title(right).is_ok(), "{right}");
        }
        for wrong in ["", " ", " A", "A ", "SEVENTEEN_LETTERS", "A\\B", "A\tB", "KÜCHE"] {
            assert!(ae_title(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn uids_follow_their_vr() {
        let long = format!("1.{}", "2".repeat(63));
        for right in ["1.2", "1.2.840.10008.5.1.4.1.1.2", "2.25.0"] {
            assert!(uid(right).is_ok(), "{right}");
        }
        for wrong in ["", "1", "1.", ".1", "1..2", "1.02", "1.a", "1.2 ", &long] {
            assert!(uid(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn origins_are_spelt_as_browsers_send_them() {
        for right in ["*", "https://viewer.example", "http://localhost:3000", "https://[::1]:8080"] {
            assert!(origin(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "viewer.example",
            "https://viewer.example/",
            "https://viewer.example/app",
            "https://Viewer.example",
            "https://viewer.example:443",
            "https://user@viewer.example",
            "file:///tmp",
            "null",
        ] {
            assert!(origin(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn log_filters_are_directives() {
        assert!(log_filter("info,framegate=debug").is_ok());
        assert!(log_filter("").is_err());
        assert!(log_filter("framegate=loud").is_err());
    }

    #[test]
    fn names_are_what_toml_takes_bare() {
        let longest = "a".repeat(64);
        for right in ["a", "PACS_1", "cath-lab", "0", longest.as_str()] {
            assert!(
                name(right).is_ok() && name_or_all(right).is_ok() && subscriber(right).is_ok(),
                "{right}"
            );
        }
        let long = "a".repeat(65);
        for wrong in ["", "a.b", "a b", "é", "*", long.as_str()] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        assert!(name_or_all("*").is_ok() && name_or_none("").is_ok());
        assert!(subscriber("CATH.1").is_ok() && subscriber("").is_err() && subscriber("a/b").is_err());
    }

    #[test]
    fn rights_are_words() {
        for known in Right::ALL {
            assert_eq!(right(known.word()), Ok(known));
        }
        assert!(right("Search").is_err() && right("").is_err());
        assert!(code_right("phi").is_ok() && code_right("console").is_err());
    }

    #[test]
    fn names_in_certificates_say_where_they_stand() {
        for right in ["CN=viewer 1", "DNS:viewer.example", "URI:urn:uuid:1", "email:a@b.example"] {
            assert!(certificate_name(right).is_ok(), "{right}");
        }
        for wrong in ["", "viewer", "CN=", "cn=viewer", "O=clinic"] {
            assert!(certificate_name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn service_urls_have_scheme_host_and_path() {
        let found = service_url("https://pacs.example:8443/dicom-web/").unwrap();
        assert_eq!(found, ServiceUrl { url: "https://pacs.example:8443/dicom-web".into(), exposed: false });
        for own in
            ["http://127.0.0.1:8080/a", "http://[::1]", "http://localhost/dicomweb", "http://LOCALHOST"]
        {
            assert!(!service_url(own).unwrap().exposed, "{own}");
        }
        for far in
            ["http://pacs.example", "http://10.0.0.1/a", "http://localhost.example", "http://[::2]:80/"]
        {
            assert!(service_url(far).unwrap().exposed, "{far}");
        }
        for wrong in [
            "",
            "pacs.example",
            "/studies",
            "ftp://pacs.example",
            "https://",
            "https:///a",
            "https://:443/a",
            "https://user:word@pacs.example",
            "https://user@pacs.example",
            "https://pacs.example/a?b",
            "https://pacs.example/a#b",
            "https://pacs.example:70000",
            "https://pacs.example:0",
            "https://pacs.example/a b",
        ] {
            assert!(service_url(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(service_url_or_none(""), Ok(None));
    }

    #[test]
    fn peers_have_a_host_and_a_port() {
        for right in ["ris.example:104", "10.1.2.3:11112", "[::1]:104", "ris_1:104"] {
            assert!(peer_address(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "ris",
            "ris:",
            "ris:0",
            "ris:70000",
            "ris:+1",
            ":104",
            "::1:104",
            "[ris]:104",
            "a..b:1",
            "a/b:1",
        ] {
            assert!(peer_address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn search_resources_are_six() {
        for right in [
            "/studies",
            "/series",
            "/instances",
            "/studies/1.2/series",
            "/studies/1.2/instances",
            "/studies/1.2/series/1.3/instances",
        ] {
            assert!(search_resource(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "/",
            "studies",
            "/studies/",
            "/studies/1.2",
            "/studies/x/series",
            "/studies/1.2/series/1.3",
            "/series/1.2/instances",
            "/studies?Modality=XA",
        ] {
            assert!(search_resource(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_push_begins_somewhere() {
        for right in ["oldest", "latest", "0", "17", "-3"] {
            assert!(from(right).is_ok(), "{right}");
        }
        for wrong in ["", "newest", "1.5", "+1", "99999999999"] {
            assert!(from(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "\\PC{0,40}") {
            let _ = (service_url(&text), peer_address(&text), search_resource(&text), from(&text));
            let _ = (service_url(&format!("http://{text}")), name(&text), certificate_name(&text));
            let _ = (device(&text), device(&format!("/dev/{text}")), device(&format!("usb:{text}")));
            let _ = (rectangle(&text), pixel_spacing(&text));
        }
    }

    #[test]
    fn capture_devices_are_named_by_what_stays() {
        for good in [
            "auto",
            "/dev/video0",
            "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:3:1.0-video-index0",
            "usb:0fd9:0066",
            "bus:usb-0000:00:14.0-3",
            "card:Cam Link 4K: Cam Link 4K",
            "replay:/var/lib/clips/a run.toml",
        ] {
            assert!(device(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "Auto",
            "video0",
            "/dev",
            "/dev/",
            "/dev/../etc/passwd",
            "/dev/./video0",
            "/dev//video0",
            "/etc/passwd",
            "usb:0fd9",
            "usb:fd9:0066",
            "usb:0fd9:00zz",
            "usb:0fd9:0066:1",
            "bus:",
            "card:",
            "pci:1",
            "replay:clip.toml",
            "replay:/clips/../clip.toml",
            "replay:/clips/clip.raw",
            "replay:",
            "card:a name of more than 31 characters",
        ] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rectangles_have_an_area_within_the_largest_picture() {
        assert_eq!(rectangle("1, 2,3 ,4"), Ok(Rectangle { x: 1, y: 2, width: 3, height: 4 }));
        assert_eq!(rectangle_or_none(""), Ok(None));
        assert!(rectangle("0,0,16384,16384").is_ok() && rectangle("16383,16383,1,1").is_ok());
        for wrong in ["", "1,2,3", "1,2,3,", "1,2,3,4,5", "-1,2,3,4", "+1,2,3,4", "1.5,2,3,4", "a,b,c,d"] {
            assert!(rectangle(wrong).unwrap_err().contains("four whole numbers"), "{wrong}");
        }
        for wrong in ["1,2,0,4", "1,2,3,0"] {
            assert_eq!(rectangle(wrong).unwrap_err(), "has no area");
        }
        for wrong in ["16384,0,1,1", "0,16000,1,385", "4294967295,0,1,1", "0,4294967295,1,4294967295"] {
            assert_eq!(rectangle(wrong).unwrap_err(), "reaches beyond 16384 pixels", "{wrong}");
        }
    }

    #[test]
    fn sizes_are_of_a_picture() {
        assert_eq!((size(""), size("1920x1080")), (Ok(None), Ok(Some((1920, 1080)))));
        for wrong in ["1920", "0x1080", "1920x", "1920x1080x3", "16385x1", "1920 x 1080", "-1x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_fit_their_value_representation() {
        assert_eq!(pixel_spacing("0.2,0.25"), Ok(Some([0.2, 0.25])));
        for wrong in ["0.2", "0,1", "nan,1", "1,inf", "0.2,0.2,0.2", "a,b"] {
            assert!(pixel_spacing(wrong).is_err(), "{wrong}");
        }
        assert!(modality("XA").is_ok() && modality("").is_err() && modality("xa").is_err());
        assert!(code_string("").is_ok() && code_string("HEART AND MORE THAN").is_err());
        assert!(long_string(&"ä".repeat(64)).is_ok() && long_string(&"ä".repeat(65)).is_err());
        assert!(short_string("a\\b").is_err());
    }
}
