//! Accepts connections for the DIMSE source, plain and TLS, and holds the policy on who and how
//! many. A peer that is not let in is told so by an A-ASSOCIATE-RJ, not by silence.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::OptionFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::instrument::WithSubscriber;

use super::association::{self, AssociationError, Service};
use super::counters::{DimseCounters, Reason};
use super::events;
use super::negotiate::Refusal;
use super::relay::Relays;
use crate::audit::{Audit, How, Occurrence, Outcome, Party};
use crate::config::settings::DimseSettings;
use crate::context::desk::Desk;
use crate::dimse::pdu::PduStream;
use crate::hub::Hub;
use crate::net::limits::{Connections, Permit, allows};
use crate::net::own::OwnConnections;
use crate::net::tls::{Reloading, refusal, subject};

/// Connections beyond the bound that may wait to be told so.
const REFUSING: usize = 16;
/// After a failed accept (no descriptors, no memory) the listener waits this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The DIMSE source. Cheap to clone; every listener runs [`DimseSource::serve`].
#[derive(Debug, Clone)]
pub struct DimseSource {
    hub: Hub,
    desk: Desk,
    settings: Arc<ArcSwap<DimseSettings>>,
    counters: DimseCounters,
    relays: Arc<ArcSwap<Relays>>,
    connections: Connections,
    own: OwnConnections,
    audit: Audit,
    shutdown: watch::Receiver<bool>,
}

impl DimseSource {
    /// A source that publishes into `hub`, and leaves at `desk` what modalities say of who is imaged. What `settings`
    /// and `relays` hold at the time counts for each new association; `shutdown` turning true ends it.
    pub fn new(
        hub: Hub,
        desk: Desk,
        settings: Arc<ArcSwap<DimseSettings>>,
        relays: Arc<ArcSwap<Relays>>,
        counters: DimseCounters,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let (connections, own) = (Connections::new(), OwnConnections::default());
        let audit = Audit::none();
        Self { hub, desk, settings, counters, relays, connections, own, audit, shutdown }
    }

    /// Lets in connections of `own`, whatever the settings say of networks and numbers; they are not counted, and
    /// the log does not tell of them.
    #[must_use]
    pub fn tried_by(mut self, own: OwnConnections) -> Self {
        self.own = own;
        self
    }

    /// Records in `audit` who comes, and what they send.
    #[must_use]
    pub fn audited(mut self, audit: Audit) -> Self {
        self.audit = audit;
        self
    }

    /// Accepts until shutdown, then waits for the associations that are in a message. With the name of a relay,
    /// everything that comes in is passed on by that one.
    pub async fn serve(self, listener: TcpListener, tls: Option<Arc<Reloading>>, relay: Option<String>) {
        let mut shutdown = self.shutdown.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                _ = shutdown.wait_for(|&down| down) => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, tls.clone(), relay.as_deref()),
                Err(error) => {
                    events::AcceptFailed { error: &error }.tell();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        self.connections.closed().await;
    }

    /// Starts the association's task.
    fn admit(&self, stream: TcpStream, peer: SocketAddr, tls: Option<Arc<Reloading>>, relay: Option<&str>) {
        let settings = self.settings.load_full();
        if self.own.holds(peer) {
            // Never passed on: an upstream that is away is no fault of ours.
            let relays = Arc::default();
            let (audit, service) =
                (Audit::none(), self.service(peer, settings, DimseCounters::default(), None));
            let service = Service { relays, audit, ..service };
            let quiet = connection(stream, peer, tls, service, Ok(()), None);
            tokio::spawn(quiet.with_subscriber(tracing::Dispatch::none()));
            return;
        }
        let limits = &settings.limits;
        // A few more than allowed are let in, to be told that they are too many.
        let permit = self.connections.admit(peer.ip(), limits.associations + REFUSING, usize::MAX);
        let Ok(permit) = permit else {
            self.counters.refused.get_or_create(&Reason { reason: "flood" }).inc();
            return;
        };
        let too_many = self.connections.len() > limits.associations
            || self.connections.of(peer.ip()) > limits.associations_per_peer;
        let admitted = if !allows(&settings.allow, peer.ip()) {
            Err(Refusal::Address)
        } else if too_many {
            Err(Refusal::Limit)
        } else {
            Ok(())
        };
        let service = self.service(peer, settings, self.counters.clone(), relay);
        tokio::spawn(connection(stream, peer, tls, service, admitted, Some(permit)));
    }

    fn service(
        &self,
        peer: SocketAddr,
        settings: Arc<DimseSettings>,
        counters: DimseCounters,
        relay: Option<&str>,
    ) -> Service {
        let relays = self.relays.load_full();
        let relay = relay.and_then(|name| relays.named(name));
        Service {
            hub: self.hub.clone(),
            desk: self.desk.clone(),
            settings,
            counters,
            shutdown: self.shutdown.clone(),
            relays,
            relay,
            audit: self.audit.clone(),
            peer: Party::at(peer.ip()),
        }
    }
}

/// One connection, from accept to close.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Reloading>>,
    service: Service,
    admitted: Result<(), Refusal>,
    permit: Option<Permit>,
) {
    let outcome = match prepare(&stream) {
        Ok(socket) => drive(stream, socket, peer, tls, service, admitted, permit.is_none()).await,
        Err(error) => Err(AssociationError::Pdu(error.into())),
    };
    match outcome {
        Ok(()) => events::Released { peer }.tell(),
        Err(error) => events::Ended { peer, reason: error.kind(), error: &error }.tell(),
    }
    drop(permit);
}

