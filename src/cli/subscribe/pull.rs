//! Follows one series, or study, to its end: an open-ended Retrieve (live profile §3), taken up again
//! where it breaks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::{mpsc, watch};

use super::News;
use super::client::{Answer, Client};
use super::object::{Object, PART_BYTES};
use crate::net::multipart::ContentType;
use crate::net::multipart::reader::{Event, Reader};

/// Tries in a row that bring no instance.
const TRIES: u32 = 5;
/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What to pull.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Absolute path of the study or series, with `/rendered` if pictures are wanted.
    pub(super) path: Arc<str>,
    /// `oldest`, `latest` or an Instance Number.
    pub(super) from: String,
    /// Id of the subscription that steers the stream; another one if it had to be made again.
    pub(super) subscription: watch::Receiver<String>,
    pub(super) rendered: bool,
    pub(super) show_phi: bool,
    /// Whether it is one series, whose Instance Numbers say where to go on.
    pub(super) is_series: bool,
}

/// How a try ended.
enum Outcome {
    /// The closing delimiter came.
    Complete,
    /// Neither live nor held any more.
    Gone,
}

/// Pulls until the end, telling `news` of all that comes. An error says why it was given up.
pub(super) async fn pull(client: Client, target: Target, news: mpsc::Sender<News>) -> anyhow::Result<()> {
    let mut from = target.from.clone();
    let (mut failures, mut pause) = (0, PAUSE);
    loop {
        let mut last = None;
        let outcome = attempt(&client, &target, &from, &news, &mut last).await;
        if let Some(number) = last {
            (failures, pause) = (0, PAUSE);
            if target.is_series {
                from = i64::from(number).saturating_add(1).to_string();
            }
        }
        match outcome {
            Ok(Outcome::Complete | Outcome::Gone) => return Ok(()),
            Err(error) if failures + 1 == TRIES => return Err(error),
            Err(_) => failures += 1,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One request. `last` becomes the Instance Number that came last; 0 for what has none.
async fn attempt(
    client: &Client,
    target: &Target,
    from: &str,
    news: &mpsc::Sender<News>,
    last: &mut Option<i32>,
) -> anyhow::Result<Outcome> {
    let separator = if target.path.contains('?') { '&' } else { '?' };
    let id = target.subscription.borrow().clone();
    let path = format!("{}{separator}from={from}&subscription={id}", target.path);
    let mut request = client.request(Method::GET, &path)?;
    let accept = if target.rendered {
        r#"multipart/related; type="image/jpeg""#
    } else {
        r#"multipart/related; type="application/dicom"; transfer-syntax=*"#
    };
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
    let (_connection, response) = client.open(request).await?;
    match response.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Outcome::Gone),
        _ => return Answer::read(response).await?.refused("the service does not give the stream"),
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = ContentType::parse(kind.unwrap_or_default())
        .map_err(|error| anyhow!("the stream cannot be read: {error}"))?;
    let mut reader = Reader::new(&kind.boundary, PART_BYTES);
    let mut body = response.into_body();
    let mut object = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| anyhow!("the stream broke: {error}"))?;
        let Ok(mut bytes) = frame.into_data() else { continue };
        while let Some(event) = reader.read(&mut bytes)? {
            match event {
                Event::PartHead(head) => object = Some(Object::begin(&head)),
                Event::PartData(data) => {
                    if let Some(Err(bad)) = object.as_mut().map(|object| object.feed(data)) {
                        tell(news, News::Unreadable(bad.to_string())).await?;
                    }
                }
                Event::PartEnd => {
                    let Some(object) = object.take() else { continue };
                    match object.end(SystemTime::now(), target.show_phi) {
                        Ok(taken) => {
                            for one in taken {
                                *last = Some(one.arrival.number.unwrap_or(0));
                                tell(news, News::Arrived(target.path.clone(), Box::new(one))).await?;
                            }
                        }
                        Err(bad) => tell(news, News::Unreadable(bad.to_string())).await?,
                    }
                }
                Event::Close => return Ok(Outcome::Complete),
            }
        }
    }
    reader.finish()?;
    Ok(Outcome::Complete)
}

/// Waits for its turn; a reader that is slow makes the service's ring decide what is missed.
async fn tell(news: &mpsc::Sender<News>, one: News) -> anyhow::Result<()> {
    if news.send(one).await.is_err() {
        bail!("nobody listens any more");
    }
    Ok(())
}
