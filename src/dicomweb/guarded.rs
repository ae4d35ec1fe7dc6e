//! A response body that ends when its reader has lost the right to it. The end is an error, not the end
//! of the content: the client sees a response that was cut short, as it was.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::access::Caller;
use super::counters::DicomwebCounters;
use super::events;
use crate::config::settings::Right;
use crate::net::http::{Body, BodyError};

/// Ends `body` when `caller` loses `right`.
pub(super) fn guarded(body: Body, caller: &Caller, right: Right, counters: &DicomwebCounters) -> Body {
    let lost = Box::pin(caller.lost(right));
    Guarded { body, lost, counters: counters.clone() }.boxed_unsync()
}

struct Guarded {
    body: Body,
    lost: Pin<Box<dyn Future<Output = ()> + Send>>,
    counters: DicomwebCounters,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Nobody polls a body again after an error.
        if self.lost.as_mut().poll(context).is_ready() {
            self.counters.withdrawn.inc();
            events::RightTaken {}.tell();
            return Poll::Ready(Some(Err("the right to this is over".into())));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
