//! Rights, filters and reloads, and what a standing filter hides of each resource.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::tags;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http_body_util::{BodyExt, Empty};

use super::super::guarded::guarded;
use super::super::parameters::Parameters;
use super::super::retrieve;
use super::super::routes::{self, Resource, Route, Urls};
use super::super::search::search;
use super::*;
use crate::config::settings::{HubSettings, JwtSettings, PrincipalSettings, Rights};
use crate::hub::Publisher;
use crate::instance::Dataset;
use crate::net::http::Kept;
use crate::sink::workers::Workers;
use crate::subscription::scope::{Level, Scope};

fn rights(may: &[Right], filter: &str) -> Rights {
    Rights { may: may.to_vec(), destinations: Vec::new(), filter: filter.to_owned() }
}

/// A table of principals who are known by no credential: the tests ask for them by name.
fn settings(anonymous: Rights, principals: &[(&str, Rights)]) -> AccessSettings {
    let principals = principals.iter().map(|(name, rights)| {
        ((*name).to_owned(), PrincipalSettings { rights: rights.clone(), ..Default::default() })
    });
    AccessSettings { anonymous, jwt: None, principals: principals.collect() }
}

fn peer() -> PeerInfo {
    PeerInfo {
        address: "127.0.0.1:1".parse().unwrap(),
        client_certificate: None,
        own: false,
        kept: Kept::default(),
    }
}

struct Room {
    access: Access,
    hub: Hub,
    counters: DicomwebCounters,
}

impl Room {
    fn new(settings: &AccessSettings) -> Self {
        // What has ended leaves with the next tick.
        let hub = HubSettings { max_age: Duration::ZERO, linger: Duration::ZERO, ..HubSettings::default() };
        let access = Access::new(settings).unwrap();
        Self { access, hub: Hub::new(hub), counters: DicomwebCounters::default() }
    }

    fn reload(&self, settings: &AccessSettings) -> Result<(), AccessError> {
        self.access.prepare(settings).map(|table| self.access.replace(table))
    }

    fn anonymous(&self) -> Caller {
        self.access.caller(&self.hub, &self.counters, &peer(), &HeaderMap::new()).unwrap()
    }

    fn known(&self, name: &str) -> Caller {
        let granted = Arc::clone(self.access.grants().of(Some(name)).unwrap());
        Caller {
            granted,
            address: peer().address,
            only: None,
            until: None,
            hub: self.hub.clone(),
            shared: Arc::clone(&self.access.shared),
            visitor: Visitor::default(),
        }
    }

    /// Opens a series of study 1.2.
    fn open(&self, series: &str, modality: &str) -> Publisher {
        let text = |tag: Tag, vr: VR, text: &str| DataElement::new(tag, vr, text);
        let dataset = Dataset::from_element_iter([
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
            text(tags::SERIES_INSTANCE_UID, VR::UI, series),
            text(tags::MODALITY, VR::CS, modality),
            text(tags::PATIENT_NAME, VR::PN, "Doe^Jane"),
        ]);
        self.hub.open(&"1.2".into(), &series.into(), || Ok::<_, Infallible>(dataset)).unwrap()
    }

    /// The status that a GET of `path` has.
    async fn get(&self, caller: &Caller, path: &str) -> StatusCode {
        let urls = Urls::new("https://localhost/dicomweb");
        let parameters = Parameters::default();
        let request = retrieve::Request {
            hub: &self.hub,
            caller,
            urls: &urls,
            workers: &Workers::new(),
            counters: &self.counters,
            headers: &HeaderMap::new(),
            parameters: &parameters,
            steered_by: None,
        };
        let answer = match routes::parse(&format!("/dicomweb{path}")).unwrap().route {
            Route::Retrieve(resource) => request.retrieve(&resource).await,
            Route::Rendered(resource) => request.rendered(&resource).await,
            Route::Frames(resource, frames) => request.frames(&resource, &frames).await,
            Route::RenderedFrames(resource, frames) => request.rendered_frames(&resource, &frames).await,
            Route::Bulkdata(resource, path) => request.bulkdata(&resource, &path).await,
            other => panic!("{other:?}"),
        };
        answer.map_or_else(|problem| problem.status, |response| response.status())
    }

    fn found(&self, caller: &Caller, level: Level, study: Option<&str>) -> Vec<Dataset> {
        let scope = Scope { level, study: study.map(Arc::from), series: None };
        let urls = Urls::new("https://localhost/dicomweb");
        let query = Query::parse("includefield=all", &[]).unwrap();
        search(&self.hub, |live| caller.sees(live), &urls, &scope, &query, 100).datasets
    }
}

fn status(result: Result<(), Problem>) -> u16 {
    result.err().map_or(200, |problem| problem.status.as_u16())
}

