//! One event as it goes out: a data set in DICOM JSON (PS3.18 Annex F) in the shape of an
//! N-EVENT-REPORT, as `docs/live-profile.md` §5.2 lists it.
//!
//! What all who are told share is written once, into [`News`]. What differs (number, subscription and
//! the base of the Retrieve URL) is put between its pieces when the event is sent, so that the members
//! stand in ascending order as Annex F asks, and an event that nobody fetches is never written out.

use std::time::SystemTime;

use dicom_core::chrono::{DateTime, Utc};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use serde_json::{Value, json};

use super::attributes::{Members, key};
use crate::hub::LiveSeries;
use crate::instance::{Dataset, Identity, Uid};
use crate::subscription::registry::{Form, Subscription};

/// Affected SOP Class UID of our events: a random UUID (version 4) as PS3.5 §B.2 writes it.
pub const SOP_CLASS_UID: &str = "2.25.4210845270894203709435195357327005751";
/// Creator of the private attributes of an event.
pub const PRIVATE_CREATOR: &str = "FRAMEGATE LIVE 1";

/// What the attributes of one subscription take in an event, about (bytes).
const OWN: usize = 1024;

const CREATOR: Tag = Tag(0x0021, 0x0010);
const SUBSCRIPTION_ID: Tag = Tag(0x0021, 0x1001);
const SEQUENCE_NUMBER: Tag = Tag(0x0021, 0x1002);
const MISSED: Tag = Tag(0x0021, 0x1003);
const EVENT_TIME: Tag = Tag(0x0021, 0x1004);
const DOUBTS: Tag = Tag(0x0021, 0x1005);

/// Makes a Retrieve URL: base of the service, Study, Series and SOP Instance UID, and whether it is
/// for rendered images.
pub type RetrieveUrl =
    fn(base: &str, study: &str, series: Option<&str>, instance: Option<&str>, rendered: bool) -> String;

/// Event Type ID (0000,1002).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    StudyBecomingAvailable,
    SeriesBecomingAvailable,
    InstanceAvailable,
    SeriesCompleted,
    SeriesAborted,
    InstancesMissed,
    ServerStatusChange,
    ContextDoubtful,
}

impl Kind {
    fn id(self) -> u16 {
        match self {
            Self::StudyBecomingAvailable => 1,
            Self::SeriesBecomingAvailable => 2,
            Self::InstanceAvailable => 3,
            Self::SeriesCompleted => 4,
            Self::SeriesAborted => 5,
            Self::InstancesMissed => 6,
            Self::ServerStatusChange => 7,
            Self::ContextDoubtful => 8,
        }
    }

    /// For the counter's label.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::StudyBecomingAvailable => "study_becoming_available",
            Self::SeriesBecomingAvailable => "series_becoming_available",
            Self::InstanceAvailable => "instance_available",
            Self::SeriesCompleted => "series_completed",
            Self::SeriesAborted => "series_aborted",
            Self::InstancesMissed => "instances_missed",
            Self::ServerStatusChange => "server_status_change",
            Self::ContextDoubtful => "context_doubtful",
        }
    }
}

/// Status of the server, in (0074,1242).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    GoingDown,
    Restarted,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::GoingDown => "GOING DOWN",
            Self::Restarted => "RESTARTED",
        }
    }
}

/// What an event is about, and what its Retrieve URL leads to.
#[derive(Debug)]
struct Subject {
    study: Uid,
    series: Option<Uid>,
    instance: Option<Uid>,
}

/// An event before anybody is told: what all who are told share.
pub(super) struct News {
    kind: Kind,
    subject: Option<Subject>,
    missed: Option<u64>,
    /// DT (PS3.5 §6.2) in UTC with its offset.
    time: String,
    /// Shared attributes as text: up to Retrieve URL, to our creator, to our block, and what follows.
    pieces: [String; 4],
}

impl std::fmt::Debug for News {
    /// Shows what kind it is; its attributes are PHI.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("News").field("kind", &self.kind).field("bytes", &self.len()).finish_non_exhaustive()
    }
}

impl News {
    /// A study is becoming available: `live` is its first series. `dataset` is what it is described by.
    pub(super) fn study(live: &LiveSeries, dataset: Dataset, now: SystemTime) -> Self {
        let subject = Subject { study: live.study().clone(), series: None, instance: None };
        Self::of_dataset(Kind::StudyBecomingAvailable, subject, dataset, now)
    }

