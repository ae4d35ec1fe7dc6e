//! A trial of a destination, step by step, for an engineer who asks why nothing arrives there: the name, TCP,
//! TLS, a request. Each step says how long it took and what was found, and the first that fails says how to
//! mend it. Nothing is pushed, and no connection of a subscription is touched.
//!
//! The request is OPTIONS (RFC 9110 §9.3.7), which changes nothing; any answer but a refusal or a fault of the
//! peer's own counts as reached, since few servers answer OPTIONS as they should.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use rustls::{AlertDescription, CertificateError};
use serde::Serialize;
use tokio::time::timeout;

use super::{Activity, ConnectError, Connection, Peer, Socket, token};
use crate::config::settings::{DestinationSettings, HttpVersion};
use crate::net::tls::{Trust, Validity};

/// Addresses that a step names; a name may have many.
const NAMED: usize = 4;
/// How long the peer may take to answer the request, whatever the destination allows a push.
const ANSWER: Duration = Duration::from_secs(10);

/// What became of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// Whether all steps went well.
    pub ok: bool,
    /// Those that were tried, in their order.
    pub steps: Vec<Step>,
    /// How to mend what failed; empty where nothing did.
    pub mend: String,
}

/// One step of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `dns`, `tcp`, `tls` or `http`.
    pub name: &'static str,
    /// Whether it went well.
    pub ok: bool,
    /// How long it took.
    pub milliseconds: u64,
    /// What was found.
    pub said: String,
}

/// Tries a destination as the next push would. Bounded by `connect_seconds` for each of the first three steps,
/// and by ten seconds for the last.
pub async fn destination(settings: &DestinationSettings) -> Reached {
    let trust = Trust { ca: settings.ca.clone(), identity: settings.identity.clone() };
    let peer = match Peer::new(&settings.url, trust, settings.http) {
        Ok(peer) => peer.allow_plain(settings.allow_plain).deadlines(settings.connect, settings.send_timeout),
        Err(error) => {
            let steps = vec![Step { name: "dns", ok: false, milliseconds: 0, said: error.to_string() }];
            return Reached { ok: false, steps, mend: "Correct url of the destination.".to_owned() };
        }
    };
    let mut trial = Trial { steps: Vec::new() };
    let mend = match trial.run(&Arc::new(peer), settings).await {
        Ok(()) => String::new(),
        Err(mend) => mend,
    };
    Reached { ok: mend.is_empty(), steps: trial.steps, mend }
}

struct Trial {
    steps: Vec<Step>,
}

