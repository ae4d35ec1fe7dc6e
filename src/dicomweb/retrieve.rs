//! Retrieve (PS3.18 §10.4): instances, series and studies as they grow, rendered or not; frames and
//! bulk data of one instance.

use std::sync::Arc;

use bytes::Bytes;
use dicom_dictionary_std::tags;
use http::header::InvalidHeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};

use super::access::Caller;
use super::guarded::guarded;
use super::live::{Live, Reader};
use super::media::{
    self, Accept, BulkDataMedia, BulkDataType, Extent, InstanceMedia, Packaging, RenderedForm, RenderedMedia,
};
use super::parameters::Parameters;
use super::problem::Problem;
use super::representation::{self, Part, Representation, Unsuitable};
use super::routes::{Resource, Urls};
use super::steering::Steering;
use super::{Answer, DicomwebCounters, events, render_parameters};
use crate::config::settings::Right;
use crate::frame::transcode;
use crate::hub::{Cursor, Cursors, From, Hub, LiveSeries};
use crate::instance::metadata::find_bulk;
use crate::instance::{EXPLICIT_VR_LITTLE_ENDIAN, Instance, PixelForm};
use crate::net::http::Body;
use crate::net::multipart::{Boundary, PartHead, Writer};
use crate::sink::notify::Notifier;
use crate::sink::workers::Workers;
use crate::subscription::registry::Subscription;

/// What every retrieval needs.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) hub: &'a Hub,
    pub(super) caller: &'a Caller,
    pub(super) urls: &'a Urls,
    pub(super) workers: &'a Workers,
    pub(super) counters: &'a DicomwebCounters,
    pub(super) headers: &'a HeaderMap,
    pub(super) parameters: &'a Parameters,
    /// The subscription that steers a stream, and whom to tell what it misses.
    pub(super) steered_by: Option<(Arc<Subscription>, Notifier)>,
}

