//! The self-test against real listeners that let nobody in, and against some that do not work.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::config::settings::{
    AccessSettings, DicomwebSettings, HttpLimits, HubSettings, SendSettings, SubscriptionSettings,
};
use crate::context::desk::Desk;
use crate::dicomweb::{self, Destinations, DicomwebCounters, Origin};
use crate::net::counters::NetCounters;
use crate::net::http::{self, ServerParts};
use crate::net::limits::{Connections, Limits};
use crate::net::tls::HTTP_ALPN;
use crate::net::tls::testing::Authority;
use crate::sink::notify::Notifier;
use crate::sink::workers::Workers;
use crate::source::dimse::{DimseCounters, DimseSource};
use crate::source::send::{SendCounters, SendSource};
use crate::subscription::registry::Registry;

/// Listeners that are closed to everybody: no network, no connection, no right, a certificate that nobody has.
struct Closed {
    folder: TempDir,
    hub: Hub,
    parts: Option<Parts>,
    net: Arc<NetCounters>,
    web: DicomwebCounters,
    dimse: DimseCounters,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Closed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut identity = authority.write_identity(folder.path(), "server", &["gate.example"]);
        let roots = folder.path().join("clients.pem");
        fs::write(&roots, &authority.certificate_pem).unwrap();
        identity.client_ca = Some(roots);
        let web_tls = Arc::new(Reloading::from_files(&identity, HTTP_ALPN).unwrap());
        let dimse_tls = Arc::new(Reloading::from_files(&identity, DICOM_ALPN).unwrap());
        let hub = Hub::new(HubSettings::default());
        let own = OwnConnections::default();
        let access = Access::new(&AccessSettings::default()).unwrap();
        let (net, web, dimse) =
            (Arc::<NetCounters>::default(), DicomwebCounters::default(), DimseCounters::default());
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web_address = listener.local_addr().unwrap();
        let limits = HttpLimits { connections: 0, connections_per_peer: 0, ..HttpLimits::default() };
        let registry = Registry::new(SubscriptionSettings::default());
        let origin = Origin {
            hub: hub.clone(),
            settings: Arc::new(ArcSwap::from_pointee(DicomwebSettings::default())),
            counters: web.clone(),
            address: web_address,
            stopping: stopping.clone(),
            access: access.clone(),
            notifier: Notifier::new(hub.clone(), registry.clone(), dicomweb::retrieve_url),
            registry,
            send: SendSource::new(
                hub.clone(),
                Arc::new(ArcSwap::from_pointee(SendSettings::default())),
                SendCounters::default(),
            ),
            destinations: Destinations::default(),
            workers: Workers::new(),
            desk: Desk::default(),
        };
        let parts = ServerParts {
            tls: web_tls.clone(),
            limits: Arc::new(ArcSwap::from_pointee(Limits::new(Vec::new(), limits))),
            connections: Connections::new(),
            own: own.clone(),
            counters: net.clone(),
            drain: Duration::from_secs(1),
        };
        let mut down = stopping.clone();
        tasks.spawn(async move {
            http::serve(listener, parts, origin, async move {
                let _ = down.wait_for(|&down| down).await;
            })
            .await;
        });