#[test]
fn nothing_is_open_by_default() {
    let caller = Room::new(&AccessSettings::default()).anonymous();
    assert_eq!(caller.name(), None);
    for right in Right::ALL {
        assert_eq!(status(caller.may(right)), 401, "{right:?}");
    }
    assert!(!caller.may_push_to("PACS"));
}

#[test]
fn everybody_may_what_the_table_says_and_no_more() {
    for granted in Right::ALL {
        let room = Room::new(&settings(rights(&[granted], ""), &[("VIEWER", rights(&[granted], ""))]));
        for asked in Right::ALL {
            let same = granted == asked;
            assert_eq!(status(room.anonymous().may(asked)), if same { 200 } else { 401 }, "{asked:?}");
            let denied = room.known("VIEWER").may(asked);
            if let Err(problem) = &denied {
                assert!(problem.detail.contains(asked.word()), "{}", problem.detail);
            }
            assert_eq!(status(denied), if same { 200 } else { 403 }, "{asked:?}");
        }
    }
}

#[test]
fn destinations_are_for_those_who_have_them() {
    let push = |destinations: &[&str], may: &[Right]| Rights {
        destinations: destinations.iter().map(|&name| name.to_owned()).collect(),
        ..rights(may, "")
    };
    let room = Room::new(&settings(
        Rights::all(),
        &[("ONE", push(&["PACS"], &[Right::PushTo])), ("NONE", push(&["*"], &[Right::Subscribe]))],
    ));
    assert!(room.anonymous().may_push_to("PACS"));
    assert!(room.known("ONE").may_push_to("PACS") && !room.known("ONE").may_push_to("OTHER"));
    assert!(!room.known("NONE").may_push_to("PACS"), "without the right push-to");
}

#[test]
fn a_filter_that_would_not_filter_is_refused() {
    for (settings, place) in [
        (settings(rights(&[], ""), &[("VIEWER", rights(&[], "PatientNme=Doe"))]), "principal.VIEWER.filter"),
        (settings(rights(&[], "StudyDate=Doe"), &[]), "access.anonymous_filter"),
    ] {
        for error in [Access::new(&settings).unwrap_err(), Access::check(&settings).unwrap_err()] {
            let said = format!("{error} {error:?}");
            assert!(said.starts_with(place) && !said.contains("Doe"), "{said}");
        }
    }
    let access = Access::new(&settings(rights(&[], "PatientName=Doe"), &[])).unwrap();
    assert!(!format!("{access:?}").contains("Doe"));
}

#[test]
fn a_check_reads_no_file() {
    let mut settings = settings(rights(&[], ""), &[]);
    let jwt = JwtSettings {
        jwks: "/nowhere/keys.json".into(),
        issuer: "https://issuer.example".to_owned(),
        audience: "us".to_owned(),
        leeway: Duration::ZERO,
    };
    settings.jwt = Some(jwt);
    Access::check(&settings).unwrap();
    assert!(matches!(Access::new(&settings), Err(AccessError::Auth(_))));
}

#[test]
fn a_filter_hides_series_from_searches_and_their_counts() {
    let room = Room::new(&settings(
        Rights::all(),
        &[("XA", rights(&[Right::Search], "Modality=XA")), ("US", rights(&[Right::Search], "Modality=US"))],
    ));
    let _open = [room.open("1.2.1", "XA"), room.open("1.2.2", "XA"), room.open("1.2.3", "US")];
    let count = |caller: &Caller, level, study| room.found(caller, level, study).len();
    for (caller, studies, series) in
        [(room.anonymous(), 1, 3), (room.known("XA"), 1, 2), (room.known("US"), 1, 1)]
    {
        assert_eq!(count(&caller, Level::Studies, None), studies);
        for study in [None, Some("1.2")] {
            assert_eq!(count(&caller, Level::Series, study), series);
            for result in room.found(&caller, Level::Series, study) {
                let told: usize = result.get(tags::NUMBER_OF_STUDY_RELATED_SERIES).unwrap().to_int().unwrap();
                assert_eq!(told, series);
            }
        }
    }
    let modalities = room.found(&room.known("US"), Level::Studies, None);
    assert_eq!(modalities[0].get(tags::MODALITIES_IN_STUDY).unwrap().to_str().unwrap(), "US");
}

const PATHS: [&str; 8] = [
    "/studies/1.2",
    "/studies/1.2/rendered",
    "/studies/1.2/series/1.2.1",
    "/studies/1.2/series/1.2.1/rendered",
    "/studies/1.2/series/1.2.1/instances/1.2.1.1",
    "/studies/1.2/series/1.2.1/instances/1.2.1.1/frames/1",
    "/studies/1.2/series/1.2.1/instances/1.2.1.1/frames/1/rendered",
    "/studies/1.2/series/1.2.1/instances/1.2.1.1/bulkdata/7FE00010",
];