impl Request<'_> {
    fn accept(&self) -> Result<Accept, Problem> {
        Ok(Accept::parse(self.headers, self.parameters.values("accept"))?)
    }

    /// `GET` of a study, a series or an instance.
    pub(super) async fn retrieve(&self, resource: &Resource) -> Answer {
        let extent = if resource.instance.is_some() { Extent::One } else { Extent::Many };
        let alternatives = media::instances(&self.accept()?, extent)?;
        let found = self.find(resource)?;
        let unsuitable = || Problem::not_acceptable(&available(found.first().as_deref()));
        // What is there already decides; before the first instance the client's first choice does.
        let chosen = match found.first() {
            Some(instance) => representation::choose(&alternatives, &instance).ok_or_else(unsuitable)?.media,
            None => alternatives.first().ok_or_else(unsuitable)?.media,
        };
        let alternatives: Arc<[_]> =
            alternatives.into_iter().filter(|alternative| alternative.media == chosen).collect();
        let form = Representation::Instances(alternatives);
        let part_type = match chosen {
            InstanceMedia::DicomMultipart | InstanceMedia::DicomSingle => "application/dicom",
            InstanceMedia::OctetStreamMultipart => "application/octet-stream",
        };
        match found {
            Found::Instance(instance) => {
                let part = self.part(&form, &instance).await?;
                if chosen == InstanceMedia::DicomSingle {
                    return Ok(single(part));
                }
                several(part_type, vec![part])
            }
            Found::Live { reader, .. } => {
                let boundary = boundary();
                let kind = boundary.related(part_type);
                self.stream(reader, form, boundary, kind, false)
            }
        }
    }

    /// `GET …/rendered` of a study, a series or an instance.
    pub(super) async fn rendered(&self, resource: &Resource) -> Answer {
        let extent = if resource.instance.is_some() { Extent::One } else { Extent::Many };
        let chosen = first(media::rendered(&self.accept()?, extent)?)?;
        let form = Representation::Rendered(chosen.format, render_parameters::read(self.parameters)?);
        match self.find_from(resource, chosen)? {
            Found::Instance(instance) => {
                let part = self.part(&form, &instance).await?;
                match chosen.form {
                    RenderedForm::Single => Ok(single(part)),
                    _ => several(chosen.format.essence(), vec![part]),
                }
            }
            // One image of many: the newest.
            Found::Live { series, .. } if chosen.form == RenderedForm::Single => {
                let newest = series.iter().filter_map(|live| live.instances().pop());
                let newest =
                    newest.max_by_key(|instance| instance.available()).ok_or_else(Problem::not_live)?;
                Ok(single(self.part(&form, &newest).await?))
            }
            Found::Live { reader, .. } => {
                let boundary = boundary();
                let (kind, newest_only) = match chosen.form {
                    RenderedForm::MultipartReplace => (boundary.mixed_replace(), true),
                    _ => (boundary.related(chosen.format.essence()), false),
                };
                self.stream(reader, form, boundary, kind, newest_only)
            }
        }
    }

    /// `GET …/frames/{list}`: every instance here has one frame.
    pub(super) async fn frames(&self, resource: &Resource, frames: &[u32]) -> Answer {
        let instance = self.one_frame(resource, frames)?;
        let identity = instance.identity();
        let url = self.urls.frames(&identity.study, &identity.series, &identity.sop_instance, &[1]);
        self.pixels(&instance, url, frames.len()).await
    }

    /// `GET …/frames/{list}/rendered`.
    pub(super) async fn rendered_frames(&self, resource: &Resource, frames: &[u32]) -> Answer {
        let instance = self.one_frame(resource, frames)?;
        let extent = if frames.len() == 1 { Extent::One } else { Extent::Many };
        let chosen = first(media::rendered(&self.accept()?, extent)?)?;
        let form = Representation::Rendered(chosen.format, render_parameters::read(self.parameters)?);
        let part = self.part(&form, &instance).await?;
        if chosen.form == RenderedForm::Single {
            return Ok(single(part));
        }
        several(chosen.format.essence(), repeat(&part, frames.len()))
    }

    /// `GET …/bulkdata/{path}`: the value that metadata points at.
    pub(super) async fn bulkdata(&self, resource: &Resource, path: &str) -> Answer {
        let Found::Instance(instance) = self.find(resource)? else { return Err(Problem::unknown_path()) };
        let identity = instance.identity();
        let url = self.urls.bulkdata(&identity.study, &identity.series, &identity.sop_instance, path);
        if path == "7FE00010" {
            return self.pixels(&instance, url, 1).await;
        }
        let chosen = media::bulk_data(&self.accept()?, Extent::One)?;
        let octets = chosen.iter().find(|one| one.media.media_type == BulkDataType::OctetStream);
        let packaging =
            octets.ok_or_else(|| Problem::not_acceptable(&["application/octet-stream"]))?.media.packaging;
        let dataset = instance.dataset().map_err(|_| Problem::internal())?;
        let value = find_bulk(&dataset, path).ok_or_else(Problem::unknown_path)?;
        let kind = BulkDataType::OctetStream.essence();
        packed(packaging, kind, self.made(kind, &url, vec![value.into()], &instance)?, 1)
    }

    /// The pixels of an instance, in the first form that the client accepts and that they have.
    async fn pixels(&self, instance: &Arc<Instance>, url: String, times: usize) -> Answer {
        let extent = if times == 1 { Extent::One } else { Extent::Many };
        let alternatives = media::bulk_data(&self.accept()?, extent)?;
        let syntax = &**instance.transfer_syntax();
        for alternative in &alternatives {
            let BulkDataMedia { media_type, packaging } = alternative.media;
            let wish = &alternative.transfer_syntax;
            if media_type == BulkDataType::OctetStream {
                let native = wish.admits(EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN);
                let possible = match instance.form() {
                    PixelForm::Native(..) => true,
                    PixelForm::Encapsulated => transcode::is_supported(syntax),
                    PixelForm::Absent => false,
                };
                if native && possible {
                    let pixels = representation::native_pixels(instance, self.workers).await;
                    let pixels = pixels.map_err(|error| self.unsuitable(instance, &error))?;
                    let kind = media_type.essence();
                    return packed(packaging, kind, self.made(kind, &url, vec![pixels], instance)?, times);
                }
            } else if instance.form() == PixelForm::Encapsulated
                && BulkDataType::of_transfer_syntax(syntax) == Some(media_type)
                && wish.admits(syntax, media_type.default_transfer_syntax())
            {
                let kind = format!("{}; transfer-syntax={syntax}", media_type.essence());
                let part = self.made(&kind, &url, instance.fragments(), instance)?;
                return packed(packaging, media_type.essence(), part, times);
            }
        }
        Err(Problem::not_acceptable(&available(Some(instance))))
    }

    async fn part(&self, form: &Representation, instance: &Arc<Instance>) -> Result<Part, Problem> {
        let part = representation::part(form, instance, self.urls, self.workers).await;
        let part = part.map_err(|error| self.unsuitable(instance, &error))?;
        self.caller.visitor().fetches(instance, self.hub);
        self.counters.sent.inc();
        self.counters.sent_bytes.inc_by(part.len() as u64);
        Ok(part)
    }

    fn made(&self, kind: &str, url: &str, content: Vec<Bytes>, instance: &Instance) -> Result<Part, Problem> {
        self.caller.visitor().fetches(instance, self.hub);
        Part::new(kind, url, content).map_err(|error| self.unsuitable(instance, &error))
    }

    fn unsuitable(&self, instance: &Instance, error: &Unsuitable) -> Problem {
        self.counters.unsuitable.inc();
        events::Unsuitable { transfer_syntax: &instance.transfer_syntax(), why: error }.tell();
        Problem::not_acceptable(&available(Some(instance)))
    }

    fn stream(
        &self,
        reader: Reader,
        form: Representation,
        boundary: Boundary,
        kind: Result<HeaderValue, InvalidHeaderValue>,
        newest_only: bool,
    ) -> Answer {
        let live = Live {
            reader,
            representation: form,
            writer: Some(Writer::new(boundary)),
            steering: Steering::new(self.parameters.rate()?, self.steered_by.clone()),
            newest_only,
            urls: self.urls.clone(),
            workers: self.workers.clone(),
            counters: self.counters.clone(),
            transfers: self.caller.visitor().stream(),
            stages: self.hub.stages().clone(),
        };
        let body = guarded(live.into_body(), self.caller, Right::Retrieve, self.counters);
        Ok(respond(kind.map_err(|_| Problem::internal())?, body))
    }

    /// The instance of a resource whose frames are asked for; frame 1 is all it has.
    fn one_frame(&self, resource: &Resource, frames: &[u32]) -> Result<Arc<Instance>, Problem> {
        match self.find(resource)? {
            Found::Instance(instance) if frames.iter().all(|&frame| frame == 1) => Ok(instance),
            Found::Instance(_) => Err(Problem::not_live()),
            Found::Live { .. } => Err(Problem::unknown_path()),
        }
    }

    fn find(&self, resource: &Resource) -> Result<Found, Problem> {
        find(self.hub, self.caller, resource, self.parameters.from(From::Oldest)?)
    }

    /// A browser that shows the series live starts at the present.
    fn find_from(&self, resource: &Resource, media: RenderedMedia) -> Result<Found, Problem> {
        let replace = media.form == RenderedForm::MultipartReplace;
        let default = if replace { From::Latest } else { From::Oldest };
        find(self.hub, self.caller, resource, self.parameters.from(default)?)
    }
}