async fn drive(
    stream: TcpStream,
    socket: socket2::Socket,
    peer: SocketAddr,
    tls: Option<Arc<Reloading>>,
    mut service: Service,
    admitted: Result<(), Refusal>,
    own: bool,
) -> Result<(), AssociationError> {
    let (limit, stall) = (service.settings.limits.pdu_bytes, service.settings.limits.stall);
    let Some(tls) = tls else {
        let stream = PduStream::new(stream, Some(socket), limit, stall);
        return association::run(stream, peer, service, admitted).await;
    };
    // Taken before the handshake: a reload meanwhile has this peer judged again at its end.
    let admission = tls.admission();
    let config = if own { admission.config_for_us() } else { admission.config() };
    let handshake = TlsAcceptor::from(config).accept(stream);
    let stream = match tokio::time::timeout(service.settings.limits.handshake, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            if let Some(error) = refusal(&error) {
                service.turns_away(peer, &format_args!("its TLS handshake failed: {error}"));
            }
            service.counters.refused.get_or_create(&Reason { reason: "tls" }).inc();
            return Err(AssociationError::Pdu(error.into()));
        }
        Err(_) => {
            service.counters.refused.get_or_create(&Reason { reason: "handshake_timeout" }).inc();
            return Err(AssociationError::Handshake);
        }
    };
    // We show none; no reload can withdraw it.
    let chain = stream.get_ref().1.peer_certificates().filter(|_| !own);
    let chain = chain.map(|chain| chain.iter().map(|certificate| certificate.clone().into_owned()).collect());
    if let Some(user) = stream.get_ref().1.peer_certificates().and_then(|chain| subject(chain.first()?)) {
        service.peer = service.peer.known_as(Some(user.as_str().into()));
        let (outcome, how) = (Outcome::Success, How::Certificate);
        service.audit.record(Occurrence::UserAuthenticated { user, peer: peer.ip(), outcome, how });
    }
    let withdrawn = OptionFuture::from(chain.map(|chain| admission.withdrawn(chain)));
    let stream = PduStream::new(stream, Some(socket), limit, stall);
    let (broken, audited) = (service.counters.broken.clone(), service.clone());
    // Dropping the association's future drops its claims: the hub learns that their source died.
    tokio::select! {
        ended = Box::pin(association::run(stream, peer, service, admitted)) => ended,
        Some(error) = withdrawn => {
            let error = AssociationError::Withdrawn(error);
            audited.turns_away(peer, &error);
            broken.get_or_create(&Reason { reason: error.kind() }).inc();
            Err(error)
        }
    }
}

/// Turns Nagle's algorithm off and gives a second handle on the socket, for TCP_QUICKACK.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<socket2::Socket> {
    stream.set_nodelay(true)?;
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::SystemTime;

    use rustls::pki_types::ServerName;
    use tokio::io::AsyncReadExt;
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::config::settings::HubSettings;
    use crate::net::tls::DICOM_ALPN;
    use crate::net::tls::testing::{Authority, client, day};

    #[tokio::test]
    async fn a_peer_whose_certificate_is_revoked_is_disconnected() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let until = day(SystemTime::now(), 1);
        let list = folder.path().join("peers.crl");
        let roots = folder.path().join("peers.pem");
        fs::write(&list, authority.revoke(&[], until)).unwrap();
        fs::write(&roots, &authority.certificate_pem).unwrap();
        let mut identity = authority.write_identity(folder.path(), "server", &["localhost"]);
        (identity.client_ca, identity.client_crl) = (Some(roots), Some(list.clone()));
        let tls = Arc::new(Reloading::from_files(&identity, DICOM_ALPN).unwrap());

        let mut settings = DimseSettings::default();
        settings.limits.handshake = Duration::from_secs(600);
        let counters = DimseCounters::default();
        let (stop, stopping) = watch::channel(false);
        let hub = Hub::new(HubSettings::default());
        let settings = Arc::new(ArcSwap::from_pointee(settings));
        let source =
            DimseSource::new(hub, Desk::default(), settings, Arc::default(), counters.clone(), stopping);
        let connections = source.connections.clone();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(source.serve(listener, Some(Arc::clone(&tls)), None));

        let mut peers = Vec::new();
        for serial in [7, 8] {
            let config = client(
                &authority.certificate_pem,
                DICOM_ALPN,
                Some(authority.client("peer", vec![], serial)),
            );
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            peers.push(TlsConnector::from(config).connect(name, stream).await.unwrap());
        }
        fs::write(&list, authority.revoke(&[7], until)).unwrap();
        tls.reload().unwrap();
        // A close without goodbye is an error to the TLS client; either way nothing was read.
        assert!(!matches!(peers[0].read(&mut [0]).await, Ok(1..)));
        connections.at_most(1).await;
        assert_eq!(counters.broken.get_or_create(&Reason { reason: "revoked" }).get(), 1);
        assert_eq!(connections.len(), 1, "the other peer stays");
        drop(peers);
        stop.send(true).unwrap();
        served.await.unwrap();
    }
}