    /// A series opens or ends. `dataset` is what it is described by.
    pub(super) fn series(kind: Kind, live: &LiveSeries, dataset: Dataset, now: SystemTime) -> Self {
        let series = Some(live.series().clone());
        let subject = Subject { study: live.study().clone(), series, instance: None };
        Self::of_dataset(kind, subject, dataset, now)
    }

    /// An instance is in memory. `dataset` is its own.
    pub(super) fn instance(identity: &Identity, dataset: Dataset, available: SystemTime) -> Self {
        let Identity { study, series, sop_instance, .. } = identity.clone();
        let subject = Subject { study, series: Some(series), instance: Some(sop_instance) };
        Self::of_dataset(Kind::InstanceAvailable, subject, dataset, available)
    }

    /// This many events or instances are gone; of a series, if it is one.
    pub(super) fn missed(live: Option<&LiveSeries>, count: u64, now: SystemTime) -> Self {
        let subject = live.map(|live| Subject {
            study: live.study().clone(),
            series: Some(live.series().clone()),
            instance: None,
        });
        let mut members = Members::default();
        if let Some(live) = live {
            members.put(tags::STUDY_INSTANCE_UID, VR::UI, json!(**live.study()));
            members.put(tags::SERIES_INSTANCE_UID, VR::UI, json!(**live.series()));
        }
        members.put(tags::INSTANCE_AVAILABILITY, VR::CS, json!("ONLINE"));
        Self::new(Kind::InstancesMissed, subject, Some(count), members, now)
    }

    /// These are the doubts in what is said of a series' patient.
    pub(super) fn doubtful(live: &LiveSeries, doubts: &[String], now: SystemTime) -> Self {
        let (study, series) = (live.study().clone(), live.series().clone());
        let mut members = Members::default();
        members.put(tags::STUDY_INSTANCE_UID, VR::UI, json!(*study));
        members.put(tags::SERIES_INSTANCE_UID, VR::UI, json!(*series));
        members.put(tags::INSTANCE_AVAILABILITY, VR::CS, json!("ONLINE"));
        members.put_all(DOUBTS, VR::LO, doubts);
        let subject = Subject { study, series: Some(series), instance: None };
        Self::new(Kind::ContextDoubtful, Some(subject), None, members, now)
    }

    /// The server changes its status.
    pub(super) fn status(status: Status, now: SystemTime) -> Self {
        let mut members = Members::default();
        members.put(tags::SCP_STATUS, VR::CS, json!(status.word()));
        Self::new(Kind::ServerStatusChange, None, None, members, now)
    }

    fn of_dataset(kind: Kind, subject: Subject, dataset: Dataset, now: SystemTime) -> Self {
        let mut members = Members::of(&dataset);
        members.put(tags::INSTANCE_AVAILABILITY, VR::CS, json!("ONLINE"));
        Self::new(kind, Some(subject), None, members, now)
    }

    fn new(
        kind: Kind,
        subject: Option<Subject>,
        missed: Option<u64>,
        mut members: Members,
        now: SystemTime,
    ) -> Self {
        let affected = match &subject {
            Some(Subject { study, series, instance }) => {
                instance.as_ref().or(series.as_ref()).unwrap_or(study).to_string()
            }
            None => SOP_CLASS_UID.to_owned(),
        };
        members.put(tags::AFFECTED_SOP_INSTANCE_UID, VR::UI, json!(affected));
        members.put(tags::EVENT_TYPE_ID, VR::US, json!(kind.id()));
        let time = DateTime::<Utc>::from(now).format("%Y%m%d%H%M%S%.6f+0000").to_string();
        let pieces = [
            members.text(..tags::RETRIEVE_URL),
            members.text(tags::RETRIEVE_URL..CREATOR),
            members.text(CREATOR..SUBSCRIPTION_ID),
            members.text(EVENT_TIME..),
        ];
        Self { kind, subject, missed, time, pieces }
    }

