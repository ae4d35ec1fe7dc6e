use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::*;
use crate::config::settings::{DestinationSettings, SubscriptionSettings};
use crate::subscription::registry::PushState;
use crate::subscription::scope::Level;

/// A server's registry and destinations, and a caller of it.
struct House {
    registry: Registry,
    destinations: Destinations,
    who: Who<'static>,
}

/// The caller is alice, who may push to `pacs` and `gone`; `pacs` and `others` are configured.
fn house() -> House {
    let configured = ["pacs", "others"].map(|name| (name.to_owned(), DestinationSettings::default()));
    let settings = SubscriptionSettings { total: 4, per_subscriber: 3, ..Default::default() };
    House {
        registry: Registry::new(settings),
        destinations: Arc::new(ArcSwap::from_pointee(BTreeMap::from(configured))),
        who: Who {
            name: Some("alice".into()),
            filter: None,
            operates: false,
            registers: Ok(()),
            pushes_to: Box::new(|name| Ok(matches!(name, "pacs" | "gone"))),
        },
    }
}

/// Status, header fields and content of an answer.
type Told = (u16, HeaderMap, Value);

impl House {
    fn ask(&self, path: &str, ask: impl FnOnce(&Desk<'_>) -> Answer) -> Told {
        let level = match path {
            "/studies" => Level::Studies,
            "/series" => Level::Series,
            _ => Level::Instances,
        };
        let scope = Scope { level, study: None, series: None };
        let subscriber = Subscriber::parse("VIEWER").unwrap();
        let desk = Desk {
            registry: &self.registry,
            destinations: &self.destinations,
            who: &self.who,
            scope: &scope,
            subscriber: &subscriber,
        };
        let (head, content) = match ask(&desk) {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let collected = futures_util::FutureExt::now_or_never(body.collect());
                (head, collected.unwrap().unwrap().to_bytes())
            }
            Err(problem) => problem.into_response().into_parts(),
        };
        assert_eq!(head.headers[CACHE_CONTROL], "no-store");
        (head.status.as_u16(), head.headers, serde_json::from_slice(&content).unwrap())
    }

    fn post(&self, raw: &str) -> Told {
        self.ask("/series", |desk| desk.post(raw, &Urls::new("https://box:8443/dicomweb")))
    }

    fn get(&self, raw: &str) -> Told {
        self.ask("/series", |desk| desk.get(raw))
    }

    fn delete(&self, raw: &str) -> Told {
        self.ask("/series", |desk| desk.delete(raw))
    }

    fn suspend(&self, raw: &str, suspended: bool) -> Told {
        self.ask("/series", |desk| desk.suspend(raw, suspended))
    }

    /// Somebody else calls.
    fn called_by(self, name: Option<&str>) -> Self {
        Self { who: Who { name: name.map(Into::into), ..self.who }, ..self }
    }

    /// A subscription of the configuration for alice's VIEWER.
    fn stand(&self) {
        self.post("PatientID=7");
        let standing = registry::Request::clone(self.registry.all()[0].request());
        self.registry.stand(vec![standing]);
    }
}

fn problem(told: &Told) -> (u16, &str) {
    assert_eq!(told.1[CONTENT_TYPE], "application/problem+json");
    (told.0, told.2["type"].as_str().unwrap().rsplit(':').next().unwrap())
}

