//! The URLs of this server as the client of a request reaches it: by the name that the request has for us,
//! which may be that of a proxy or of a forwarded port.

use std::net::SocketAddr;

use http::header::HOST;
use http::{HeaderMap, Uri};

use super::routes::{BASE, Urls};

/// Longest host with its port that is taken from a request (bytes).
const MAX_HOST: usize = 256;

/// URLs below the host of the request's target or Host header field; below `address`, where we listen, if
/// it has none that can stand in a URL.
pub(super) fn urls(target: &Uri, headers: &HeaderMap, address: SocketAddr) -> Urls {
    let named = target.authority().map(|authority| authority.as_str());
    let named = named.or_else(|| headers.get(HOST)?.to_str().ok());
    let mut host = named.filter(|host| is_plain(host)).map_or_else(|| address.to_string(), str::to_owned);
    // Without a port the client means 443; where we are not there it has left ours out, as
    // dicomweb-client does.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    if !has_port && address.port() != 443 {
        host = format!("{host}:{}", address.port());
    }
    Urls::new(&format!("https://{host}{BASE}"))
}

fn is_plain(host: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    !host.is_empty() && host.len() <= MAX_HOST && host.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn base(target: &str, host: Option<&str>, address: &str) -> String {
        let host = host.map(|host| (HOST, HeaderValue::from_str(host).unwrap()));
        let headers = HeaderMap::from_iter(host);
        urls(&target.parse().unwrap(), &headers, address.parse().unwrap()).base().to_owned()
    }

    #[test]
    fn the_host_is_the_one_that_the_client_uses() {
        let ours = "127.0.0.1:8443";
        let of_host = |host| base("/dicomweb/studies", Some(host), ours);
        assert_eq!(of_host("box.example:9443"), "https://box.example:9443/dicomweb");
        assert_eq!(of_host("box.example"), "https://box.example:8443/dicomweb");
        assert_eq!(of_host("[::1]:9443"), "https://[::1]:9443/dicomweb");
        assert_eq!(of_host("[::1]"), "https://[::1]:8443/dicomweb");
        assert_eq!(base("/", Some("box.example"), "127.0.0.1:443"), "https://box.example/dicomweb");
        assert_eq!(base("https://h2.example:1/x", Some("box"), ours), "https://h2.example:1/dicomweb");
    }

    #[test]
    fn what_is_no_host_is_not_repeated() {
        let long = "x".repeat(MAX_HOST + 1);
        for host in [None, Some(""), Some("a b"), Some("a/b"), Some("a\"b"), Some("u@h"), Some(&*long)] {
            assert_eq!(base("/", host, "127.0.0.1:8443"), "https://127.0.0.1:8443/dicomweb", "{host:?}");
        }
    }
}
