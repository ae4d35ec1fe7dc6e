//! `/metrics` in the Prometheus text format (OpenMetrics), on a loopback address of its own. No
//! value and no label holds PHI.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_TYPE;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::audit::counters::AuditCounters;
use crate::dicomweb::DicomwebCounters;
use crate::hub::Hub;
use crate::net::counters::NetCounters;
use crate::net::tls::Reloading;
use crate::procedure::ProcedureCounters;
use crate::sink::availability::AvailabilityCounters;
use crate::sink::notify::NotifyCounters;
use crate::sink::push::PushCounters;
use crate::source::capture::counters::CaptureCounters;
use crate::source::dimse::DimseCounters;
use crate::source::dimse::relay::counters::RelayCounters;
use crate::source::send::SendCounters;
use crate::spool::{Spool, Stats};

const CONNECTIONS: usize = 8;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Everything that is counted, by the room that counts it.
#[derive(Debug, Clone)]
pub struct Counters {
    /// How full the rings are.
    pub hub: Hub,
    /// The DIMSE source.
    pub dimse: DimseCounters,
    /// Relays.
    pub relay: RelayCounters,
    /// What waits for upstreams, by relay.
    pub spools: BTreeMap<String, Spool>,
    /// Send and Store.
    pub send: SendCounters,
    /// The DICOMweb origin server.
    pub dicomweb: DicomwebCounters,
    /// Notification.
    pub notify: NotifyCounters,
    /// Its listener.
    pub net: Arc<NetCounters>,
    /// Peers that are told what is available.
    pub availability: AvailabilityCounters,
    /// What is pushed to destinations.
    pub push: PushCounters,
    /// Worklists and performed procedure steps.
    pub procedure: ProcedureCounters,
    /// Capture devices.
    pub capture: CaptureCounters,
    /// What the service finds when it tries itself.
    pub self_test: SelfTestMetrics,
    /// The audit trail.
    pub audit: AuditCounters,
}

/// The last self-test. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SelfTestMetrics {
    ok: Gauge,
    seconds: Gauge<f64, AtomicU64>,
}

impl SelfTestMetrics {
    /// One has ended.
    pub(super) fn set(&self, ok: bool, took: Duration) {
        self.ok.set(ok.into());
        self.seconds.set(took.as_secs_f64());
    }

    fn register(&self, registry: &mut Registry) {
        let test = registry.sub_registry_with_prefix("self_test");
        test.register("ok", "1 where the last self-test was good", self.ok.clone());
        test.register("seconds", "How long the last self-test took", self.seconds.clone());
    }
}