        let mut settings = DimseSettings {
            allow: Vec::new(),
            calling_ae_titles: vec!["XA1".into()],
            ..DimseSettings::default()
        };
        settings.limits.associations = 0;
        let titles = Arc::new(ArcSwap::from_pointee(settings));
        let source = DimseSource::new(
            hub.clone(),
            Desk::default(),
            titles.clone(),
            Arc::default(),
            dimse.clone(),
            stopping,
        )
        .tried_by(own.clone());
        let mut bound = Vec::new();
        for tls in [None, Some(dimse_tls.clone())] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.push(listener.local_addr().unwrap());
            tasks.spawn(source.clone().serve(listener, tls, None));
        }
        let parts = Parts {
            hub: hub.clone(),
            access,
            own,
            web: (web_tls, web_address),
            dimse: Some(bound[0]),
            dimse_tls: Some((dimse_tls, bound[1])),
            titles,
            metrics: SelfTestMetrics::default(),
            last: Arc::default(),
            every: Duration::from_secs(60),
        };
        Self { folder, hub, parts: Some(parts), net, web, dimse, stop, tasks }
    }

    fn test(&mut self, change: impl FnOnce(&mut Parts)) -> SelfTest {
        let mut parts = self.parts.take().unwrap();
        change(&mut parts);
        SelfTest::new(parts, Some(self.folder.path().to_owned())).unwrap()
    }

    async fn end(mut self) {
        self.stop.send(true).unwrap();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

fn left(folder: &Path) -> Health {
    Health::read(folder).unwrap()
}

#[tokio::test]
async fn a_service_that_lets_nobody_in_passes_and_nobody_notices() {
    let mut room = Closed::new().await;
    let mut events = room.hub.events();
    let mut test = room.test(|_| {});
    for _ in 0..2 {
        let health = test.run().await;
        assert!(health.ok, "{:?}", health.failed);
        let names: Vec<_> = health.checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["dicomweb", "dimse", "dimse_tls"]);
        let notes: Vec<_> = health.checks.iter().map(|check| check.note.is_some()).collect();
        assert_eq!(notes, [true, false, true], "what was not tried is said");
        assert_eq!(health.good_for_seconds, Some(150));
        assert_eq!(left(room.folder.path()), health);
    }
    assert!(events.try_recv().is_err() && room.hub.series().is_empty());
    assert_eq!(room.hub.occupancy().instances, 0);
    assert_eq!(room.net.accepted.get() + room.net.refused_network.get(), 0);
    assert_eq!((room.web.sent.get(), room.web.streams.get()), (0, 0));
    assert_eq!(room.dimse.accepted.get(), 0);
    let answered = dicomweb::Answered { transaction: "self_test", status: 200 };
    assert_eq!(room.web.requests.get_or_create(&answered).get(), 2);

    let (stop, stopping) = watch::channel(false);
    stop.send(true).unwrap();
    test.repeat(stopping).await;
    assert!(Health::read(room.folder.path()).is_err(), "of a service that has ended nothing is left");
    room.end().await;
}

#[tokio::test]
async fn a_listener_that_is_gone_is_named() {
    let mut room = Closed::new().await;
    let mut test = room.test(|parts| {
        // Port 1 of loopback: nobody is there.
        parts.dimse = Some("127.0.0.1:1".parse().unwrap());
        parts.every = Duration::ZERO;
    });
    let health = test.run().await;
    let failed = health.failed.as_deref().unwrap();
    assert!(failed.starts_with("dimse: no connection to 127.0.0.1:1"), "{failed}");
    let ok: Vec<_> = health.checks.iter().map(|check| check.ok).collect();
    assert_eq!((health.ok, ok), (false, vec![true, false, true]));
    assert_eq!(health.good_for_seconds, None, "it is not tried again");
    assert!(left(room.folder.path()).verdict(since_boot()).is_err());
    room.end().await;
}

#[tokio::test]
async fn another_certificate_than_ours_is_not_believed() {
    let mut room = Closed::new().await;
    let folder = tempfile::tempdir().unwrap();
    let identity = Authority::new().write_identity(folder.path(), "other", &["gate.example"]);
    let other = Arc::new(Reloading::from_files(&identity, HTTP_ALPN).unwrap());
    let mut test = room.test(|parts| parts.web.0 = other);
    let failed = test.run().await.failed.unwrap();
    assert!(failed.starts_with("dicomweb: the TLS handshake failed"), "{failed}");
    room.end().await;
}

/// The clock is wound on while everybody waits.
#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_answer_costs_the_deadline_and_no_more() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let mut room = Closed::new().await;
    let mut test = room.test(|parts| (parts.web.1, parts.dimse_tls) = (address, None));
    let begun = Instant::now();
    let health = test.run().await;
    assert!(health.failed.as_deref().unwrap().starts_with("dicomweb: no answer within 5 s"));
    assert_eq!(begun.elapsed().as_secs(), DEADLINE.as_secs());
    room.tasks.abort_all();
}

#[tokio::test]
async fn a_hub_that_takes_nothing_is_noticed() {
    let mut room = Closed::new().await;
    room.hub.shutdown();
    let failed = room.test(|_| {}).run().await.failed.unwrap();
    assert!(failed.starts_with("dicomweb: the hub does not take a frame"), "{failed}");
    room.end().await;
}