#[test]
fn a_search_is_registered_and_renewed() {
    let house = house();
    let (status, headers, shown) = house.post("PatientName=Doe*&Modality=XA&fuzzymatching=true");
    assert_eq!(status, 201);
    assert_eq!(headers[CONTENT_TYPE], "application/json");
    let channel = house.registry.all()[0].channel().clone();
    let url = format!("wss://box:8443/dicomweb/subscribers/VIEWER?channel={channel}");
    for name in [LOCATION, CONTENT_LOCATION] {
        assert_eq!(headers[name], *url);
    }
    let id = shown["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "id": id, "subscriber": "VIEWER", "resource": "/series", "keys": ["Modality", "PatientName"],
        "delivery": "notification", "representation": "instance", "suspended": false, "paused": false,
        "lease_seconds": 3600, "sequence": 0, "missed": 0,
    });
    assert_eq!(shown, expected);

    let (status, headers, shown) =
        house.post("fuzzymatching=true&00080060=XA&PatientName=Doe*&rate=7.5&lease=60&paused=true");
    assert_eq!((status, shown["id"].as_str().unwrap()), (200, &*id));
    for name in [LOCATION, CONTENT_LOCATION] {
        assert_eq!(headers[name], *url);
    }
    assert_eq!(
        (&shown["rate"], &shown["lease_seconds"], &shown["paused"]),
        (&json!(7.5), &json!(60), &json!(true))
    );
    assert_eq!(house.post("lease=999999").2["lease_seconds"], 3600, "no more than configured");
}