#[tokio::test]
async fn what_a_filter_hides_is_not_found_and_never_gone() {
    let room = Room::new(&settings(Rights::all(), &[("US", rights(&Right::ALL, "Modality=US"))]));
    let (everything, us) = (room.anonymous(), room.known("US"));
    let resource = |series: Option<&str>| Resource {
        study: "1.2".into(),
        series: series.map(Arc::from),
        instance: None,
    };
    let publisher = room.open("1.2.1", "XA");
    assert_eq!(room.get(&everything, PATHS[0]).await, 200);
    assert_eq!(room.get(&everything, PATHS[2]).await, 200);
    for path in PATHS {
        assert_eq!(room.get(&us, path).await, 404, "{path}");
    }
    publisher.complete();
    room.hub.tick();
    room.hub.tick();
    for path in PATHS {
        assert_eq!(room.get(&everything, path).await, 410, "{path}");
        assert_eq!(room.get(&us, path).await, 404, "{path}");
    }
    let metadata = retrieve::series(&room.hub, &us, &resource(Some("1.2.1"))).unwrap_err();
    assert_eq!(metadata.status, 404);

    // A study is there with what of it is seen.
    let _open = [room.open("1.2.2", "XA"), room.open("1.2.3", "US")];
    assert_eq!(room.get(&us, "/studies/1.2").await, 200);
    assert_eq!(room.get(&us, "/studies/1.2/series/1.2.2").await, 404);
    assert_eq!(room.get(&us, "/studies/1.2/series/1.2.3").await, 200);
    let seen = retrieve::series(&room.hub, &us, &resource(None)).unwrap();
    assert_eq!(seen.iter().map(|live| &**live.series()).collect::<Vec<_>>(), ["1.2.3"]);
}

#[test]
fn refused_credentials_are_counted_and_at_last_slowed_down() {
    let room = Room::new(&settings(Rights::all(), &[]));
    let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"))]);
    let refused = || room.access.caller(&room.hub, &room.counters, &peer(), &headers).unwrap_err();
    for _ in 0..20 {
        let response = refused().into_response();
        assert_eq!(response.status(), 401);
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"framegate\", error=\"invalid_token\""
        );
    }
    let response = refused().into_response();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[RETRY_AFTER], "1");
    room.anonymous().may(Right::Search).unwrap();
    let count = room.counters.unauthenticated.get_or_create(&Reason { reason: "not_taken" }).get();
    assert_eq!(count, 21);
}

/// Whether it is over by now.
fn is_over(what: impl Future<Output = ()>) -> bool {
    use futures_util::FutureExt as _;
    what.now_or_never().is_some()
}

#[tokio::test]
async fn a_reload_takes_rights_from_what_goes_on() {
    let with = |may: &[Right], filter: &str| settings(Rights::all(), &[("VIEWER", rights(may, filter))]);
    let room = Room::new(&with(&[Right::Retrieve], "Modality=XA"));
    let viewer = room.known("VIEWER");
    assert!(is_over(viewer.lost(Right::Search)), "never had it");

    let mut lost = pin!(viewer.lost(Right::Retrieve));
    room.reload(&with(&[Right::Retrieve, Right::Search], "Modality=XA")).unwrap();
    assert!(!is_over(lost.as_mut()), "the right and the filter are as before");
    room.reload(&with(&[Right::Retrieve], "Modalty=XA")).unwrap_err();
    assert!(!is_over(lost.as_mut()), "a faulty table changes nothing");
    room.reload(&with(&[Right::Search], "Modality=XA")).unwrap();
    assert!(is_over(lost.as_mut()));
    assert_eq!(status(room.known("VIEWER").may(Right::Retrieve)), 403);

    room.reload(&with(&[Right::Retrieve, Right::Send], "Modality=XA")).unwrap();
    let mut sending = pin!(room.known("VIEWER").lost(Right::Send));
    let refiltered = room.known("VIEWER").lost(Right::Retrieve);
    room.reload(&with(&[Right::Retrieve, Right::Send], "Modality=US")).unwrap();
    assert!(is_over(refiltered));
    assert!(!is_over(sending.as_mut()), "a filter is on what they see, not on what they send");
    room.reload(&with(&[Right::Retrieve], "Modality=US")).unwrap();
    assert!(is_over(sending));
    let removed = room.known("VIEWER").lost(Right::Retrieve);
    room.reload(&settings(Rights::all(), &[])).unwrap();
    assert!(is_over(removed));
}

