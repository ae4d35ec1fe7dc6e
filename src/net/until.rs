//! A response body that ends when its reader may have no more of it. The end is an error, not the end of the
//! content: the client sees a response that was cut short, as it was.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;

use super::http::{Body, BodyError};

/// Ends `body` with the error that `over` completes with.
pub fn until(body: Body, over: impl Future<Output = BodyError> + Send + 'static) -> Body {
    Until { body, over: Box::pin(over) }.boxed_unsync()
}

struct Until {
    body: Body,
    over: Pin<Box<dyn Future<Output = BodyError> + Send>>,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // Nobody polls a body again after an error.
        if let Poll::Ready(error) = self.over.as_mut().poll(context) {
            return Poll::Ready(Some(Err(error)));
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
