//! What is counted of a capture. Registered by the service; the labels are the names of the sections and
//! of the states.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::heartbeat::Heartbeat;
use super::signal::State;

/// Which capture.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Name {
    /// `[capture.NAME]`.
    pub capture: String,
}

/// Which capture, and which state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct InState {
    /// `[capture.NAME]`.
    pub capture: String,
    /// Its name.
    pub state: &'static str,
}

/// Which capture, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Why {
    /// `[capture.NAME]`.
    pub capture: String,
    /// One of few fixed words.
    pub reason: &'static str,
}

/// Counters of all captures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CaptureCounters {
    /// Frames that the driver delivered.
    frames: Family<Name, Counter>,
    /// Instances published.
    published: Family<Name, Counter>,
    /// Frames that the driver counted and did not deliver.
    lost: Family<Name, Counter>,
    /// Frames delivered that did not become instances.
    dropped: Family<Why, Counter>,
    /// The same whatever the reason; whoever reads metrics adds them up.
    dropped_in_all: Family<Name, Counter>,
    /// What went wrong and had to be healed.
    faults: Family<Why, Counter>,
    /// 1 for the state that it is in.
    state: Family<InState, Gauge>,
    /// 1 for what is doubtful in what is said of the patient.
    doubts: Family<Why, Gauge>,
    /// Times that the date was set.
    clock_steps: Family<Name, Counter>,
    /// Converting or decoding one frame (s).
    conversion: Family<Name, Histogram>,
    /// From dequeued to published (s).
    latency: Family<Name, Histogram>,
}

/// Bounds of the stages of a frame (s).
fn stages() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.033, 0.066, 0.25])
}

impl Default for CaptureCounters {
    fn default() -> Self {
        Self {
            frames: Family::default(),
            published: Family::default(),
            lost: Family::default(),
            dropped: Family::default(),
            dropped_in_all: Family::default(),
            faults: Family::default(),
            state: Family::default(),
            doubts: Family::default(),
            clock_steps: Family::default(),
            conversion: Family::new_with_constructor(stages),
            latency: Family::new_with_constructor(stages),
        }
    }
}

/// The counters of one capture.
#[derive(Debug, Clone)]
pub struct Counters {
    name: String,
    all: CaptureCounters,
    /// Frames that the driver delivered.
    pub frames: Counter,
    /// Instances published.
    pub published: Counter,
    /// Frames that the driver counted and did not deliver.
    pub lost: Counter,
    /// Frames delivered that did not become instances, whatever the reason; see [`Counters::dropped`].
    pub dropped_in_all: Counter,
    /// Times that the date was set.
    pub clock_steps: Counter,
    /// Converting or decoding one frame (s).
    pub conversion: Histogram,
    /// From dequeued to published (s).
    pub latency: Histogram,
    /// Whether the capture thread gets on.
    pub heartbeat: Heartbeat,
}

impl CaptureCounters {
    /// Those of the capture of this name.
    pub fn of(&self, name: &str) -> Counters {
        let label = Name { capture: name.to_owned() };
        Counters {
            name: name.to_owned(),
            all: self.clone(),
            frames: self.frames.get_or_create_owned(&label),
            published: self.published.get_or_create_owned(&label),
            lost: self.lost.get_or_create_owned(&label),
            dropped_in_all: self.dropped_in_all.get_or_create_owned(&label),
            clock_steps: self.clock_steps.get_or_create_owned(&label),
            conversion: self.conversion.get_or_create_owned(&label),
            latency: self.latency.get_or_create_owned(&label),
            heartbeat: Heartbeat::default(),
        }
    }

    /// Frames of this capture that did not become instances, by reason.
    pub fn dropped(&self) -> &Family<Why, Counter> {
        &self.dropped
    }

    /// Of the doubts that a capture may have (`all`), these are in what is said of its patient now.
    pub fn doubtful(&self, name: &str, all: &[&'static str], now: &[&'static str]) {
        for &reason in all {
            let label = Why { capture: name.to_owned(), reason };
            self.doubts.get_or_create(&label).set(i64::from(now.contains(&reason)));
        }
    }

    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let capture = registry.sub_registry_with_prefix("capture");
        capture.register("frames", "Frames that the driver delivered", self.frames.clone());
        capture.register("instances", "Instances published", self.published.clone());
        capture.register(
            "frames_lost",
            "Frames that the driver counted and did not deliver",
            self.lost.clone(),
        );
        capture.register("frames_dropped", "Frames that did not become instances", self.dropped.clone());
        capture.register(
            "faults",
            "Faults of devices and streams, which are started again",
            self.faults.clone(),
        );
        capture.register("state", "1 for the state that the capture is in", self.state.clone());
        capture.register(
            "context_doubtful",
            "1 for what is doubtful in what is said of who is imaged",
            self.doubts.clone(),
        );
        capture.register("clock_steps", "Times that the date was set", self.clock_steps.clone());
        capture.register("convert_seconds", "Converting or decoding one frame", self.conversion.clone());
        capture.register("publish_seconds", "From dequeued to published", self.latency.clone());
    }
}

impl Counters {
    /// A frame did not become an instance.
    pub fn dropped(&self, reason: &'static str) {
        self.all.dropped.get_or_create(&Why { capture: self.name.clone(), reason }).inc();
        self.dropped_in_all.inc();
    }

    /// Something went wrong with the device or the stream.
    pub fn fault(&self, reason: &'static str) {
        self.all.faults.get_or_create(&Why { capture: self.name.clone(), reason }).inc();
    }

    /// The capture is in this state now.
    pub fn state(&self, now: State) {
        for state in State::ALL {
            let label = InState { capture: self.name.clone(), state: state.as_str() };
            self.all.state.get_or_create(&label).set(i64::from(state == now));
        }
    }
}

#[cfg(test)]
impl CaptureCounters {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        let counters = self.of("");
        counters.dropped("");
        counters.fault("");
        counters.state(State::Absent);
        self.doubtful("", &[""], &[]);
    }
}
