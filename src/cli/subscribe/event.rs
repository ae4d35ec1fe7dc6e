//! Reads the events of a notification connection (live profile §5.2): one DICOM JSON data set each
//! (PS3.18 Annex F). Only what is shown or acted upon is taken.

use serde_json::{Map, Value};

use crate::cli::statistics::Facts;
use crate::instance::Uid;
use crate::instance::uid::is_plausible;

const CREATOR: &str = "FRAMEGATE LIVE 1";

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::StudyBecomingAvailable,
            2 => Self::SeriesBecomingAvailable,
            3 => Self::InstanceAvailable,
            4 => Self::SeriesCompleted,
            5 => Self::SeriesAborted,
            6 => Self::InstancesMissed,
            7 => Self::ServerStatusChange,
            8 => Self::ContextDoubtful,
            _ => return None,
        })
    }

    /// Event Type ID (0000,1002).
    pub(super) fn number(self) -> u64 {
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

    /// Its name in the live profile.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::StudyBecomingAvailable => "Study Becoming Available",
            Self::SeriesBecomingAvailable => "Series Becoming Available",
            Self::InstanceAvailable => "Instance Available",
            Self::SeriesCompleted => "Series Completed",
            Self::SeriesAborted => "Series Aborted",
            Self::InstancesMissed => "Instances Missed",
            Self::ServerStatusChange => "Server Status Change",
            Self::ContextDoubtful => "Context Doubtful",
        }
    }
}

/// One event. UIDs in it are plausible, or not there.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) kind: Kind,
    pub(super) study: Option<Uid>,
    pub(super) series: Option<Uid>,
    /// Affected SOP Instance UID, for an instance.
    pub(super) instance: Option<Uid>,
    pub(super) facts: Facts,
    /// Retrieve URL (0008,1190).
    pub(super) retrieve_url: Option<String>,
    /// Sequence Number (0021,xx02).
    pub(super) sequence: Option<u64>,
    /// Missed (0021,xx03).
    pub(super) missed: u64,
    /// (0074,1242), of a Server Status Change.
    pub(super) status: Option<String>,
    /// (0021,xx05), of a Context Doubtful.
    pub(super) doubts: Vec<String>,
}

/// A message that is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message is no event of the live profile")]
pub(super) struct BadEvent;

impl Event {
    /// Reads one.
    pub(super) fn parse(text: &str, show_phi: bool) -> Result<Self, BadEvent> {
        let Ok(Value::Object(set)) = serde_json::from_str(text) else { return Err(BadEvent) };
        let set = Set(set);
        let kind = set.number("00001002").and_then(Kind::of).ok_or(BadEvent)?;
        let ours = set.text("00210010").as_deref() == Some(CREATOR);
        let private = |tag| if ours { set.number(tag) } else { None };
        let affected = set.uid("00001000");
        Ok(Self {
            kind,
            study: match kind {
                Kind::StudyBecomingAvailable => set.uid("0020000D").or_else(|| affected.clone()),
                _ => set.uid("0020000D"),
            },
            series: set.uid("0020000E"),
            instance: affected.filter(|_| kind == Kind::InstanceAvailable),
            facts: Facts {
                modality: set.text("00080060"),
                rows: set.number("00280010").and_then(|rows| rows.try_into().ok()),
                columns: set.number("00280011").and_then(|columns| columns.try_into().ok()),
                transfer_syntax: set.text("00083002"),
                patient_name: if show_phi { set.text("00100010") } else { None },
            },
            retrieve_url: set.text("00081190"),
            sequence: private("00211002"),
            missed: private("00211003").unwrap_or(0),
            status: set.text("00741242"),
            doubts: if ours { set.texts("00211005") } else { Vec::new() },
        })
    }

    /// What can be retrieved now and while it grows: path of the resource, for a service that gives no
    /// Retrieve URL.
    pub(super) fn resource(&self) -> Option<String> {
        let study = self.study.as_ref()?;
        match self.kind {
            Kind::StudyBecomingAvailable => Some(format!("/studies/{study}")),
            Kind::SeriesBecomingAvailable => {
                let series = self.series.as_ref()?;
                Some(format!("/studies/{study}/series/{series}"))
            }
            _ => None,
        }
    }
}

