//! What is read when somebody asks, since it is known elsewhere anyhow: how full rings and spools are, what listeners
//! turned away, when certificates expire, whether frames get through.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::super::progress::Progress;
use crate::hub::Hub;
use crate::net::counters::NetCounters;
use crate::net::tls::Reloading;
use crate::spool::{Spool, Stats};

/// See the module.
#[derive(Debug)]
pub(super) struct Sampled {
    pub(super) hub: Hub,
    /// By the section of each.
    pub(super) listeners: BTreeMap<&'static str, Arc<NetCounters>>,
    /// By relay.
    pub(super) spools: BTreeMap<String, Spool>,
    pub(super) secured: Vec<(&'static str, Arc<Reloading>)>,
    pub(super) progress: Progress,
}

/// A value of a listener, under the labels beside `listener`.
type OfListener = (&'static str, &'static str, &'static [(&'static str, fn(&NetCounters) -> u64)]);

/// Name, help, and for each `reason` the count; an empty reason stands for no such label.
const OF_LISTENERS: [OfListener; 6] = [
    ("http_connections", "Connections accepted, those refused included", &[("", |net| net.accepted.get())]),
    (
        "http_accepts_failed",
        "Accepts that failed, for want of descriptors or memory",
        &[("", |net| net.accept_failed.get())],
    ),
    (
        "http_connections_refused",
        "Connections refused: from a network that is not allowed, or beyond the bound in all or of one address",
        &[
            ("network", |net| net.refused_network.get()),
            ("connections", |net| net.refused_connections.get()),
            ("peer_connections", |net| net.refused_peer_connections.get()),
        ],
    ),
    (
        "http_connections_dropped",
        "Connections ended by us: plain HTTP, TLS that failed or took too long, a certificate that is revoked, a request \
         head that took too long, nothing asked, nothing taken, open at the end of the drain time",
        &[
            ("plain", |net| net.plain_http.get()),
            ("tls_failed", |net| net.tls_failed.get()),
            ("tls_timeout", |net| net.tls_timeout.get()),
            ("revoked", |net| net.revoked.get()),
            ("slow_head", |net| net.slow_head.get()),
            ("idle", |net| net.idle_closed.get()),
            ("stalled", |net| net.stalled_dropped.get()),
            ("drain", |net| net.drain_dropped.get()),
        ],
    ),
    ("http_requests_rate_limited", "Requests answered with 429", &[("", |net| net.rate_limited.get())]),
    (
        "http_panics",
        "Handlers that panicked, which is a fault of framegate",
        &[("", |net| net.panicked.get())],
    ),
];

/// Name, help, value.
type OfSpool<T> = (&'static str, &'static str, T);
/// What is read of a spool.
type Read = fn(&Stats) -> u64;
/// The same for each value of the label.
type ReadBy = &'static [(&'static str, Read)];

const SPOOL_GAUGES: [OfSpool<Read>; 5] = [
    ("spool_bytes", "Bytes on the disk of what waits for an upstream", |stats| stats.bytes),
    ("spool_objects", "Objects that wait for an upstream", |stats| stats.objects as u64),
    ("spool_oldest_age_seconds", "Age of the first of them", |stats| {
        stats.oldest.unwrap_or_default().as_secs()
    }),
    ("spool_objects_set_aside", "Objects that the upstream has refused for good", |stats| {
        stats.set_aside as u64
    }),
    ("spool_objects_locked", "Objects under another sealed key", |stats| stats.locked as u64),
];

const SPOOL_COUNTERS: [OfSpool<ReadBy>; 4] = [
    ("spool_objects_committed", "Objects that were spooled", &[("", |stats| stats.committed)]),
    (
        "spool_objects_delivered",
        "Objects that the upstream has got from the spool",
        &[("", |stats| stats.delivered)],
    ),
    (
        "spool_objects_refused",
        "Objects that were not spooled, so that the modality keeps them: no room, or the disk failed",
        &[("full", |stats| stats.full), ("failed", |stats| stats.failed)],
    ),
    (
        "spool_objects_lost",
        "Objects that had been acknowledged and are lost: too old, damaged on the disk, or their transient key is gone",
        &[
            ("expired", |stats| stats.lost.expired),
            ("damaged", |stats| stats.lost.damaged),
            ("without_key", |stats| stats.lost.without_key),
        ],
    ),
];

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.hub(&mut encoder)?;
        self.spools(&mut encoder)?;
        self.listeners(&mut encoder)?;
        let mut expiry = encoder.encode_descriptor(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate chain that a listener serves expires (Unix time)",
            None,
            MetricType::Gauge,
        )?;
        for (name, tls) in &self.secured {
            let until = tls.validity().not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            gauge(until.as_secs()).encode(expiry.encode_family(&[("listener", *name)])?)?;
        }
        let age = ConstGauge::new(self.progress.age(Instant::now()).as_secs_f64());
        let help = "Since a frame of ours last went through the hub to a reader, which is tried every second";
        age.encode(encoder.encode_descriptor("progress_age_seconds", help, None, MetricType::Gauge)?)
    }
}

impl Sampled {
    fn hub(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let hub = self.hub.occupancy();
        let gauges = [
            ("hub_bytes", "Bytes in all rings", hub.bytes),
            (
                "hub_budget_bytes",
                "Bytes that may be in all rings (hub.budget_bytes)",
                self.hub.budget_bytes(),
            ),
            ("hub_instances", "Instances in all rings", hub.instances as u64),
            ("hub_series", "Series that are live or still readable", hub.series as u64),
        ];
        for (name, help, value) in gauges {
            gauge(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let (name, help) = ("hub_instances_evicted", "Instances that left a ring");
        let evicted = ConstCounter::new(hub.evicted);
        evicted.encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    fn spools(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let spools: Vec<_> =
            self.spools.iter().map(|(relay, spool)| (relay.as_str(), spool.stats())).collect();
        for (name, help, value) in SPOOL_GAUGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (relay, stats) in &spools {
                gauge(value(stats)).encode(family.encode_family(&[("relay", *relay)])?)?;
            }
        }
        for (name, help, values) in SPOOL_COUNTERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (relay, stats) in &spools {
                for (reason, value) in values {
                    let labels = [("relay", *relay), ("reason", *reason)];
                    let labels = if reason.is_empty() { &labels[..1] } else { &labels[..] };
                    ConstCounter::new(value(stats)).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }

    fn listeners(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, values) in OF_LISTENERS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (listener, net) in &self.listeners {
                for (reason, value) in values {
                    let labels = [("listener", *listener), ("reason", *reason)];
                    let labels = if reason.is_empty() { &labels[..1] } else { &labels[..] };
                    ConstCounter::new(value(net)).encode(family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}
