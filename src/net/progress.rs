//! Whether a connection gets anywhere: is the client late with its request head, has it nothing to
//! ask, or does it not take what we offer? hyper has no deadline for writing, and does not poll a
//! body while the peer takes nothing, so a body cannot notice on its own.
//!
//! Bytes on their way out are watched in two places. Up to the HTTP library's hand-over to TLS, by
//! [`Offered`]: it is the body's data as the library holds it, and is told of every byte that leaves.
//! This catches the HTTP/2 client that reads the socket but grants a stream no window. Below TLS, by
//! [`super::socket::Socket`], which sees the kernel take no bytes. A live body that merely has no
//! new data offers nothing, and may be silent for as long as it likes.

use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::http::{Body, BodyError};
use crate::config::settings::HttpLimits;

const NEVER: u64 = u64::MAX;
/// Finished streams are looked for when the list is this long, then at twice what was left.
const STREAMS: usize = 16;

/// What a connection is doing. Times are milliseconds since `base`.
#[derive(Debug)]
pub(super) struct Activity {
    base: Instant,
    /// Bytes read outside of a request are the begin of a request head: true of HTTP/1.1 only, as
    /// HTTP/2 has frames of its own.
    reads_are_heads: AtomicBool,
    /// Since when a request head is due; `NEVER` if none is.
    head_due_since: AtomicU64,
    in_flight: AtomicUsize,
    /// The kernel takes no more bytes for now.
    blocked: AtomicBool,
    idle_since: AtomicU64,
    streams: Mutex<Streams>,
}

#[derive(Debug, Default)]
struct Streams {
    all: Vec<Weak<Stream>>,
    prune_at: usize,
}

/// The bytes of one response that the HTTP library holds.
#[derive(Debug)]
struct Stream {
    base: Instant,
    offered: AtomicU64,
    moved_at: AtomicU64,
}

/// What [`Activity::verdict`] finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is overdue.
    Fine,
    /// A request head took longer than `header_timeout`.
    SlowHead,
    /// No request for longer than `idle`.
    Idle,
    /// A response has bytes on offer of which none was taken for longer than `send_timeout`.
    Stalled,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            base: Instant::now(),
            reads_are_heads: AtomicBool::new(false),
            head_due_since: AtomicU64::new(NEVER),
            in_flight: AtomicUsize::new(0),
            blocked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            streams: Mutex::default(),
        }
    }

    /// The TLS handshake is done: the first request head is due, whatever the version.
    pub(super) fn begin(&self, reads_are_heads: bool) {
        let now = elapsed(self.base);
        self.idle_since.store(now, Ordering::Relaxed);
        self.head_due_since.store(now, Ordering::Relaxed);
        self.reads_are_heads.store(reads_are_heads, Ordering::Relaxed);
    }

    /// Bytes came from the peer.
    pub(super) fn read(&self) {
        if self.reads_are_heads.load(Ordering::Relaxed) && self.in_flight.load(Ordering::Relaxed) == 0 {
            // Only the first byte starts the clock, or a byte now and then would keep it from ending.
            let _ = self.head_due_since.compare_exchange(
                NEVER,
                elapsed(self.base),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// The socket takes bytes again, or no longer does: what is left of an answer may be in TLS's hands.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// A whole request head is here.
    pub(super) fn request(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.head_due_since.store(NEVER, Ordering::Relaxed);
        InFlight { activity: Arc::clone(self) }
    }

    pub(super) fn verdict(&self, limits: &HttpLimits) -> Verdict {
        self.verdict_at(elapsed(self.base), limits)
    }

    fn verdict_at(&self, now: u64, limits: &HttpLimits) -> Verdict {
        let overdue = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) > limit.as_millis();
        let offering = {
            let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
            let mut offering = streams.offering().peekable();
            let some = offering.peek().is_some();
            let stalled =
                |stream: &Stream| overdue(stream.moved_at.load(Ordering::Acquire), limits.send_timeout);
            if offering.any(|stream| stalled(&stream)) {
                return Verdict::Stalled;
            }
            some
        };
        let head_due = self.head_due_since.load(Ordering::Relaxed);
        if head_due != NEVER && overdue(head_due, limits.header_timeout) {
            return Verdict::SlowHead;
        }
        let blocked = self.blocked.load(Ordering::Relaxed);
        if offering || blocked || self.in_flight.load(Ordering::Relaxed) > 0 {
            self.idle_since.store(now, Ordering::Relaxed);
            return Verdict::Fine;
        }
        if overdue(self.idle_since.load(Ordering::Relaxed), limits.idle) {
            Verdict::Idle
        } else {
            Verdict::Fine
        }
    }

    /// Watches a response body; its request is in flight until the library is done with it.
    pub(super) fn watch(&self, body: Body, in_flight: InFlight) -> Watched {
        let stream = Arc::new(Stream {
            base: self.base,
            offered: AtomicU64::new(0),
            moved_at: AtomicU64::new(elapsed(self.base)),
        });
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).add(Arc::downgrade(&stream));
        Watched { body, stream, _in_flight: in_flight }
    }
}

impl Streams {
    fn add(&mut self, stream: Weak<Stream>) {
        if self.all.len() >= self.prune_at {
            self.all.retain(|stream| stream.strong_count() > 0);
            self.prune_at = STREAMS.max(self.all.len() * 2);
        }
        self.all.push(stream);
    }

    fn offering(&self) -> impl Iterator<Item = Arc<Stream>> {
        self.all.iter().filter_map(Weak::upgrade).filter(|stream| stream.offered.load(Ordering::Acquire) > 0)
    }
}

