//! Whether a request that changes something was made by a page of ours (RFC 6454, and the cookies of RFC 6265bis).
//! A browser says in Origin whose page makes it; what does not say so, or names another, is refused, be the
//! cookie what it may.

use http::header::{COOKIE, HOST, ORIGIN};
use http::{HeaderMap, request};

/// The cookie. Its prefix has browsers take it over TLS from this host alone, for all paths.
const COOKIE_NAME: &str = "__Host-framegate";

/// Whether a request says that it is made by a page of the origin that it goes to.
pub(super) fn is_ours(head: &request::Parts) -> bool {
    let mut origins = head.headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return false };
    let authority = match head.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => head.headers.get(HOST).and_then(|host| host.to_str().ok()),
    };
    let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("https://"));
    matches!((origin, authority), (Some(origin), Some(host)) if !host.is_empty() && origin.eq_ignore_ascii_case(host))
}

/// What the cookie of a session says.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

/// The field that sets it, or with nothing to say takes it away. It ends with the browser's session.
pub(super) fn set_cookie(value: Option<&str>) -> String {
    let rest = if value.is_some() { "" } else { "; Max-Age=0" };
    let value = value.unwrap_or_default();
    format!("{COOKIE_NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{rest}")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn head(uri: &str, fields: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_a_page_of_the_same_host_and_port_is_ours() {
        let host = ("host", "box:9443");
        for (origin, ours) in [
            ("https://box:9443", true),
            ("https://BOX:9443", true),
            ("http://box:9443", false),
            ("https://box", false),
            ("https://evil:9443", false),
            ("https://box:9443.evil", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(is_ours(&head("/api/login", &[host, ("origin", origin)])), ours, "{origin}");
        }
        let origin = ("origin", "https://box:9443");
        assert!(!is_ours(&head("/", &[host])), "who does not say is none");
        assert!(!is_ours(&head("/", &[host, origin, origin])), "nor is who says two things");
        assert!(is_ours(&head("https://box:9443/", &[origin])), "HTTP/2 has it in the URL");
        assert!(!is_ours(&head("/", &[("host", ""), ("origin", "https://")])));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let cookie = |field: &str| {
            let fields = head("/", &[("cookie", field)]).headers;
            super::cookie(&fields).map(str::to_owned)
        };
        assert_eq!(cookie("a=b; __Host-framegate=x; c=d").as_deref(), Some("x"));
        assert_eq!(cookie("framegate=x"), None);
        assert!(set_cookie(None).contains("Max-Age=0"));
    }
}
