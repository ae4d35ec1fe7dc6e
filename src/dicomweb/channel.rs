//! Open Notification Connection (PS3.18 §8.10): who may listen, and the upgrade to a WebSocket
//! (RFC 6455 §4.2). What is said on it is the business of [`crate::sink::notify`].
//!
//! A connection is opened by the channel's secret, which stands in the URL that a registration answers
//! with, or by the principal who owns the subscriptions. Browsers let any page open a WebSocket to any
//! host and send along what the user agent has (a client certificate, a network address), so a request
//! that names a foreign origin is refused, unless it shows the secret, which no foreign page knows.
//!
//! Only HTTP/1.1 can be upgraded. Extended CONNECT (RFC 8441) is not offered, and user agents then open
//! an HTTP/1.1 connection of their own accord.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::parameters::Parameters;
use super::problem::Problem;
use super::routes::Urls;
use super::{Answer, Origin, empty, events};
use crate::config::settings::Right;
use crate::net::http::PeerInfo;
use crate::sink::notify::{After, Refused, Whom};
use crate::subscription::registry::{SubscribeError, Subscriber};

/// Numbers to go on after in one request; more subscriptions can resume one by one.
const MOST_AFTER: usize = 64;

/// Whether a request asks for a WebSocket.
pub(super) fn is_asked_for<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET && lists(request.headers(), UPGRADE, "websocket")
}

/// Upgrades a request to a notification connection: of a subscriber, or of all that the principal has.
/// Credentials are looked at here, since the channel's secret goes without.
pub(super) fn open(
    origin: &Origin,
    request: Request<Incoming>,
    peer: &PeerInfo,
    subscriber: Option<&Subscriber>,
) -> Answer {
    let accept = handshake(&request)?;
    let parameters = Parameters::parse(request.uri().query().unwrap_or_default())?;
    let after = after(&parameters)?;
    let whom = who(origin, request.headers(), peer, subscriber, &parameters)?;
    let connection = origin.notifier.connect(whom, after).map_err(|refused| match refused {
        Refused::Nobody => Problem::no_subscription(),
        Refused::Full(most) => Problem::too_many_channels(most),
        Refused::Ambiguous => {
            Problem::bad_parameter("after", "a subscription ID, a colon and a Sequence Number")
        }
    })?;
    tokio::spawn(async move {
        match hyper::upgrade::on(request).await {
            Ok(upgraded) => connection.serve(TokioIo::new(upgraded)).await,
            Err(error) => events::GoneBeforeUpgrade { error: &error }.tell(),
        }
    });
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Checks the opening handshake (RFC 6455 §4.2.1) and answers its key.
fn handshake<B: http_body::Body>(request: &Request<B>) -> Result<HeaderValue, Problem> {
    let headers = request.headers();
    let version = headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
    if request.version() != Version::HTTP_11 || !is_asked_for(request) || version != Some(b"13") {
        return Err(Problem::upgrade_required());
    }
    if !lists(headers, CONNECTION, "upgrade") {
        return Err(Problem::bad_handshake("The header field Connection must list Upgrade."));
    }
    if !request.body().is_end_stream() {
        return Err(Problem::bad_handshake("The request may not have a body."));
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().filter(|_| keys.next().is_none()).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return Err(Problem::bad_handshake("The header field Sec-WebSocket-Key must be 16 bytes in base64."));
    }
    HeaderValue::try_from(derive_accept_key(key)).map_err(|_| Problem::internal())
}

/// Whether a header field that is a list of words has this one.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
}

/// `after={number}` or `after={subscription}:{number}`, which may be repeated.
fn after(parameters: &Parameters) -> Result<Vec<After>, Problem> {
    let bad = || Problem::bad_parameter("after", "a Sequence Number, or a subscription ID, a colon and one");
    let read = |value: &str| {
        let (id, number) = value.split_once(':').map_or((None, value), |(id, number)| (Some(id), number));
        let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        let number = number.parse().ok().filter(|_| digits).ok_or_else(bad)?;
        Ok(After { subscription: id.map(str::to_owned), number })
    };
    let after: Vec<After> = parameters.values("after").map(read).collect::<Result<_, Problem>>()?;
    let plain = after.iter().filter(|after| after.subscription.is_none()).count();
    if after.len() > MOST_AFTER || (plain > 0 && after.len() > 1) { Err(bad()) } else { Ok(after) }
}

