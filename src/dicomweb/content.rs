//! The content of requests that bring little or none: read whole, within bounds and in time. What a Send
//! or Store brings is taken as it comes, in [`super::store`].

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::problem::Problem;

/// How long little content may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// What is read of a body that nobody wants any more. A client that is still sending would lose the
/// response: over HTTP/1.1 to a TCP reset, over HTTP/2 since some (libcurl) take RST_STREAM, even
/// without an error, for the end of everything.
const LINGER_BYTES: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// Reads content of at most `most` bytes.
///
/// # Errors
/// 413 for more, without reading any where Content-Length tells; 408 when it does not come to its end
/// before the deadline.
pub async fn collect<B>(content: B, most: usize, deadline: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || Problem::content_too_large(most);
    if content.size_hint().lower() > most as u64 {
        return Err(too_large());
    }
    match timeout(deadline, Limited::new(content, most).collect()).await {
        Ok(Ok(read)) => Ok(read.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) | Err(_) => Err(Problem::content_incomplete()),
    }
}

/// Reads on for a while what nobody wants.
pub(crate) async fn linger(body: &mut Incoming) {
    let rest = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever sends longer than that has been told all the same.
    let _ = timeout(LINGER, rest).await;
}

#[cfg(test)]
mod tests {
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    use super::*;

    const MOST: usize = 4096;

    #[tokio::test]
    async fn content_is_read_within_bounds_and_in_time() {
        let of = |bytes: usize| Full::new(Bytes::from(vec![b'x'; bytes]));
        let soon = Duration::from_secs(30);
        assert_eq!(collect(of(0), MOST, soon).await.unwrap().len(), 0);
        assert_eq!(collect(of(MOST), MOST, soon).await.unwrap().len(), MOST);
        assert_eq!(collect(of(MOST + 1), MOST, soon).await.unwrap_err().status, 413);
        // Without a Content-Length it shows only while it is read.
        let chunk = || Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(&[0; 1024])));
        let chunks =
            |count: usize| StreamBody::new(futures_util::stream::iter((0..count).map(move |_| chunk())));
        assert_eq!(collect(chunks(4), MOST, soon).await.unwrap().len(), MOST);
        assert_eq!(collect(chunks(5), MOST, soon).await.unwrap_err().status, 413);
        let broken = futures_util::stream::iter([Err(std::io::Error::other("gone")), chunk()]);
        assert_eq!(collect(StreamBody::new(broken), MOST, soon).await.unwrap_err().status, 408);
        let never = futures_util::stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
        assert_eq!(collect(StreamBody::new(never), MOST, Duration::ZERO).await.unwrap_err().status, 408);
    }
}