impl Trial {
    /// Does one step; the error is how to mend it.
    async fn step<T>(
        &mut self,
        name: &'static str,
        limit: Duration,
        doing: impl Future<Output = Result<(T, String), Fault>>,
    ) -> Result<T, String> {
        let began = Instant::now();
        let done = timeout(limit, Box::pin(doing)).await.unwrap_or_else(|_| {
            let said = format!("nothing within {} s", limit.as_secs());
            Err(Fault { said, mend: late(name) })
        });
        let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, said, outcome) = match done {
            Ok((value, said)) => (true, said, Ok(value)),
            Err(Fault { said, mend }) => (false, said, Err(mend)),
        };
        self.steps.push(Step { name, ok, milliseconds, said });
        outcome
    }

    async fn run(&mut self, peer: &Arc<Peer>, settings: &DestinationSettings) -> Result<(), String> {
        let limit = settings.connect;
        let addresses = self
            .step("dns", limit, async {
                let found = peer.addresses().await.map_err(|error| Fault::of(&error, NAME))?;
                if found.is_empty() {
                    return Err(Fault { said: "the name has no address".to_owned(), mend: NAME.to_owned() });
                }
                let named: Vec<_> =
                    found.iter().take(NAMED).map(|address| address.ip().to_string()).collect();
                Ok((found, named.join(", ")))
            })
            .await?;
        let activity = Arc::new(Activity::new());
        let socket = self
            .step("tcp", limit, async {
                let stream =
                    peer.tcp(&addresses).await.map_err(|error| Fault::of(&error, &unreached(&error)))?;
                let said = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
                Ok((Socket::new(stream, peer.send_timeout, None, activity.clone(), || {}), said))
            })
            .await?;
        let mut connection = if peer.is_tls() {
            let (stream, is_h2) = self
                .step("tls", limit, async {
                    let stream =
                        peer.secure(socket).await.map_err(|error| Fault::of(&error, &distrusted(&error)))?;
                    let session = stream.get_ref().1;
                    let is_h2 = session.alpn_protocol() == Some(b"h2");
                    if peer.http == HttpVersion::Http2 && !is_h2 {
                        let mend = "Let http of the destination be \"auto\" or \"1.1\".";
                        return Err(Fault { said: "no HTTP/2 (ALPN)".to_owned(), mend: mend.to_owned() });
                    }
                    let version = session.protocol_version().and_then(|version| version.as_str());
                    let leaf = session.peer_certificates().and_then(<[_]>::first).and_then(Validity::of);
                    let days = leaf.map(|leaf| leaf.days_left(SystemTime::now())).unwrap_or_default();
                    let said = format!(
                        "{}, HTTP/{}, certificate for another {days} days",
                        version.unwrap_or("TLS"),
                        if is_h2 { "2" } else { "1.1" },
                    );
                    Ok(((stream, is_h2), said))
                })
                .await?;
            Connection::begin(peer, stream, activity, is_h2).await
        } else {
            Connection::begin(peer, socket, activity, peer.http == HttpVersion::Http2).await
        }
        .map_err(|error| self.broke(&error))?;
        self.step("http", ANSWER, async {
            let request = request(peer, settings).await?;
            let response = connection.send(request).await.map_err(|error| Fault {
                mend: unanswered(&error.to_string()).to_owned(),
                said: error.to_string(),
            })?;
            let status = response.status();
            match refused(status) {
                None => Ok(((), format!("OPTIONS was answered with {status}"))),
                Some(mend) => Err(Fault { said: status.to_string(), mend: mend.to_owned() }),
            }
        })
        .await
    }

    /// HTTP did not begin.
    fn broke(&mut self, error: &ConnectError) -> String {
        let said = error.to_string();
        self.steps.push(Step { name: "http", ok: false, milliseconds: 0, said });
        "The peer does not speak HTTP there; does url name its port for DICOMweb?".to_owned()
    }
}

async fn request(
    peer: &Peer,
    settings: &DestinationSettings,
) -> Result<Request<crate::net::http::Body>, Fault> {
    let fault = |said: String, mend: &str| Fault { said, mend: mend.to_owned() };
    let target =
        peer.target("").map_err(|error| fault(error.to_string(), "Correct url of the destination."))?;
    let mut request = Request::builder()
        .method(Method::OPTIONS)
        .uri(target)
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, concat!("framegate/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
        .map_err(|error| fault(error.to_string(), "Correct url of the destination."))?;
    if let Some(file) = &settings.token {
        let token = token::authorization(file.clone()).await;
        let token = token.map_err(|error| fault(error.to_string(), "Renew the file that token names."))?;
        request.headers_mut().insert(header::AUTHORIZATION, token);
    }
    Ok(request)
}

/// What went wrong in a step.
struct Fault {
    said: String,
    mend: String,
}

impl Fault {
    fn of(error: &ConnectError, mend: &str) -> Self {
        let said = match error {
            ConnectError::Tcp { error, .. } | ConnectError::Handshake { error, .. } => error.to_string(),
            other => other.to_string(),
        };
        Self { said, mend: mend.to_owned() }
    }
}

const NAME: &str = "Is the host in url spelled right, and do the name servers of this box know it? An address in its place needs none.";

fn late(step: &str) -> String {
    match step {
        "dns" => "The name servers of this box do not answer; check its network, or let url name an address.",
        "tcp" => {
            "Nothing answers there: check the address, that the peer is on, and the firewalls on the way and of this \
             box (framegate units)."
        }
        "tls" => "TCP gets through and TLS does not: is the port one for HTTPS?",
        _ => "The peer takes the request and does not answer; look at its own log.",
    }
    .to_owned()
}

fn unreached(error: &ConnectError) -> String {
    let ConnectError::Tcp { error, .. } = error else {
        return "Let url begin with https://, or say allow_plain where the network is trusted.".to_owned();
    };
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "The host is there and nothing listens on this port: is the peer's service running, and the port right?"
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "There is no way to this address: check the cable, the address of this box and its gateway."
        }
        io::ErrorKind::PermissionDenied => {
            "This box does not let the service connect there: run framegate-prepare, which makes its walls follow the \
             configuration."
        }
        _ => return late("tcp"),
    }
    .to_owned()
}