#[tokio::test(start_paused = true)]
async fn what_goes_on_ends_with_the_token() {
    let room = Room::new(&settings(Rights::all(), &[]));
    let minute = Duration::from_secs(60);
    let shown = Caller { until: Some(Instant::now() + minute), ..room.anonymous() };
    let mut lost = pin!(shown.lost(Right::Retrieve));
    tokio::time::advance(minute - Duration::from_secs(1)).await;
    assert!(!is_over(lost.as_mut()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(is_over(lost));
    assert!(!is_over(room.anonymous().lost(Right::Retrieve)), "who has shown none has none that expires");

    let past = instant(SystemTime::UNIX_EPOCH).unwrap();
    assert!(is_over(Caller { until: Some(past), ..room.anonymous() }.lost(Right::Retrieve)));
}

#[tokio::test]
async fn a_body_ends_in_an_error_when_its_reader_loses_the_right() {
    let room = Room::new(&settings(Rights::all(), &[]));
    let endless = futures_util::stream::pending::<
        Result<http_body::Frame<bytes::Bytes>, crate::net::http::BodyError>,
    >();
    let body = http_body_util::StreamBody::new(endless).boxed_unsync();
    let mut body = guarded(body, &room.anonymous(), Right::Retrieve, &room.counters);
    let reader = tokio::spawn(async move { body.frame().await });
    tokio::task::yield_now().await;
    assert!(!reader.is_finished());
    room.reload(&settings(rights(&[], ""), &[])).unwrap();
    assert!(reader.await.unwrap().unwrap().is_err());
    assert_eq!(room.counters.withdrawn.get(), 1);

    let whole = Empty::new().map_err(|never| match never {}).boxed_unsync();
    let room = Room::new(&settings(Rights::all(), &[]));
    assert!(guarded(whole, &room.anonymous(), Right::Retrieve, &room.counters).frame().await.is_none());
}

/// What a pass leads to, and the header fields that show it.
fn passed(room: &Room) -> (Publisher, Pass, HeaderMap) {
    let publisher = room.hub.open_unlisted("1.2".into(), "1.2.9".into(), Dataset::new_empty()).unwrap();
    let pass = room.access.pass_to(publisher.series().clone());
    let shown = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(pass.authorization()).unwrap())]);
    (publisher, pass, shown)
}

#[tokio::test]
async fn a_pass_leads_to_one_unlisted_series_and_nothing_else() {
    let everything = rights(&Right::ALL, "");
    let room = Room::new(&settings(everything, &[]));
    let listed = room.open("1.2.1", "XA");
    let (_publisher, _pass, shown) = passed(&room);
    let own = PeerInfo { own: true, ..peer() };
    let us = room.access.caller(&room.hub, &room.counters, &own, &shown).unwrap();
    assert_eq!(room.get(&us, "/studies/1.2/series/1.2.9").await, StatusCode::OK);
    for hidden in ["/studies/1.2", "/studies/1.2/series/1.2.1", "/studies/1.3/series/1.2.9"] {
        assert_eq!(room.get(&us, hidden).await, StatusCode::NOT_FOUND, "{hidden}");
    }
    for right in Right::ALL {
        assert_eq!(us.may(right).is_ok(), right == Right::Retrieve, "{right:?}");
    }
    assert!(us.is_us() && !us.may_push_to("PACS") && !us.sees(listed.series()));

    // Whoever may everything finds no trace of it, not even by its UIDs.
    let others = room.anonymous();
    assert_eq!(room.get(&others, "/studies/1.2/series/1.2.9").await, StatusCode::NOT_FOUND);
    assert_eq!(room.get(&others, "/studies/1.2/series/1.2.1").await, StatusCode::OK);
    assert_eq!(room.found(&others, Level::Series, Some("1.2")).len(), 1);
    assert_eq!(room.found(&others, Level::Series, None).len(), 1);
}

#[tokio::test]
async fn a_pass_is_good_over_a_connection_of_our_own_while_it_is_held() {
    let room = Room::new(&AccessSettings::default());
    let (_publisher, pass, shown) = passed(&room);
    let own = PeerInfo { own: true, ..peer() };
    let ask = |peer: &PeerInfo, shown: &HeaderMap| {
        room.access.caller(&room.hub, &room.counters, peer, shown).map(|caller| caller.is_us())
    };
    assert!(ask(&own, &shown).unwrap());
    assert!(ask(&peer(), &shown).is_err(), "another connection that shows it");
    let other = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer 0123456789abcdef"))]);
    assert!(ask(&own, &other).is_err());
    assert!(!ask(&own, &HeaderMap::new()).unwrap(), "without it, we are anybody");
    let us = room.access.caller(&room.hub, &room.counters, &own, &shown).unwrap();
    room.reload(&AccessSettings::default()).unwrap();
    let mut lost = pin!(us.lost(Right::Retrieve));
    assert!(lost.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "no reload takes it");
    drop(pass);
    assert!(ask(&own, &shown).is_err());
}
