//! What the service listens on: sockets, and the TLS of each.
//!
//! A socket may be there before the process. systemd passes those of its socket units (ports that need a privilege,
//! which the service does not have), and those that we left in its store when we were here the last time, so that
//! nobody who connects during a restart is refused (sd_listen_fds(3), FileDescriptorStoreMax= of systemd.service(5)).
//! Which of them is which listener is told by the address, so the configuration alone says where we listen.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::SystemTime;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

use super::{ServiceError, events};
use crate::config::settings::{DimseSettings, HttpTls};
use crate::net::tls::{self, DICOM_ALPN, HTTP_ALPN, Reloading};

/// How the names of sockets begin that are in systemd's store.
const STORED: &str = "stored-";

/// The sockets that were there before us and that no listener has taken yet.
#[derive(Debug)]
pub(super) struct Sockets {
    passed: Vec<Passed>,
    /// Whether systemd keeps sockets for us.
    store: bool,
}

#[derive(Debug)]
struct Passed {
    /// `FileDescriptorName=` of the socket unit, or the name under which we stored it.
    name: String,
    address: SocketAddr,
    listener: std::net::TcpListener,
}

impl Sockets {
    /// Those that systemd passes to this process. To be asked once, before anything else opens descriptors.
    pub(super) fn passed() -> Self {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut passed = Vec::new();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default().to_owned();
            match descriptors.take_tcp_listener(index) {
                Ok(Some(listener)) => match listener.local_addr() {
                    Ok(address) => passed.push(Passed { name, address, listener }),
                    Err(error) => events::SocketNameless { name: &name, error: &error }.tell(),
                },
                Ok(None) => {}
                Err(error) => events::SocketForeign { name: &name, error: &error }.tell(),
            }
        }
        // Set by systemd (since 254) where the unit has a store.
        Self { passed, store: std::env::var_os("FDSTORE").is_some() }
    }

    /// A listener on `address`: the socket that was passed, or a new one, which systemd is asked to keep over a
    /// restart; `key` is the configuration's name of it.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        key: &'static str,
    ) -> Result<(TcpListener, SocketAddr), ServiceError> {
        let fail = |error| ServiceError::Listen { address, what: key, error };
        let found = self.passed.iter().position(|passed| passed.address == address);
        let listener = match found {
            Some(index) => {
                let passed = self.passed.swap_remove(index);
                events::SocketTaken { key, address, name: &passed.name }.tell();
                passed.listener
            }
            None => {
                let listener = std::net::TcpListener::bind(address).map_err(fail)?;
                if self.store {
                    // A store that is full refuses it, in its own log; then a restart is a gap, as without one.
                    let states = [NotifyState::FdStore, NotifyState::FdName(&stored(address))];
                    let _ = sd_notify::notify_with_fds(&states, &[listener.as_fd()]);
                }
                listener
            }
        };
        listener.set_nonblocking(true).map_err(fail)?;
        let listener = TcpListener::from_std(listener).map_err(fail)?;
        let bound = listener.local_addr().map_err(fail)?;
        Ok((listener, bound))
    }

    /// Lets go of those that no listener took: nobody would answer there.
    pub(super) fn release(self) {
        for passed in self.passed {
            if passed.name.starts_with(STORED) {
                super::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&passed.name)]);
                continue;
            }
            events::SocketUnused { name: &passed.name, address: passed.address }.tell();
        }
    }
}

/// Under which name a socket is stored. Colons part names.
fn stored(address: SocketAddr) -> String {
    format!("{STORED}{address}").replace(':', "_")
}

/// TLS of DIMSE, and where.
pub(super) type DimseTls = Option<(Arc<Reloading>, SocketAddr)>;

/// TLS of DIMSE, where the configuration has it.
pub(super) fn dimse_tls(settings: &DimseSettings) -> Result<DimseTls, ServiceError> {
    let Some(tls) = &settings.tls else { return Ok(None) };
    let reloading = Reloading::from_files(&tls.identity, DICOM_ALPN)
        .map_err(|error| ServiceError::Tls { what: "dimse.tls", error })?;
    Ok(Some((Arc::new(reloading), tls.listen)))
}

/// TLS of DICOMweb, and the certificate (PEM) if it was made just now.
pub(super) fn web_tls(settings: &HttpTls) -> Result<(Arc<Reloading>, Option<String>), ServiceError> {
    let fail = |error| ServiceError::Tls { what: "dicomweb.tls", error };
    match settings {
        HttpTls::Files(identity) => {
            Ok((Arc::new(Reloading::from_files(identity, HTTP_ALPN).map_err(fail)?), None))
        }
        HttpTls::SelfSigned => {
            let names = ["localhost", "127.0.0.1", "::1"];
            let made = tls::self_signed(&names, HTTP_ALPN, SystemTime::now()).map_err(fail)?;
            Ok((Arc::new(Reloading::fixed(made.loaded)), Some(made.certificate_pem)))
        }
    }
}

/// The listeners with TLS, by their section of the configuration.
pub(super) fn secured(web: &Arc<Reloading>, dimse: &DimseTls) -> Vec<(&'static str, Arc<Reloading>)> {
    let dimse = dimse.iter().map(|(tls, _)| ("dimse", Arc::clone(tls)));
    std::iter::once(("dicomweb", Arc::clone(web))).chain(dimse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Passed {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Passed { name: "dicomweb".to_owned(), address: listener.local_addr().unwrap(), listener }
    }

    #[tokio::test]
    async fn a_passed_socket_is_found_by_its_address_and_others_are_bound() {
        let passed = socket();
        let address = passed.address;
        // While it is open, nobody else could bind there.
        assert!(std::net::TcpListener::bind(address).is_err());
        let mut sockets = Sockets { passed: vec![socket(), passed], store: false };
        let (_held, bound) = sockets.listen(address, "dicomweb.listen").unwrap();
        assert_eq!((bound, sockets.passed.len()), (address, 1));
        let (_, other) = sockets.listen("127.0.0.1:0".parse().unwrap(), "dimse.listen").unwrap();
        assert!(other.port() != 0 && other != address);
        let taken = sockets.listen(address, "dicomweb.listen").unwrap_err().to_string();
        assert!(taken.contains("dicomweb.listen"), "{taken}");
    }

    #[test]
    fn what_nobody_wants_is_closed() {
        let passed = socket();
        let address = passed.address;
        Sockets { passed: vec![passed], store: false }.release();
        std::net::TcpListener::bind(address).unwrap();
    }
}