    /// What kind of event it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// About how long its text is (bytes).
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(String::len).sum::<usize>() + OWN
    }

    /// The text frame for one subscription, with its number there.
    pub(super) fn text(&self, subscription: &Subscription, number: u64, url: RetrieveUrl) -> String {
        let [before_url, before_creator, before_block, behind] = &self.pieces;
        let mut text = String::with_capacity(self.len());
        text.push('{');
        member(&mut text, tags::AFFECTED_SOP_CLASS_UID, VR::UI, &json!(SOP_CLASS_UID));
        member(&mut text, tags::MESSAGE_ID, VR::US, &json!(number % 0x1_0000));
        text.push_str(before_url);
        if let Some(Subject { study, series, instance }) = &self.subject {
            let request = subscription.request();
            let rendered = request.form == Form::Rendered;
            let url = url(&request.base, study, series.as_deref(), instance.as_deref(), rendered);
            member(&mut text, tags::RETRIEVE_URL, VR::UR, &json!(url));
        }
        text.push_str(before_creator);
        member(&mut text, CREATOR, VR::LO, &json!(PRIVATE_CREATOR));
        text.push_str(before_block);
        member(&mut text, SUBSCRIPTION_ID, VR::LO, &json!(**subscription.id()));
        member(&mut text, SEQUENCE_NUMBER, VR::UV, &json!(number));
        if let Some(missed) = self.missed {
            member(&mut text, MISSED, VR::UV, &json!(missed));
        }
        member(&mut text, EVENT_TIME, VR::DT, &json!(self.time));
        text.push_str(behind);
        // Every member ends with a comma.
        text.pop();
        text.push('}');
        text
    }
}

