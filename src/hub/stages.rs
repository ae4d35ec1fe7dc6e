//! How long frames take from stage to stage: captured, built, published, first byte to a reader, last byte.
//!
//! The hub measures the first two when it takes an instance, each sink the others when it sends one ([`Stages::goes`],
//! [`Stages::gone`]). A measurement is three additions to atomics of a table that is there from the beginning: no lock,
//! no allocation, so that the way of a frame is as long as if nobody looked. What has no [`Way`] (the self-test) is not
//! measured.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};

use crate::instance::{Source, Way};

/// Upper bounds of the buckets (µs); one more is open.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000,
];

/// What sends instances on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sink {
    /// An open-ended response, in the form that the instances have or decoded.
    Retrieve,
    /// An open-ended response of pictures.
    Rendered,
    /// A request to a destination.
    Push,
}

impl Sink {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Retrieve, Self::Rendered, Self::Push];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retrieve => "retrieve",
            Self::Rendered => "rendered",
            Self::Push => "push",
        }
    }
}

/// Times, counted by how long they were (from 100 µs to 10 s). Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Times {
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    within: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Times {
    /// Adds one.
    pub fn observe(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let place = BOUNDS.partition_point(|bound| bound * 1000 < nanoseconds);
        if let Some(count) = self.counts.within.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Upper bounds (s), and how many were within each and above the one before; the last has none.
    pub fn counts(&self) -> Vec<(Option<f64>, u64)> {
        let bounds = BOUNDS.iter().map(|bound| Some(seconds(*bound))).chain([None]);
        bounds.zip(self.counts.within.iter().map(|count| count.load(Ordering::Relaxed))).collect()
    }

    fn is_empty(&self) -> bool {
        self.counts.within.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

impl TypedMetric for Times {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts: Vec<_> =
            self.counts().into_iter().map(|(bound, count)| (bound.unwrap_or(f64::MAX), count)).collect();
        let sum = Duration::from_nanos(self.counts.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        let all = counts.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, all, &counts, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// One instance that a sink has begun to send.
#[derive(Debug)]
pub struct Going {
    sink: Sink,
    way: Way,
    first: Instant,
}

/// The times of all frames. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Stages {
    table: Arc<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sources: [AtSource; Source::ALL.len()],
}

#[derive(Debug, Default)]
struct AtSource {
    building: Times,
    publishing: Times,
    sinks: [AtSink; Sink::ALL.len()],
}

#[derive(Debug, Default)]
struct AtSink {
    waiting: Times,
    sending: Times,
    latency: Times,
}

impl Stages {
    fn of(&self, source: Source) -> Option<&AtSource> {
        self.table.sources.get(source as usize)
    }

    fn at(&self, source: Source, sink: Sink) -> Option<&AtSink> {
        self.of(source)?.sinks.get(sink as usize)
    }

    /// An instance is in the ring.
    pub(super) fn published(&self, way: &Way) {
        let Some(times) = self.of(way.source) else { return };
        times.building.observe(way.building());
        times.publishing.observe(way.publishing());
    }

    /// The first byte of an instance is handed over to a connection, for a reader that has been there since `since`.
    /// `None` where it is not measured: nobody knows its way, or it was in the ring before the reader came, which says
    /// nothing about how fast anybody is.
    pub fn goes(&self, sink: Sink, way: Option<Way>, since: Instant) -> Option<Going> {
        let way = way.filter(|way| way.published >= since)?;
        let first = Instant::now();
        self.at(way.source, sink)?.waiting.observe(first.saturating_duration_since(way.published));
        Some(Going { sink, way, first })
    }

    /// The last byte of it has been handed over.
    pub fn gone(&self, going: Going) {
        let Going { sink, way, first } = going;
        let Some(times) = self.at(way.source, sink) else { return };
        let last = Instant::now();
        times.sending.observe(last.saturating_duration_since(first));
        times.latency.observe(last.saturating_duration_since(way.begun));
    }

    /// From captured to the last byte.
    pub fn latency(&self, source: Source, sink: Sink) -> Option<Times> {
        self.at(source, sink).map(|times| times.latency.clone())
    }

    /// Makes them visible in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }
}

/// Of a source, the histogram that a metric shows.
type OfSource = fn(&AtSource) -> &Times;
/// The same of a sink.
type OfSink = fn(&AtSink) -> &Times;

const SOURCES: [(&str, &str, OfSource); 2] = [
    (
        "frame_build",
        "From a frame's capture to its instance, head and pixels. A capture begins with the buffer dequeued, what comes \
         over the network with its first byte (or the end of the frame before it in the same object), so that there \
         this is how long the peer took to send it",
        |times| &times.building,
    ),
    (
        "frame_publish",
        "From an instance built to an instance in its ring, with the wait for locks",
        |times| &times.publishing,
    ),
];

const SINKS: [(&str, &str, OfSink); 3] = [
    (
        "frame_wait",
        "From an instance in its ring to its first byte handed over to a reader's connection: waking, converting, and \
         the wait for what goes before it. Only of instances that came while their reader was there",
        |times| &times.waiting,
    ),
    (
        "frame_send",
        "From the first byte of an instance handed over to its connection to the last, which is when the connection \
         asks for what follows. An HTTP library holds up to 0.4 MB and the kernel a socket buffer, which may still be \
         on their way",
        |times| &times.sending,
    ),
    (
        "frame_latency",
        "From a frame's capture to the last byte of its instance, all stages together",
        |times| &times.latency,
    ),
];

impl Collector for Stages {
    /// Rows that nothing was counted in are left out: most pairs of source and sink never meet.
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let sources = || Source::ALL.into_iter().zip(&self.table.sources);
        for (name, help, of) in SOURCES {
            let mut family =
                encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            for (source, times) in sources().map(|(source, times)| (source, of(times))) {
                if !times.is_empty() {
                    times.encode(family.encode_family(&[("source", source.as_str())])?)?;
                }
            }
        }
        for (name, help, of) in SINKS {
            let mut family =
                encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
            for (source, times) in sources() {
                for (sink, times) in Sink::ALL.into_iter().zip(&times.sinks) {
                    let times = of(times);
                    if !times.is_empty() {
                        let labels = [("source", source.as_str()), ("sink", sink.as_str())];
                        times.encode(family.encode_family(&labels)?)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Stages {
    /// One of everything, so that every name and label shows.
    pub(crate) fn one_of_each(&self) {
        for times in &self.table.sources {
            times.building.observe(Duration::ZERO);
            times.publishing.observe(Duration::ZERO);
            for times in &times.sinks {
                for times in [&times.waiting, &times.sending, &times.latency] {
                    times.observe(Duration::ZERO);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_where_they_belong() {
        let times = Times::default();
        for microseconds in [0, 100, 101, 9_999_999, 10_000_000, 10_000_001, 60_000_000] {
            times.observe(Duration::from_micros(microseconds));
        }
        let counts = times.counts();
        let of = |bound: Option<f64>| counts.iter().find(|(at, _)| *at == bound).unwrap().1;
        assert_eq!((of(Some(0.0001)), of(Some(0.00025)), of(Some(10.0)), of(None)), (2, 1, 2, 2));
        assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), 7);
    }

    #[test]
    fn only_what_came_while_its_reader_was_there_is_measured() {
        let stages = Stages::default();
        let before = Instant::now();
        let begun = before - Duration::from_millis(20);
        let instance = crate::hub::tests::instance("1.1", 1, 16);
        assert!(stages.goes(Sink::Push, instance.way(), begun).is_none(), "nobody knows its way");
        let mut instance = instance.coming_from(Source::Send, begun);
        instance.enters_ring(before);
        assert!(stages.goes(Sink::Push, instance.way(), before + Duration::from_nanos(1)).is_none());
        let going = stages.goes(Sink::Push, instance.way(), before).unwrap();
        stages.gone(going);
        let mut registry = Registry::default();
        stages.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "frame_wait_seconds_count{source=\"send\",sink=\"push\"} 1",
            "frame_send_seconds_count{source=\"send\",sink=\"push\"} 1",
            "frame_latency_seconds_count{source=\"send\",sink=\"push\"} 1",
            "frame_latency_seconds_bucket{le=\"0.01\",source=\"send\",sink=\"push\"} 0",
            "# UNIT frame_build_seconds seconds",
        ] {
            assert!(text.contains(line), "{line} is not in:\n{text}");
        }
        assert!(!text.contains("retrieve") && !text.contains("frame_build_seconds_count"), "{text}");
    }
}