/// What a resource is at this moment.
enum Found {
    Instance(Arc<Instance>),
    Live { reader: Reader, series: Vec<Arc<LiveSeries>> },
}

impl Found {
    /// An instance that shows what kind they are.
    fn first(&self) -> Option<Arc<Instance>> {
        match self {
            Self::Instance(instance) => Some(instance.clone()),
            Self::Live { series, .. } => series.iter().find_map(|live| live.instances().into_iter().next()),
        }
    }
}

/// The series of a resource that are live or in a ring, and that the caller sees.
pub(super) fn series(
    hub: &Hub,
    caller: &Caller,
    resource: &Resource,
) -> Result<Vec<Arc<LiveSeries>>, Problem> {
    let series = caller.series(&resource.study, resource.series.as_deref());
    if !series.is_empty() {
        return Ok(series);
    }
    // Of what has left nobody knows whether a filter let it through: to its owner it was never here.
    let gone = caller.filter().is_none() && hub.was_here(&resource.study, resource.series.as_deref());
    Err(if gone { Problem::gone() } else { Problem::not_live() })
}

/// Finds a resource among what is live or in a ring.
fn find(hub: &Hub, caller: &Caller, resource: &Resource, from: From) -> Result<Found, Problem> {
    let series = series(hub, caller, resource)?;
    if resource.series.is_none() {
        let who = caller.reader();
        let (study, caller) = (resource.study.clone(), caller.clone());
        let wanted = move |live: &LiveSeries| *live.study() == study && caller.sees(live);
        let cursors = Cursors::new(hub.clone(), from, wanted).read_by(who);
        return Ok(Found::Live { reader: Reader::Study(cursors), series });
    }
    let live = series.first().ok_or_else(Problem::not_live)?;
    match &resource.instance {
        // It may never have been here, or have left its ring: nobody remembers single instances.
        Some(instance) => live.instance(instance).map(Found::Instance).ok_or_else(Problem::not_live),
        None => {
            let cursor = Cursor::new(live.clone(), from).read_by(caller.reader());
            Ok(Found::Live { reader: Reader::Series(cursor), series })
        }
    }
}