/// One attribute with one value.
fn member(text: &mut String, tag: Tag, vr: VR, value: &Value) {
    text.push_str(&format!("\"{}\":{{\"vr\":\"{vr}\",\"Value\":[{value}]}},", key(tag)));
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use dicom_core::{DataElement, PrimitiveValue};
    use serde_json::Map;

    use super::*;
    use crate::config::settings::{HubSettings, SubscriptionSettings};
    use crate::hub::Hub;
    use crate::instance::uid;
    use crate::subscription::registry::testing::request;
    use crate::subscription::registry::{Registry, Request};

    fn url(base: &str, study: &str, series: Option<&str>, instance: Option<&str>, rendered: bool) -> String {
        [base, study, series.unwrap_or("-"), instance.unwrap_or("-"), &rendered.to_string()].join("/")
    }

    fn subscription(form: Form) -> Arc<Subscription> {
        let request = Request { form, base: "https://box".into(), ..request("VIEWER", "") };
        Registry::new(SubscriptionSettings::default()).subscribe(request).unwrap().0
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(1_772_323_199_000_042)
    }

    fn series() -> Arc<LiveSeries> {
        let hub = Hub::new(HubSettings::default());
        let open = hub.open(&"1".into(), &"1.2".into(), || Ok::<_, Infallible>(Dataset::new_empty()));
        open.unwrap().series().clone()
    }

    /// Parses an event, and holds it to the order of Annex F.
    fn read(text: &str) -> Map<String, Value> {
        let object: Map<String, Value> = serde_json::from_str(text).unwrap();
        let mut keys: Vec<&String> = object.keys().collect();
        keys.sort();
        let places: Vec<_> = keys.iter().map(|key| text.find(&format!("\"{key}\":{{")).unwrap()).collect();
        assert!(places.is_sorted(), "attributes are not in ascending order: {text}");
        object
    }

    #[test]
    fn the_sop_class_is_a_random_uuid() {
        let number: u128 = SOP_CLASS_UID.strip_prefix("2.25.").unwrap().parse().unwrap();
        let uuid = uuid::Uuid::from_u128(number);
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122));
        assert!(uid::is_plausible(SOP_CLASS_UID));
    }

    #[test]
    fn a_becoming_available_event_has_every_attribute_of_the_profile() {
        let text = |tag, vr, text: &str| DataElement::new(tag, vr, PrimitiveValue::from(text));
        let dataset = Dataset::from_element_iter([
            text(tags::PATIENT_NAME, VR::PN, "Demo^Änna"),
            text(tags::STUDY_INSTANCE_UID, VR::UI, "1"),
            // What a careless source may have left in its data set does not pass for ours.
            text(tags::RETRIEVE_URL, VR::UR, "https://elsewhere"),
            text(tags::INSTANCE_AVAILABILITY, VR::CS, "OFFLINE"),
            text(Tag(0x0021, 0x0010), VR::LO, "SOMEBODY ELSE"),
            text(Tag(0x0021, 0x1002), VR::LO, "theirs"),
            text(Tag(0x0040, 0x0254), VR::LO, "behind"),
        ]);
        let subscription = subscription(Form::AsTheyAre);
        let news = News::series(Kind::SeriesBecomingAvailable, &series(), dataset, now());
        let event = read(&news.text(&subscription, 70_000, url));
        let value = |key: &str| event[key]["Value"][0].clone();
        for (key, vr, expected) in [
            ("00000002", "UI", json!(SOP_CLASS_UID)),
            ("00000110", "US", json!(70_000 - 65_536)),
            ("00001000", "UI", json!("1.2")),
            ("00001002", "US", json!(2)),
            ("00080005", "CS", json!("ISO_IR 192")),
            ("00080056", "CS", json!("ONLINE")),
            ("00081190", "UR", json!("https://box/1/1.2/-/false")),
            ("00100010", "PN", json!({"Alphabetic": "Demo^Änna"})),
            ("00210010", "LO", json!("FRAMEGATE LIVE 1")),
            ("00210011", "LO", json!("SOMEBODY ELSE")),
            ("00211001", "LO", json!(**subscription.id())),
            ("00211002", "UV", json!(70_000)),
            ("00211004", "DT", json!("20260228235959.000042+0000")),
            ("00211102", "LO", json!("theirs")),
            ("00400254", "LO", json!("behind")),
        ] {
            assert_eq!(value(key), expected, "{key}");
            assert_eq!(event[key]["vr"], vr, "{key}");
        }
        assert!(!event.contains_key("00211003"));
    }

    #[test]
    fn affected_instance_and_retrieve_url_follow_the_kind() {
        let live = series();
        let rendered = subscription(Form::Rendered);
        let seen = |news: News| {
            let event = read(&news.text(&rendered, 1, url));
            let url = event.get("00081190").map(|url| url["Value"][0].as_str().unwrap().to_owned());
            let text = |key: &str| event[key]["Value"][0].as_str().unwrap().to_owned();
            (event["00001002"]["Value"][0].as_u64().unwrap(), text("00001000"), url.unwrap_or_default())
        };
        let of = |kind: u64, uid: &str, url: &str| (kind, uid.to_owned(), url.to_owned());
        let empty = Dataset::new_empty;
        assert_eq!(seen(News::study(&live, empty(), now())), of(1, "1", "https://box/1/-/-/true"));
        for kind in [Kind::SeriesCompleted, Kind::SeriesAborted] {
            let expected = of(u64::from(kind.id()), "1.2", "https://box/1/1.2/-/true");
            assert_eq!(seen(News::series(kind, &live, empty(), now())), expected);
        }
        let identity = Identity {
            study: "1".into(),
            series: "1.2".into(),
            sop_class: "1.3".into(),
            sop_instance: "1.2.9".into(),
        };
        let news = News::instance(&identity, empty(), now());
        assert_eq!(seen(news), of(3, "1.2.9", "https://box/1/1.2/1.2.9/true"));
        assert_eq!(seen(News::missed(Some(&live), 3, now())), of(6, "1.2", "https://box/1/1.2/-/true"));
        assert_eq!(seen(News::missed(None, 3, now())), of(6, SOP_CLASS_UID, ""));
        assert_eq!(seen(News::doubtful(&live, &[], now())), of(8, "1.2", "https://box/1/1.2/-/true"));
        assert_eq!(seen(News::status(Status::Restarted, now())), of(7, SOP_CLASS_UID, ""));
    }

    #[test]
    fn missed_and_status_say_what_they_are_for() {
        let subscription = subscription(Form::AsTheyAre);
        let missed = read(&News::missed(Some(&series()), 3, now()).text(&subscription, 5, url));
        assert_eq!(missed["00211003"], json!({"vr": "UV", "Value": [3]}));
        assert_eq!(missed["0020000D"]["Value"][0], "1");
        assert_eq!(missed["0020000E"]["Value"][0], "1.2");
        for (doubts, value) in [
            (
                &["stale mpps".to_owned(), "x".to_owned()][..],
                json!({"vr": "LO", "Value": ["stale mpps", "x"]}),
            ),
            (&[], json!({"vr": "LO"})),
        ] {
            let doubtful = read(&News::doubtful(&series(), doubts, now()).text(&subscription, 5, url));
            assert_eq!((&doubtful["00211005"], &doubtful["0020000E"]["Value"][0]), (&value, &json!("1.2")));
        }
        let status = read(&News::status(Status::GoingDown, now()).text(&subscription, 6, url));
        assert_eq!(status["00741242"], json!({"vr": "CS", "Value": ["GOING DOWN"]}));
    }

    #[test]
    fn nothing_of_a_data_set_is_shown_to_a_log() {
        let name = DataElement::new(tags::PATIENT_NAME, VR::PN, PrimitiveValue::from("Secret^Name"));
        let news = News::study(&series(), Dataset::from_element_iter([name]), now());
        assert!(!format!("{news:?}").contains("Secret"));
    }
}