#[test]
fn a_push_shows_how_it_stands() {
    let house = house();
    let (status, _, shown) =
        house.post("destination=pacs&from=17&transfer-syntax=1.2.840.10008.1.2.1&PatientID=1");
    assert_eq!(status, 201);
    for (name, value) in [
        ("delivery", json!("push")),
        ("destination", json!("pacs")),
        ("from", json!(17)),
        ("transfer_syntax", json!("1.2.840.10008.1.2.1")),
        ("state", json!("idle")),
        ("sent", json!(0)),
        ("failed", json!(0)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown.get("retry_in_ms").is_none());
    let all = house.registry.all();
    all[0].progress().set_state(PushState::Waiting(Instant::now() + Duration::from_secs(60)));
    let shown = &house.get("").2[0];
    assert_eq!(shown["state"], "waiting");
    assert!((1..=60_000).contains(&shown["retry_in_ms"].as_u64().unwrap()));
    assert!(!shown.to_string().contains("\"1\""), "no value of a key");
    let rendered = house.post("representation=rendered&from=latest").2;
    assert_eq!((&rendered["representation"], &rendered["from"]), (&json!("rendered"), &json!("latest")));
}

#[test]
fn a_destination_that_is_not_theirs_is_as_if_it_were_not_there() {
    let mut house = house();
    let (absent, foreign) = (house.post("destination=gone"), house.post("destination=others"));
    assert_eq!(problem(&absent), (404, "no-destination"));
    assert_eq!(absent.2, foreign.2);
    assert_eq!(house.post("destination=pacs").0, 201);
    house.who.pushes_to = Box::new(|_| Err(Problem::internal()));
    assert_eq!(house.post("destination=pacs").0, 500, "the right itself is asked for first");
}

#[test]
fn bounds_are_told_with_a_time_to_come_back() {
    let house = house();
    for id in 0..3 {
        assert_eq!(house.post(&format!("PatientID={id}")).0, 201);
    }
    let told = house.post("PatientID=3");
    assert_eq!(problem(&told), (503, "too-many-subscriptions"));
    assert_eq!(told.1[RETRY_AFTER], "30");
    assert_eq!(house.post("PatientID=2").0, 200, "renewing is always possible");
}

#[test]
fn a_name_that_is_taken_is_refused_and_what_is_under_it_is_not_there() {
    let mut house = house();
    assert_eq!(house.post("").0, 201);
    for name in [Some("bob"), None] {
        house = house.called_by(name);
        assert_eq!(problem(&house.post("Modality=US")), (403, "subscriber-taken"));
        for told in [house.get(""), house.delete(""), house.suspend("", true), house.post("update&rate=3")] {
            assert_eq!(problem(&told), (404, "no-subscription"));
        }
    }
    house.who.operates = true;
    house.who.registers = Err(Problem::internal());
    assert_eq!(house.post("").0, 500, "to operate is not to subscribe");
    assert_eq!(house.get("").2.as_array().unwrap().len(), 1);
    assert_eq!(house.suspend("", true).2[0]["suspended"], true);
    assert_eq!(house.delete("").0, 200);
    assert!(house.registry.all().is_empty());
}

#[test]
fn an_update_changes_what_it_names_of_all_or_of_one() {
    let house = house();
    let id = house.post("PatientID=1&rate=5").2["id"].as_str().unwrap().to_owned();
    house.post("PatientID=2&rate=5");
    let (status, _, shown) = house.post("update&paused=true");
    assert_eq!((status, shown.as_array().unwrap().len()), (200, 2));
    for one in shown.as_array().unwrap() {
        assert_eq!((&one["rate"], &one["paused"]), (&json!(5.0), &json!(true)));
    }
    let (_, _, shown) = house.post(&format!("update&rate=0&lease=10&subscription={id}"));
    assert_eq!(shown.as_array().unwrap().len(), 1);
    assert_eq!((&shown[0]["id"], shown[0].get("rate")), (&json!(id), None));
    assert_eq!(shown[0]["lease_seconds"], 10);
    assert_eq!(house.get("").2[1]["rate"], 5.0);
    assert_eq!(problem(&house.post("update&subscription=nobody")), (404, "no-subscription"));
    assert_eq!(problem(&house.post("update&rate=x")), (400, "bad-parameter"));
    assert_eq!(problem(&house.post("update&destination=pacs")), (400, "unexpected-parameter"));
}

#[test]
fn suspended_is_suspended_until_resumed() {
    let house = house();
    assert_eq!(problem(&house.suspend("", true)), (404, "no-subscription"));
    house.post("");
    assert_eq!(house.suspend("", true).2[0]["suspended"], true);
    assert_eq!(house.get("").2[0]["suspended"], true);
    assert_eq!(house.suspend("", false).2[0]["suspended"], false);
    assert_eq!(problem(&house.suspend("rate=1", true)), (400, "unexpected-parameter"));
}

#[test]
fn each_search_resource_has_its_own() {
    let house = house();
    house.post("");
    let (status, _, shown) =
        house.ask("/studies", |desk| desk.post("", &Urls::new("https://box:8443/dicomweb")));
    assert_eq!((status, shown["resource"].as_str()), (201, Some("/studies")));
    assert_eq!(house.get("").2.as_array().unwrap().len(), 1);
    let elsewhere = house.ask("/instances", |desk| desk.get(""));
    assert_eq!(problem(&elsewhere), (404, "no-subscription"));
    let id = shown["id"].as_str().unwrap();
    assert_eq!(problem(&house.get(&format!("subscription={id}"))), (404, "no-subscription"));
}

#[test]
fn what_is_deleted_is_gone() {
    let house = house();
    let id = house.post("PatientID=1").2["id"].as_str().unwrap().to_owned();
    house.post("PatientID=2");
    let (status, _, shown) = house.delete(&format!("subscription={id}"));
    assert_eq!((status, &shown[0]["id"]), (200, &json!(id)));
    assert_eq!(house.get("").2.as_array().unwrap().len(), 1);
    assert_eq!(house.delete("").0, 200);
    for told in [house.get(""), house.delete("")] {
        assert_eq!(problem(&told), (404, "no-subscription"));
    }
}

#[test]
fn those_of_the_configuration_can_be_changed_but_not_deleted() {
    let house = house();
    house.stand();
    assert!(house.get("").2[0].get("lease_seconds").is_none());
    house.post("PatientID=1");
    assert_eq!(problem(&house.delete("")), (403, "standing-subscription"));
    assert_eq!(house.registry.all().len(), 2, "nothing was deleted");
    assert_eq!(house.post("update&rate=3").2[0]["rate"], 3.0);
    assert_eq!(house.suspend("", true).2[0]["suspended"], true);
    let id = house.get("").2[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(house.delete(&format!("subscription={id}")).0, 200);
    assert_eq!(house.registry.all().len(), 1);
}