impl Counters {
    /// A registry with all of them, and with when the certificates of `listeners` expire.
    pub fn registry(&self, listeners: &[(&'static str, Arc<Reloading>)]) -> Registry {
        let mut registry = Registry::with_prefix("framegate");
        self.dimse.register(&mut registry);
        self.relay.register(&mut registry);
        self.send.register(&mut registry);
        self.dicomweb.register(&mut registry);
        self.availability.register(&mut registry);
        self.notify.register(&mut registry);
        self.push.register(&mut registry);
        self.procedure.register(&mut registry);
        self.capture.register(&mut registry);
        self.self_test.register(&mut registry);
        self.audit.register(&mut registry);
        registry.register_collector(Box::new(Sampled {
            hub: self.hub.clone(),
            net: self.net.clone(),
            spools: self.spools.clone(),
            listeners: listeners.to_vec(),
        }));
        registry
    }
}

/// What is read when somebody asks.
#[derive(Debug)]
struct Sampled {
    hub: Hub,
    net: Arc<NetCounters>,
    spools: BTreeMap<String, Spool>,
    listeners: Vec<(&'static str, Arc<Reloading>)>,
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let hub = self.hub.occupancy();
        let spool = self.spools.values().map(Spool::stats).fold(Stats::default(), Stats::and);
        let gauges = [
            ("spool_bytes", "Bytes on the disk of what waits for an upstream", spool.bytes),
            ("spool_objects", "Objects that wait for an upstream", spool.objects as u64),
            ("spool_oldest_seconds", "Age of the first of them", spool.oldest.unwrap_or_default().as_secs()),
            ("spool_set_aside", "Objects that an upstream has refused for good", spool.set_aside as u64),
            ("spool_locked", "Objects under another sealed key", spool.locked as u64),
            ("hub_bytes", "Bytes in all rings", hub.bytes),
            ("hub_instances", "Instances in all rings", hub.instances as u64),
            ("hub_series", "Series that are live or still readable", hub.series as u64),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let mut expiry = encoder.encode_descriptor(
            "tls_certificate_expiry_timestamp_seconds",
            "When the certificate chain that a listener serves expires, in seconds since 1970",
            None,
            MetricType::Gauge,
        )?;
        for (name, tls) in &self.listeners {
            let until = tls.validity().not_after.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let gauge = ConstGauge::new(i64::try_from(until.as_secs()).unwrap_or(i64::MAX));
            gauge.encode(expiry.encode_family(&[("listener", *name)])?)?;
        }
        let net = &self.net;
        let counts = [
            ("spool_committed", "Objects that were spooled", spool.committed),
            ("spool_delivered", "Objects that an upstream has got from the spool", spool.delivered),
            ("spool_full", "Objects that were refused for want of room", spool.full),
            ("spool_failed", "Objects that were refused since the disk failed", spool.failed),
            ("spool_expired", "Objects given up for their age", spool.lost.expired),
            ("spool_damaged", "Objects that the disk has damaged", spool.lost.damaged),
            ("spool_without_key", "Objects whose transient key is gone", spool.lost.without_key),
            ("hub_evicted", "Instances that left a ring", hub.evicted),
            ("http_connections", "Connections accepted", net.accepted.get()),
            ("http_accept_failed", "Accepts that failed", net.accept_failed.get()),
            ("http_refused_network", "Connections from networks not allowed", net.refused_network.get()),
            ("http_refused_connections", "Connections beyond the bound", net.refused_connections.get()),
            (
                "http_refused_peer_connections",
                "Connections beyond the bound of one address",
                net.refused_peer_connections.get(),
            ),
            ("http_plain", "Connections that did not speak TLS", net.plain_http.get()),
            ("http_tls_failed", "TLS handshakes that failed", net.tls_failed.get()),
            ("http_tls_timeout", "TLS handshakes that took too long", net.tls_timeout.get()),
            ("http_revoked", "Connections closed because their client was revoked", net.revoked.get()),
            ("http_slow_head", "Request heads that took too long", net.slow_head.get()),
            ("http_idle_closed", "Idle connections closed", net.idle_closed.get()),
            ("http_rate_limited", "Requests answered with 429", net.rate_limited.get()),
            ("http_stalled_dropped", "Readers dropped because they took nothing", net.stalled_dropped.get()),
            ("http_drain_dropped", "Connections dropped at shutdown", net.drain_dropped.get()),
            ("http_panicked", "Handlers that panicked", net.panicked.get()),
        ];
        for (name, help, value) in counts {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// Serves `registry` until `stopping` turns true.
pub async fn serve(listener: TcpListener, registry: Registry, mut stopping: watch::Receiver<bool>) {
    let registry = Arc::new(registry);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stopping.wait_for(|&down| down) => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // No descriptors or no memory, most likely: others need time to close.
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let registry = registry.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let response = respond(&registry, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            // What a scraper does wrong is its own affair.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
            drop(slot);
        });
    }
}

fn respond(registry: &Registry, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let mut body = String::new();
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
        let _ = writeln!(body, "metrics are at /metrics");
    } else if text::encode(&mut body, registry).is_err() {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        body.clear();
    } else {
        let kind =
            http::HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    *response.body_mut() = Full::from(body);
    response
}