/// A DICOM JSON data set.
struct Set(Map<String, Value>);

impl Set {
    /// The first value of an attribute.
    fn first(&self, tag: &str) -> Option<&Value> {
        self.0.get(tag)?.get("Value")?.get(0)
    }

    fn text(&self, tag: &str) -> Option<String> {
        let value = self.first(tag)?;
        // A Person Name is an object of its representations.
        let text = value.as_str().or_else(|| value.get("Alphabetic")?.as_str())?;
        Some(text.chars().take(1024).collect())
    }

    /// The first few values.
    fn texts(&self, tag: &str) -> Vec<String> {
        let values = self.0.get(tag).and_then(|attribute| attribute.get("Value")?.as_array());
        let texts = values.into_iter().flatten().take(16).filter_map(|value| value.as_str());
        texts.map(|text| text.chars().take(64).collect()).collect()
    }

    /// A number may be written as text, as 64-bit ones should be (PS3.18 §F.2.3).
    fn number(&self, tag: &str) -> Option<u64> {
        let value = self.first(tag)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    fn uid(&self, tag: &str) -> Option<Uid> {
        self.text(tag).filter(|text| is_plausible(text)).map(Uid::from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn opened() -> Value {
        json!({
            "00001000": {"vr": "UI", "Value": ["1.2.3"]},
            "00001002": {"vr": "US", "Value": [2]},
            "00210010": {"vr": "LO", "Value": ["FRAMEGATE LIVE 1"]},
            "00211002": {"vr": "UV", "Value": ["18446744073709551615"]},
            "00080060": {"vr": "CS", "Value": ["XA"]},
            "00081190": {"vr": "UR", "Value": ["https://gate/dicomweb/studies/1.2/series/1.2.3"]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Demo^Patient"}]},
            "0020000D": {"vr": "UI", "Value": ["1.2"]},
            "0020000E": {"vr": "UI", "Value": ["1.2.3"]},
            "00280010": {"vr": "US", "Value": [512]},
            "00280011": {"vr": "US"},
        })
    }

    #[test]
    fn an_event_is_read_without_the_patient() {
        let event = Event::parse(&opened().to_string(), false).unwrap();
        assert_eq!(event.kind, Kind::SeriesBecomingAvailable);
        assert_eq!((event.study.as_deref(), event.series.as_deref()), (Some("1.2"), Some("1.2.3")));
        assert_eq!(event.sequence, Some(u64::MAX));
        assert_eq!((event.facts.rows, event.facts.columns), (Some(512), None));
        assert_eq!(event.resource().as_deref(), Some("/studies/1.2/series/1.2.3"));
        assert!(!format!("{event:?}").contains("Demo"));
        let shown = Event::parse(&opened().to_string(), true).unwrap();
        assert_eq!(shown.facts.patient_name.as_deref(), Some("Demo^Patient"));
    }

    #[test]
    fn private_numbers_count_only_under_their_creator() {
        let mut set = opened();
        set["00210010"]["Value"][0] = json!("SOMEBODY ELSE");
        assert_eq!(Event::parse(&set.to_string(), false).unwrap().sequence, None);
    }

    #[test]
    fn what_is_no_uid_names_nothing() {
        let mut set = opened();
        set["0020000E"]["Value"][0] = json!("../../etc");
        let event = Event::parse(&set.to_string(), false).unwrap();
        assert_eq!((event.series.clone(), event.resource()), (None, None));
    }

    #[test]
    fn other_messages_are_no_events() {
        for text in ["", "[]", "{}", "nonsense", r#"{"00001002":{"vr":"US","Value":[99]}}"#] {
            assert!(Event::parse(text, false).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_messages_never_panic(text in ".{0,200}", value in "[0-9a-z.\\[\\]{}\":,]{0,60}") {
            let _ = Event::parse(&text, true);
            let _ = Event::parse(&format!(r#"{{"00001002":{{"Value":[2]}},"0020000D":{value}}}"#), true);
        }
    }
}