/// For whom the connection is, if the client may listen there.
fn who(
    origin: &Origin,
    headers: &HeaderMap,
    peer: &PeerInfo,
    subscriber: Option<&Subscriber>,
    parameters: &Parameters,
) -> Result<Whom, Problem> {
    let known = subscriber.and_then(|name| origin.registry.of(name, None).into_iter().next());
    let shown = parameters.values("channel").next();
    if let (Some(known), Some(shown)) = (&known, shown)
        && is_same(known.channel().as_bytes(), shown.as_bytes())
    {
        return Ok(Whom::Channel(known.channel().clone()));
    }
    let caller = origin.access.caller(&origin.hub, &origin.counters, peer, headers)?;
    caller.may(Right::Subscribe)?;
    let allowed = &origin.settings.load().cors_origins;
    if !is_origin_allowed(headers, allowed, caller.name().is_none()) {
        return Err(Problem::foreign_origin());
    }
    match (subscriber, known) {
        (None, _) => Ok(Whom::Principal(caller.name())),
        (Some(_), None) => Err(Problem::no_subscription()),
        (Some(_), Some(known)) if known.request().owner != caller.name() => Err(SubscribeError::Taken.into()),
        (Some(_), Some(known)) => Ok(Whom::Channel(known.channel().clone())),
    }
}

/// Compares secrets in a time that hangs on their lengths only.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Whether the page that a browser sends the request for may have it: none is named, it is our own, or
/// it is one of those that are configured. `*` is for requests without credentials, as in CORS.
fn is_origin_allowed(headers: &HeaderMap, allowed: &[String], anonymous: bool) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let own = headers.get(HOST).is_some_and(|host| {
        let scheme_and_host = [b"https://", host.as_bytes()].concat();
        scheme_and_host.eq_ignore_ascii_case(origin.as_bytes())
    });
    own || allowed.iter().any(|one| one.as_bytes() == origin.as_bytes() || (one == "*" && anonymous))
}

