//! What the service listens on: sockets, and the TLS of each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::TcpListener;

use super::ServiceError;
use crate::config::settings::{DimseSettings, HttpTls};
use crate::net::tls::{self, DICOM_ALPN, HTTP_ALPN, Reloading};

/// Binds `address`; `what` is the key that names it.
pub(super) async fn listen(
    address: SocketAddr,
    what: &'static str,
) -> Result<(TcpListener, SocketAddr), ServiceError> {
    let fail = |error| ServiceError::Listen { address, what, error };
    let listener = TcpListener::bind(address).await.map_err(fail)?;
    let bound = listener.local_addr().map_err(fail)?;
    Ok((listener, bound))
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