/// The media types that an instance can be had in, for a 406.
fn available(instance: Option<&Instance>) -> Vec<String> {
    let Some(instance) = instance else {
        return vec!["multipart/related; type=\"application/dicom\"; transfer-syntax=*".to_owned()];
    };
    let syntax = instance.transfer_syntax();
    let mut types = vec![format!("multipart/related; type=\"application/dicom\"; transfer-syntax={syntax}")];
    match instance.form() {
        PixelForm::Encapsulated => {
            if transcode::is_supported(syntax) {
                types.push("multipart/related; type=\"application/octet-stream\"".to_owned());
            }
            if let Some(media) = BulkDataType::of_transfer_syntax(syntax) {
                let essence = media.essence();
                types.push(format!("multipart/related; type=\"{essence}\"; transfer-syntax={syntax}"));
            }
        }
        PixelForm::Native(tags::PIXEL_DATA, _) => {
            types.push("multipart/related; type=\"application/octet-stream\"".to_owned());
        }
        PixelForm::Native(..) | PixelForm::Absent => {}
    }
    types
}

fn first<T>(list: Vec<T>) -> Result<T, Problem> {
    list.into_iter().next().ok_or_else(Problem::internal)
}

/// A boundary that nobody can foresee.
pub(super) fn boundary() -> Boundary {
    Boundary::from_entropy(uuid::Uuid::new_v4().into_bytes())
}

fn repeat(part: &Part, times: usize) -> Vec<Part> {
    (0..times).map(|_| Part { head: part.head.clone(), content: part.content.clone() }).collect()
}

fn packed(packaging: Packaging, part_type: &str, part: Part, times: usize) -> Answer {
    match packaging {
        Packaging::Single => Ok(single(part)),
        Packaging::Multipart => several(part_type, repeat(&part, times)),
    }
}

/// One part as the whole payload.
fn single(part: Part) -> Response<Body> {
    let length = part.len();
    let PartHead { content_type, content_location, .. } = part.head;
    let mut response = respond(content_type, chunks(part.content));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(location) = content_location {
        response.headers_mut().insert(CONTENT_LOCATION, location);
    }
    response
}

/// A multipart payload of known length.
fn several(part_type: &str, parts: Vec<Part>) -> Answer {
    let boundary = boundary();
    let kind = boundary.related(part_type).map_err(|_| Problem::internal())?;
    let mut writer = Writer::new(boundary);
    let mut content = Vec::new();
    for part in parts {
        content.push(writer.part(&part.head));
        content.extend(part.content);
    }
    content.push(writer.close());
    let length: usize = content.iter().map(Bytes::len).sum();
    let mut response = respond(kind, chunks(content));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

fn chunks(content: Vec<Bytes>) -> Body {
    let frames = content.into_iter().map(|chunk| Ok(http_body::Frame::data(chunk)));
    http_body_util::StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
}

/// A 200 with this payload. Nothing of it may be kept by a cache: we do not keep it either.
pub(super) fn respond(content_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A 200 with a payload that is in memory.
pub(super) fn respond_full(content_type: HeaderValue, content: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(content.into()).map_err(|never| match never {}).boxed_unsync();
    respond(content_type, body)
}