/// The Retrieve URL of an event: of a study, a series or an instance, or of its rendered images.
pub fn retrieve_url(
    base: &str,
    study: &str,
    series: Option<&str>,
    instance: Option<&str>,
    rendered: bool,
) -> String {
    let urls = Urls::new(base);
    let mut url = match (series, instance) {
        (Some(series), Some(instance)) => urls.instance(study, series, instance),
        (Some(series), None) => urls.series(study, series),
        (None, _) => urls.study(study),
    };
    if rendered {
        url.push_str("/rendered");
    }
    url
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};
    use hyper::body::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::dicomweb::routes;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const HANDSHAKE: &[(&str, &str)] = &[
        ("host", "box:8443"),
        ("upgrade", "h2c, WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ];

    fn request(headers: &[(&str, &str)]) -> Request<Empty<Bytes>> {
        let mut builder = Request::builder();
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(Empty::new()).unwrap()
    }

    /// The handshake with one header field changed, or taken out by an empty value.
    fn with(name: &str, value: &str) -> Request<Empty<Bytes>> {
        let mut request = request(HANDSHAKE);
        let name = HeaderName::try_from(name).unwrap();
        request.headers_mut().remove(&name);
        if !value.is_empty() {
            request.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
        }
        request
    }

    #[test]
    fn a_handshake_is_answered_with_its_key() {
        // RFC 6455 §1.3 has this example.
        assert_eq!(handshake(&request(HANDSHAKE)).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_handshake_is_told_from_what_is_a_bad_one() {
        for (name, value, status) in [
            ("upgrade", "", 426),
            ("upgrade", "h2c", 426),
            ("sec-websocket-version", "", 426),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-version", "13, 8", 426),
            ("connection", "", 400),
            ("connection", "keep-alive", 400),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25j", 400),
        ] {
            let problem = handshake(&with(name, value)).unwrap_err();
            assert_eq!(problem.status.as_u16(), status, "{name}: {value}");
            if status == 426 {
                let headers = problem.into_response().headers().clone();
                assert_eq!(headers[UPGRADE], "websocket");
                assert_eq!(headers[SEC_WEBSOCKET_VERSION], "13");
            }
        }
        let mut twice = request(HANDSHAKE);
        twice.headers_mut().append(SEC_WEBSOCKET_KEY, HeaderValue::from_static(KEY));
        assert_eq!(handshake(&twice).unwrap_err().status, 400);
        let mut h2 = request(HANDSHAKE);
        *h2.version_mut() = Version::HTTP_2;
        assert_eq!(handshake(&h2).unwrap_err().status, 426);
        let mut post = request(HANDSHAKE);
        *post.method_mut() = Method::POST;
        assert_eq!(handshake(&post).unwrap_err().status, 426);
        let with_body = request(HANDSHAKE).map(|_| Full::new(Bytes::from_static(b"body")));
        assert_eq!(handshake(&with_body).unwrap_err().status, 400);
    }

    fn read(query: &str) -> Result<Vec<After>, Problem> {
        after(&Parameters::parse(query)?)
    }

    #[test]
    fn after_names_a_number_or_several_subscriptions_with_theirs() {
        let of = |id: Option<&str>, number| After { subscription: id.map(str::to_owned), number };
        assert_eq!(read("").unwrap(), []);
        assert_eq!(read("channel=x&after=7").unwrap(), [of(None, 7)]);
        assert_eq!(read("after=a:7&after=b%3A0").unwrap(), [of(Some("a"), 7), of(Some("b"), 0)]);
        let many = "after=a:1&".repeat(63);
        for bad in ["after=", "after=-1", "after=%2B1", "after=a:", "after=1&after=2", "after=1&after=a:2"] {
            assert_eq!(read(bad).unwrap_err().status, 400, "{bad}");
        }
        assert_eq!(read(&many).unwrap().len(), 63);
    }

    proptest! {
        #[test]
        fn any_after_is_read_or_refused(value in ".{0,80}") {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let _ = read(&format!("after={value}"));
        }
    }

    #[test]
    fn secrets_are_equal_or_not() {
        assert!(is_same(b"0123", b"0123"));
        for other in [&b"0124"[..], b"1123", b"012", b"01234", b""] {
            assert!(!is_same(b"0123", other));
        }
    }

    #[test]
    fn a_foreign_page_may_not_listen() {
        let named = vec!["https://viewer.example".to_owned()];
        let any = vec!["*".to_owned()];
        for (origin, allowed, anonymous, verdict) in [
            ("", &[][..], false, true),
            ("https://box:8443", &[], false, true),
            ("https://BOX:8443", &[], false, true),
            ("http://box:8443", &[], false, false),
            ("https://box", &[], false, false),
            ("null", &[], true, false),
            ("https://viewer.example", &named, false, true),
            ("https://viewer.example.evil", &named, true, false),
            ("https://evil.example", &any, true, true),
            // A browser would send the certificate of whoever sits in front of it.
            ("https://evil.example", &any, false, false),
        ] {
            let request = with("origin", origin);
            assert_eq!(is_origin_allowed(request.headers(), allowed, anonymous), verdict, "{origin}");
        }
    }

    #[test]
    fn every_retrieve_url_is_a_resource_of_ours() {
        for (series, instance) in [(None, None), (Some("2"), None), (Some("2"), Some("3"))] {
            for rendered in [false, true] {
                let url = retrieve_url("https://box:8443/dicomweb", "1", series, instance, rendered);
                let path = url.strip_prefix("https://box:8443").unwrap();
                let name = routes::parse(path).unwrap().template.name;
                assert!(name.starts_with("Retrieve"), "{path}: {name}");
                assert_eq!(name.contains("Rendered"), rendered);
            }
        }
    }
}
