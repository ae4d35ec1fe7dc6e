use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::said::order;
use super::*;
use crate::config::settings::CaptureSettings;
use crate::context::desk::Rules;
use crate::context::{Origin, Patient, Provider};

const SAID: &str = r#"{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["4711"]}}"#;

/// A desk with the captures `room` and `other`, and an operator before it who does not see series 1.3.
struct Place(Desk);

fn place() -> Place {
    Place(Desk::new(["room", "other"].map(str::to_owned)))
}

impl Place {
    fn answer(&self, method: Method, uri: &str, media: &str, content: &str, route: &Route) -> (u16, Value) {
        let request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, media);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let sees = |_: &str, series: &str| series != "1.3";
        let unseen = |entry: &Dataset| {
            entry.element(tags::PATIENT_ID).is_ok_and(|id| id.to_str().is_ok_and(|id| id == "unseen"))
        };
        let sees_entry = |entry: &Dataset| !unseen(entry);
        let principal = Some("alice".into());
        let visitor = &Visitor::default();
        let console = Console { desk: &self.0, principal, visitor, sees: &sees, sees_entry: &sees_entry };
        let content = Bytes::copy_from_slice(content.as_bytes());
        let (head, content) = match console.answer(&head, &content, route) {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let collected = futures_util::FutureExt::now_or_never(body.collect());
                (head, collected.unwrap().unwrap().to_bytes())
            }
            Err(problem) => problem.into_response().into_parts(),
        };
        if content.is_empty() {
            return (head.status.as_u16(), Value::Null);
        }
        assert_eq!(head.headers[CACHE_CONTROL], "no-store");
        (head.status.as_u16(), serde_json::from_slice(&content).unwrap())
    }

    fn ask(&self, route: Route) -> (u16, Value) {
        self.answer(Method::GET, "/", "", "", &route)
    }

    fn put(&self, content: &str) -> (u16, Value) {
        self.answer(Method::PUT, "/", "application/dicom+json; charset=utf-8", content, &patient())
    }

    fn delete(&self) -> (u16, Value) {
        self.answer(Method::DELETE, "/", "", "", &patient())
    }

    /// What is wanted of `room`: whether it runs, the Patient ID, and the number of the encounter.
    fn wanted(&self) -> (Option<bool>, Option<String>, u64) {
        let Wanted { running, order, encounter } = self.0.wanted("room");
        (running, order.map(|order| order.patient.id.clone()), encounter)
    }
}

fn patient() -> Route {
    Route::Patient("room".to_owned())
}

fn start() -> Route {
    Route::Start("room".to_owned())
}

fn stop() -> Route {
    Route::Stop("room".to_owned())
}

#[test]
fn captures_are_shown_as_they_report() {
    let place = place();
    let report = Report {
        state: "streaming",
        format: "1920x1080p60 YUYV".to_owned(),
        study: "1.2".to_owned(),
        series: "1.2.3".to_owned(),
        context: [("PatientID", Origin::Told(Provider::Mpps)), ("StudyID", Origin::Generated)].into(),
        ..Report::default()
    };
    place.0.report("room", report.clone());
    place.0.report("other", Report { series: "1.3".to_owned(), ..report });
    let (status, shown) = place.ask(Route::Captures);
    assert_eq!(status, 200);
    let expected = json!({
        "name": "room", "state": "streaming", "advice": "", "device": "", "profile": "",
        "format": "1920x1080p60 YUYV", "study": "1.2", "series": "1.2.3", "running": null,
        "context": {"PatientID": "mpps", "StudyID": "generated"}, "warnings": [],
    });
    assert_eq!(shown[1], expected);
    assert_eq!(shown[0]["name"], "other");
    assert_eq!((&shown[0]["study"], &shown[0]["series"]), (&json!(""), &json!("")), "not for this operator");
    assert_eq!(shown[0]["context"], json!({}));
    assert_eq!(place.ask(Route::Capture("room".to_owned())), (200, expected));
}

#[test]
fn a_start_opens_a_series_after_a_stop_only() {
    let place = place();
    assert_eq!(place.ask(start()).1["running"], true);
    assert_eq!(place.wanted(), (Some(true), None, 0), "what ran by itself goes on");
    place.ask(start());
    assert_eq!(place.wanted(), (Some(true), None, 0));
    for _ in 0..2 {
        assert_eq!(place.ask(stop()).1["running"], false);
        assert_eq!(place.wanted(), (Some(false), None, 0));
    }
    for _ in 0..2 {
        assert_eq!(place.ask(start()).0, 200);
        assert_eq!(place.wanted(), (Some(true), None, 1));
    }
    assert_eq!(place.0.wanted("other").running, None);
}

#[test]
fn another_patient_is_another_encounter_and_the_same_is_none() {
    let place = place();
    for _ in 0..2 {
        assert_eq!(place.put(SAID), (204, Value::Null));
        assert_eq!(place.wanted(), (None, Some("4711".to_owned()), 1));
    }
    assert_eq!(place.put(&SAID.replace("4711", "4712")).0, 204);
    assert_eq!(place.wanted(), (None, Some("4712".to_owned()), 2));
    for _ in 0..2 {
        assert_eq!(place.delete(), (204, Value::Null));
        assert_eq!(place.wanted(), (None, None, 3));
    }
}

