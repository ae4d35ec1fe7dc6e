//! The meaning of string values: addresses, networks, AE titles, UIDs, origins. Each function is
//! the one place that reads its form; the table of keys uses it to check a value where it stands,
//! and the making of `Settings` to get the typed value. An error says what is wrong with the text;
//! what is accepted stands in the table.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

type Parsed<T> = Result<T, String>;

/// `IP:PORT`. Port 0 lets the system choose.
pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "is not an IP address and port".to_owned())
}

/// `IP:PORT`, or nothing for a closed listener.
pub(super) fn listener(text: &str) -> Parsed<Option<SocketAddr>> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

/// A [`listener`] that only this host can reach.
pub(super) fn loopback_listener(text: &str) -> Parsed<Option<SocketAddr>> {
    match listener(text)? {
        Some(address) if !address.ip().is_loopback() => Err("is not a loopback address".to_owned()),
        other => Ok(other),
    }
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

/// A path, or nothing.
pub(super) fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_addresses_or_closed() {
        assert_eq!(listener("").unwrap(), None);
        assert_eq!(listener("[::1]:104").unwrap().unwrap().port(), 104);
        for wrong in ["localhost:104", "127.0.0.1", ":104", "127.0.0.1:70000", " "] {
            assert!(listener(wrong).is_err(), "{wrong}");
        }
        assert!(loopback_listener("127.0.0.1:9100").is_ok());
        assert!(loopback_listener("0.0.0.0:9100").is_err());
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
}