fn distrusted(error: &ConnectError) -> String {
    let ConnectError::Handshake { error, .. } = error else {
        return "The files that ca, certificate and key of the destination name cannot be used; see what it says."
            .to_owned();
    };
    let inner = error.get_ref().and_then(|inner| (inner as &(dyn Error + 'static)).downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(error)) => match error {
            CertificateError::UnknownIssuer => {
                "The peer's certificate is of an authority that ca does not hold: put its root (PEM) there."
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "The peer's certificate has expired, or the clock of this box is wrong."
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "The peer's certificate is not valid yet, or the clock of this box is wrong."
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "The peer's certificate is for another name: let url name the host as the certificate does."
            }
            _ => "The peer's certificate is not acceptable; it needs another one.",
        },
        Some(rustls::Error::AlertReceived(alert)) => match alert {
            AlertDescription::CertificateRequired => {
                "The peer asks for a certificate of ours: set certificate and key of the destination."
            }
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateUnknown => {
                "The peer does not accept our certificate: it has to know the authority that ours is of."
            }
            _ => "The peer ended the handshake; look at its own log.",
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            "The peer does not speak TLS there: is the port one for HTTPS?"
        }
        _ => "The peer ended the handshake: does it speak TLS 1.2 or 1.3 there, and look at its own log.",
    }
    .to_owned()
}

/// With TLS 1.3 it shows only now that the peer wants a certificate (RFC 8446 §4.4.2.4).
fn unanswered(said: &str) -> &'static str {
    if said.contains("CertificateRequired") {
        "The peer asks for a certificate of ours: set certificate and key of the destination."
    } else {
        "The peer takes connections and does not answer over HTTP; does url name its port for DICOMweb?"
    }
}

/// What to do about a status with which nothing would be taken; `None` where the peer is fine.
fn refused(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::UNAUTHORIZED => {
            Some("The peer wants credentials: set token, or certificate and key, of the destination.")
        }
        StatusCode::FORBIDDEN => Some("The peer knows us and does not let us: it has to grant us the right."),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some("Something in front of the peer answers, and the peer does not; is it up?")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn settings(url: String) -> DestinationSettings {
        let connect = Duration::from_secs(5);
        DestinationSettings { url, connect, ca: "/dev/null".into(), ..DestinationSettings::default() }
    }

    /// A peer that answers one request with `answer`, whatever it says.
    async fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).await.unwrap();
            assert!(head[..read].starts_with(b"OPTIONS /dicom-web HTTP/1.1"), "{:?}", &head[..read]);
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        format!("http://{address}/dicom-web")
    }

    fn names(reached: &Reached) -> Vec<(&str, bool)> {
        reached.steps.iter().map(|step| (step.name, step.ok)).collect()
    }

    #[tokio::test]
    async fn a_peer_that_answers_is_reached_whatever_it_thinks_of_options() {
        for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n"] {
            let reached = destination(&settings(answering(answer).await)).await;
            assert!(reached.ok, "{reached:?}");
            assert_eq!(names(&reached), [("dns", true), ("tcp", true), ("http", true)]);
        }
    }

    #[tokio::test]
    async fn the_step_that_fails_says_how_to_mend_it() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for (url, failed, mend) in [
            (answering("HTTP/1.1 401 Who\r\ncontent-length: 0\r\n\r\n").await, "http", "credentials"),
            (format!("http://{closed}"), "tcp", "nothing listens"),
            // No roots are to be had, which shows before the peer is asked anything.
            (format!("https://{}", answering("").await.split('/').nth(2).unwrap()), "tls", "ca, certificate"),
            ("ftp://peer".to_owned(), "dns", "Correct url"),
        ] {
            let reached = destination(&settings(url)).await;
            assert!(!reached.ok && reached.mend.contains(mend), "{reached:?}");
            assert_eq!(reached.steps.last().map(|step| (step.name, step.ok)), Some((failed, false)));
        }
    }
}