#[test]
fn a_capture_that_is_not_configured_is_not_there() {
    let place = place();
    let name = || "theatre".to_owned();
    for route in [Route::Capture(name()), Route::Start(name()), Route::Stop(name())] {
        assert_eq!(place.ask(route).0, 404);
    }
    for method in [Method::PUT, Method::DELETE] {
        let (status, problem) = place.answer(method, "/", "text/plain", "", &Route::Patient(name()));
        assert_eq!((status, &problem["type"]), (404, &json!("urn:framegate:problem:no-capture")));
    }
}

#[test]
fn what_cannot_be_taken_changes_nothing_and_is_not_repeated() {
    let place = place();
    for (content, kind, names) in [
        ("", "bad-body", "DICOM JSON object"),
        ("SECRET", "bad-body", "DICOM JSON object"),
        (r#"[{"00100020": {"vr": "LO", "Value": ["SECRET"]}}]"#, "bad-body", "DICOM JSON object"),
        (r#"{"SECRET": {"vr": "LO"}}"#, "bad-body", "DICOM JSON object"),
        (r#"{"00100020": {"vr": "LO", "Value": "SECRET"}}"#, "bad-body", "(0010,0020)"),
        (r#"{"00100020": {"vr": "LO", "BulkDataURI": "SECRET"}}"#, "bad-body", "(0010,0020)"),
        (r#"{"00080060": {"vr": "CS", "Value": ["SECRET"]}}"#, "bad-order", "Modality"),
        (r#"{"00100030": {"vr": "DA", "Value": ["SECRET"]}}"#, "bad-order", "PatientBirthDate"),
        (r#"{"00100020": {"vr": "SH", "Value": ["SECRET"]}}"#, "bad-order", "PatientID"),
        ("{}", "bad-order", "delete the patient"),
    ] {
        let (status, problem) = place.put(content);
        assert_eq!((status, &problem["type"]), (400, &json!(format!("urn:framegate:problem:{kind}"))));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(names) && !detail.contains("SECRET"), "{content}: {detail}");
        assert_eq!(place.wanted(), (None, None, 0));
    }
}

#[test]
fn a_patient_comes_as_dicom_json_and_by_content_alone() {
    let place = place();
    for media in ["", "application/json", "text/plain"] {
        assert_eq!(place.answer(Method::PUT, "/", media, SAID, &patient()).0, 415, "{media}");
    }
    let media = "Application/DICOM+JSON";
    let with = place.answer(Method::PUT, "/?PatientID=4711", media, SAID, &patient());
    assert_eq!((with.0, &with.1["type"]), (400, &json!("urn:framegate:problem:unexpected-parameter")));
    assert_eq!(place.wanted().2, 0);
    assert_eq!(place.answer(Method::PUT, "/?accept=application/json", media, SAID, &patient()).0, 204);
    let mut coded = HeaderMap::new();
    coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    let problem = order(&coded, &Bytes::new()).unwrap_err().into_response();
    assert_eq!(
        (problem.status().as_u16(), &problem.headers()[ACCEPT_ENCODING]),
        (415, &HeaderValue::from_static("identity"))
    );
}

fn room() -> String {
    "room".to_owned()
}

/// A place where three steps are scheduled, and one that the operator does not see.
fn scheduled() -> Place {
    let place = place();
    let entry = |id: &str, accession: &str| {
        let patient = Patient { id: id.to_owned(), name: "Doe^Jane".to_owned(), ..Patient::default() };
        let order = Order { patient, accession_number: accession.to_owned(), ..Order::default() };
        Entry {
            order: Arc::new(order),
            ae_titles: Vec::new(),
            station_names: Vec::new(),
            modality: "XA".to_owned(),
            start: Default::default(),
            due: None,
        }
    };
    let entries = vec![entry("1", "A1"), entry("1", "A2"), entry("2", "A3"), entry("unseen", "A4")];
    place.0.worklist().replace("ris", entries, SystemTime::now());
    place
}

#[test]
fn the_worklist_is_shown_as_far_as_the_caller_sees_it() {
    assert_eq!(place().ask(Route::Worklist), (200, json!([])));
    let (status, shown) = scheduled().ask(Route::Worklist);
    let ids: Vec<_> = shown.as_array().unwrap().iter().map(|entry| &entry["00100020"]["Value"][0]).collect();
    assert_eq!((status, ids), (200, vec![&json!("1"), &json!("1"), &json!("2")]));
    assert_eq!(shown[0]["00100010"]["Value"][0]["Alphabetic"], "Doe^Jane");
}

#[test]
fn one_entry_is_chosen_and_none_or_several_change_nothing() {
    let place = scheduled();
    let step = |media: &str, content: &str| {
        let (status, problem) = place.answer(Method::PUT, "/", media, content, &Route::Step(room()));
        let kind = problem["type"].as_str().unwrap_or_default();
        (status, kind.rsplit(':').next().unwrap().to_owned(), place.wanted().1, problem["detail"].clone())
    };
    let keys = |accession: &str| format!(r#"{{"00080050": {{"vr": "SH", "Value": ["{accession}"]}}}}"#);
    let id = r#"{"00100020": {"vr": "LO", "Value": ["1"]}}"#;
    let dicom = "application/dicom+json";
    for (media, content, status, kind) in [
        (dicom, id, 409, "several-entries"),
        (dicom, &*keys("SECRET"), 404, "no-entry"),
        ("text/plain", "SECRET", 404, "no-entry"),
        ("text/plain", "A4", 404, "no-entry"),
        ("text/plain", "1", 409, "several-entries"),
        ("text/plain", "\r\n", 400, "bad-keys"),
        (dicom, "{}", 400, "bad-keys"),
        (dicom, r#"{"00080060": {"vr": "CS", "Value": ["SECRET"]}}"#, 400, "bad-keys"),
        (dicom, "SECRET", 400, "bad-body"),
        ("application/json", id, 415, "unsupported-media-type"),
    ] {
        let (told, found, who, detail) = step(media, content);
        assert_eq!((told, &*found, who), (status, kind, None), "{media} {content}");
        assert!(!detail.to_string().contains("SECRET"));
    }
    assert_eq!(step(dicom, &keys("A2")).0, 204);
    assert_eq!(place.wanted(), (None, Some("1".to_owned()), 1));
    assert_eq!(step("text/plain; charset=utf-8", "A3\r\n").0, 204);
    assert_eq!(place.wanted(), (None, Some("2".to_owned()), 2));
    let (_, shown) = place.ask(Route::Capture(room()));
    assert_eq!(shown["context"]["AccessionNumber"], "operator", "of the next series");
    let nowhere = place.answer(Method::PUT, "/", dicom, id, &Route::Step("theatre".to_owned()));
    assert_eq!(nowhere.1["type"], "urn:framegate:problem:no-capture");
}

#[test]
fn an_emergency_is_somebody_of_their_own_until_a_choice() {
    let settings = CaptureSettings { emergency_name: "Unknown^".to_owned(), ..CaptureSettings::default() };
    let place = Place(Desk::by([(room(), Rules::of(&settings))]));
    let emergency = || {
        assert_eq!(place.answer(Method::POST, "/", "", "", &Route::Emergency(room())).0, 200);
        let order = place.0.wanted("room").order.unwrap();
        assert_eq!(order.patient.name, "Unknown^");
        (order.patient.id.clone(), order.study_instance_uid.clone().unwrap())
    };
    let (one, other) = (emergency(), emergency());
    assert!(one.0 != other.0 && one.1 != other.1 && one.0.starts_with("FG-E-") && one.0.len() <= 64);
    assert_eq!(place.wanted().2, 2);
    assert_eq!(place.put(SAID).0, 204);
    assert_eq!(place.wanted().1.as_deref(), Some("4711"));
    place.delete();
    assert_eq!(place.wanted().1, None);
    let nowhere = place.answer(Method::POST, "/", "", "", &Route::Emergency("theatre".to_owned()));
    assert_eq!(nowhere.0, 404);
}

#[test]
fn what_is_doubtful_is_shown_without_values() {
    let settings =
        CaptureSettings { modality_ae_titles: vec!["XA".to_owned()], ..CaptureSettings::default() };
    let place = Place(Desk::by([(room(), Rules::of(&settings))]));
    assert_eq!(place.put(SAID).0, 204);
    let patient = Patient { id: "SECRET".to_owned(), ..Patient::default() };
    let order = Arc::new(Order { patient, ..Order::default() });
    place.0.performing("OTHER", "1.2", order.clone(), Instant::now());
    assert_eq!(place.ask(Route::Capture(room())).1["warnings"], json!([]));
    place.0.performing("XA", "1.2", order, Instant::now());
    let shown = place.ask(Route::Capture(room())).1;
    let warnings = shown["warnings"].as_array().unwrap();
    assert!(warnings.len() == 1 && warnings[0].as_str().unwrap().starts_with("contradicted: mpps"));
    assert!(!shown.to_string().contains("SECRET"));
}

#[test]
fn where_operators_are_not_heard_they_are_told_so() {
    let settings = CaptureSettings { precedence: vec![Provider::Mpps], ..CaptureSettings::default() };
    let place = Place(Desk::by([(room(), Rules::of(&settings))]));
    for (method, route) in [
        (Method::PUT, Route::Patient(room())),
        (Method::PUT, Route::Step(room())),
        (Method::POST, Route::Emergency(room())),
    ] {
        let (status, problem) = place.answer(method, "/", "application/dicom+json", SAID, &route);
        assert_eq!((status, &problem["type"]), (409, &json!("urn:framegate:problem:operator-not-heard")));
    }
    assert_eq!(place.wanted(), (None, None, 0));
    assert_eq!(place.ask(start()).0, 200, "to start and stop is theirs");
    assert_eq!(place.delete().0, 204);
}