impl Stream {
    fn offer(&self, bytes: u64) {
        // The clock starts with the first byte on offer; more bytes behind it do not set it back.
        if self.offered.load(Ordering::Acquire) == 0 {
            self.moved_at.store(elapsed(self.base), Ordering::Release);
        }
        self.offered.fetch_add(bytes, Ordering::AcqRel);
    }

    fn taken(&self, bytes: u64) {
        self.moved_at.store(elapsed(self.base), Ordering::Release);
        self.offered.fetch_sub(bytes, Ordering::AcqRel);
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Arc<Activity>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.activity.idle_since.store(elapsed(self.activity.base), Ordering::Relaxed);
        self.activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response body whose data is watched on its way out.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    stream: Arc<Stream>,
    _in_flight: InFlight,
}

impl HttpBody for Watched {
    type Data = Offered;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Offered>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        frame.map_ok(|frame| frame.map_data(|bytes| Offered::new(bytes, &self.stream)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of a response that are on offer to the peer.
#[derive(Debug)]
pub(super) struct Offered {
    bytes: Bytes,
    stream: Arc<Stream>,
}

impl Offered {
    fn new(bytes: Bytes, stream: &Arc<Stream>) -> Self {
        stream.offer(bytes.len() as u64);
        Self { bytes, stream: Arc::clone(stream) }
    }
}

impl Buf for Offered {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.stream.taken(count as u64);
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.stream.taken(self.bytes.len() as u64);
    }
}

fn elapsed(base: Instant) -> u64 {
    u64::try_from(base.elapsed().as_millis()).unwrap_or(NEVER - 1)
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn limits() -> HttpLimits {
        HttpLimits {
            header_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            send_timeout: Duration::from_secs(5),
            ..HttpLimits::default()
        }
    }

    fn seconds(seconds: u64) -> u64 {
        // The activity's own clock has run for some milliseconds of this test.
        seconds * 1000 + 500
    }

    async fn offer(watched: &mut Watched) -> Offered {
        watched.frame().await.unwrap().unwrap().into_data().unwrap()
    }

    fn body(text: &'static str) -> Body {
        Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
    }

    #[test]
    fn the_first_request_head_is_due_from_the_handshake_on() {
        let activity = Arc::new(Activity::new());
        activity.begin(false);
        assert_eq!(activity.verdict_at(seconds(9), &limits()), Verdict::Fine);
        assert_eq!(activity.verdict_at(seconds(10), &limits()), Verdict::SlowHead);
        let _request = activity.request();
        assert_eq!(activity.verdict_at(seconds(1000), &limits()), Verdict::Fine);
    }

    #[test]
    fn between_requests_only_bytes_of_a_head_start_its_clock() {
        for (reads_are_heads, verdict) in [(true, Verdict::SlowHead), (false, Verdict::Fine)] {
            let activity = Arc::new(Activity::new());
            activity.begin(reads_are_heads);
            let request = activity.request();
            activity.read();
            drop(request);
            assert_eq!(
                activity.verdict_at(seconds(20), &limits()),
                Verdict::Fine,
                "bytes of the request itself"
            );
            activity.read();
            assert_eq!(activity.verdict_at(seconds(20), &limits()), verdict);
        }
    }

    #[test]
    fn a_connection_that_asks_nothing_is_idle() {
        let activity = Arc::new(Activity::new());
        activity.begin(true);
        drop(activity.request());
        assert_eq!(activity.verdict_at(seconds(59), &limits()), Verdict::Fine);
        assert_eq!(activity.verdict_at(seconds(60), &limits()), Verdict::Idle);
    }

    #[test]
    fn an_answer_on_its_way_through_tls_is_not_idle() {
        let activity = Arc::new(Activity::new());
        activity.begin(true);
        drop(activity.request());
        activity.set_blocked(true);
        assert_eq!(activity.verdict_at(seconds(100), &limits()), Verdict::Fine);
        activity.set_blocked(false);
        assert_eq!(activity.verdict_at(seconds(159), &limits()), Verdict::Fine, "idle from then on");
        assert_eq!(activity.verdict_at(seconds(160) + 1, &limits()), Verdict::Idle);
    }

    #[tokio::test]
    async fn bytes_that_nobody_takes_are_a_stall_even_after_the_body_has_ended() {
        let activity = Arc::new(Activity::new());
        activity.begin(true);
        let mut watched = activity.watch(body("pixels"), activity.request());
        assert_eq!(activity.verdict_at(seconds(100), &limits()), Verdict::Fine, "nothing is on offer");
        let mut offered = offer(&mut watched).await;
        drop(watched);
        assert_eq!(activity.verdict_at(seconds(4), &limits()), Verdict::Fine);
        assert_eq!(activity.verdict_at(seconds(5), &limits()), Verdict::Stalled);
        offered.advance(6);
        assert_eq!(activity.verdict_at(seconds(59), &limits()), Verdict::Fine);
    }

    #[tokio::test]
    async fn a_dropped_chunk_is_no_longer_on_offer() {
        let activity = Arc::new(Activity::new());
        activity.begin(true);
        let mut watched = activity.watch(body("pixels"), activity.request());
        let mut offered = offer(&mut watched).await;
        offered.advance(2);
        drop(offered);
        assert_eq!(watched.stream.offered.load(Ordering::Relaxed), 0);
        assert_eq!(activity.verdict_at(seconds(100), &limits()), Verdict::Fine);
    }

    #[test]
    fn finished_streams_are_forgotten() {
        let activity = Arc::new(Activity::new());
        let kept: Vec<_> = (0..40).map(|_| activity.watch(body(""), activity.request())).collect();
        for _ in 0..10_000 {
            drop(activity.watch(body(""), activity.request()));
        }
        assert!(activity.streams.lock().unwrap().all.len() <= 80);
        drop(kept);
    }
}
