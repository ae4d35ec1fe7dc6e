//! A frame through the hub and back: as a client of our own DICOMweb listener, over TLS, of a series that is listed
//! nowhere and grows while it is read. Every part of the way of a real frame is on it but the source.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::{Failure, NAME, connect, secured};
use crate::context::{Context, Equipment};
use crate::dicomweb::access::Access;
use crate::dicomweb::routes::BASE;
use crate::hub::{Hub, Publisher};
use crate::instance::{Dataset, Instance, secondary_capture, uid};
use crate::net::multipart::reader::{Event, Reader};
use crate::net::multipart::{Boundary, ContentType};
use crate::net::own::OwnConnections;
use crate::net::tls::Reloading;
use crate::source::pattern::Angiogram;

/// Rows and columns of the frames (pixels).
const SIDE: u16 = 64;
/// HTTP/1.1: one request on one connection needs no more.
const ALPN: &[&[u8]] = &[b"http/1.1"];
/// The largest part that is taken (bytes); ours have some 6 KiB.
const PART: u64 = 1 << 20;

/// What tries the way of a frame.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) hub: Hub,
    pub(super) access: Access,
    pub(super) own: OwnConnections,
    pub(super) tls: Arc<Reloading>,
    /// Where the listener is bound.
    pub(super) address: SocketAddr,
    angiogram: Angiogram,
}

impl Web {
    /// Draws the pattern.
    ///
    /// # Errors
    /// When there is no such pattern.
    pub(super) fn new(
        hub: Hub,
        access: Access,
        own: OwnConnections,
        tls: Arc<Reloading>,
        address: SocketAddr,
    ) -> Result<Self, String> {
        let angiogram = Angiogram::new(SIDE, SIDE, 8, false, 1).map_err(|error| error.to_string())?;
        Ok(Self { hub, access, own, tls, address, angiogram })
    }

    /// Publishes two frames and reads them back, the second while the response is open.
    ///
    /// # Errors
    /// What did not work, and how to mend it.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let context = Context::pattern(SystemTime::now(), 1, Equipment::framegate("self-test", "FRAMEGATE"));
        let (study, series) = (context.study.instance_uid.as_str(), context.series.instance_uid.as_str());
        let (first, head) = self.frame(&context, 1)?;
        let publisher = self.hub.open_unlisted(study.into(), series.into(), head);
        let publisher = publisher.map_err(|error| Failure::Hub(error.to_string()))?;
        let pass = self.access.pass_to(publisher.series().clone());
        let first = publish(&publisher, first)?;
        let request = Request::get(format!("{BASE}/studies/{study}/series/{series}"))
            .header(HOST, NAME)
            .header(ACCEPT, "multipart/related; type=\"application/dicom\"")
            .header(AUTHORIZATION, pass.authorization())
            .body(Empty::<Bytes>::new())
            .map_err(|error| Failure::Http(error.to_string()))?;

        let (stream, known) = connect(&self.own, self.address).await?;
        let stream = secured(stream, &self.tls, ALPN).await?;
        drop(known);
        let http = |error: hyper::Error| Failure::Http(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        // It ends with this check, however that ends.
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let response = sender.send_request(request).await.map_err(http)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status().as_u16()));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind =
            kind.and_then(|kind| ContentType::parse(kind).ok()).ok_or(Failure::Body("no multipart"))?;
        let mut parts = Parts::new(response.into_body(), &kind.boundary);
        parts.expect(&first).await?;
        let (second, _) = self.frame(&context, 2)?;
        let second = publish(&publisher, second)?;
        parts.expect(&second).await?;
        publisher.complete();
        parts.end().await
    }

    /// A frame and its head, as the pattern source makes them.
    fn frame(&self, context: &Context, number: i32) -> Result<(Instance, Dataset), Failure> {
        let (now, description) = (SystemTime::now(), self.angiogram.description());
        let mut pixels = Vec::with_capacity(description.frame_bytes());
        self.angiogram.render(number.unsigned_abs().into(), now, &mut pixels);
        let head = secondary_capture::dataset(context, &description, number, now, &uid::random());
        let instance = Instance::native(&head, pixels.into());
        Ok((instance.map_err(|error| Failure::Hub(error.to_string()))?, head))
    }
}

/// Publishes an instance, and gives what a reader is to get.
fn publish(publisher: &Publisher, instance: Instance) -> Result<Vec<u8>, Failure> {
    let bytes = instance.part10().concat();
    publisher.publish(instance).map_err(|error| Failure::Hub(error.to_string()))?;
    Ok(bytes)
}

/// The parts of a response while it comes.
struct Parts {
    body: Incoming,
    reader: Reader,
    chunk: Bytes,
}

impl Parts {
    fn new(body: Incoming, boundary: &Boundary) -> Self {
        Self { body, reader: Reader::new(boundary, PART), chunk: Bytes::new() }
    }

    /// Reads the next part up to its last byte: its end shows only when something follows.
    async fn expect(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let mut left = bytes;
        loop {
            match self.next().await? {
                Some(Event::PartHead(_) | Event::PartEnd) if left.len() == bytes.len() => {}
                Some(Event::PartData(data)) => {
                    left =
                        left.strip_prefix(&*data).ok_or(Failure::Body("other bytes than were published"))?;
                    if left.is_empty() {
                        return Ok(());
                    }
                }
                _ => return Err(Failure::Body("a frame is missing or cut short")),
            }
        }
    }

    /// Reads the closing boundary, and the end of the response.
    async fn end(&mut self) -> Result<(), Failure> {
        let mut closed = false;
        loop {
            match self.next().await? {
                Some(Event::PartEnd) if !closed => {}
                Some(Event::Close) => closed = true,
                Some(_) => return Err(Failure::Body("more frames than were published")),
                None if closed => return Ok(()),
                None => return Err(Failure::Body("it ends without its closing boundary")),
            }
        }
    }

    /// The next event; `None` at the end of the response.
    async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            let read = self.reader.read(&mut self.chunk);
            if let Some(event) = read.map_err(|_| Failure::Body("a broken multipart body"))? {
                return Ok(Some(event));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| Failure::Http(error.to_string()))?;
            self.chunk = frame.into_data().unwrap_or_default();
        }
    }
}
