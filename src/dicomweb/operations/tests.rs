use http::header::CACHE_CONTROL;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;

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
        let console = Console { desk: &self.0, principal: Some("alice".into()), sees: &sees };
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
        ..Report::default()
    };
    place.0.report("room", report.clone());
    place.0.report("other", Report { series: "1.3".to_owned(), ..report });
    let (status, shown) = place.ask(Route::Captures);
    assert_eq!(status, 200);
    let expected = json!({
        "name": "room", "state": "streaming", "advice": "", "device": "", "profile": "",
        "format": "1920x1080p60 YUYV", "study": "1.2", "series": "1.2.3", "running": null,
    });
    assert_eq!(shown[1], expected);
    assert_eq!(shown[0]["name"], "other");
    assert_eq!((&shown[0]["study"], &shown[0]["series"]), (&json!(""), &json!("")), "not for this operator");
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
