//! Asks the running service, over its control socket; for all commands that speak to a service on this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::header::HOST;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::service::control::SOCKET;

/// For a whole answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of one.
const MOST: usize = 64 << 20;

/// Where the service is.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Where {
    /// Runtime directory of the service
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/framegate")]
    pub(super) runtime_directory: PathBuf,
}

/// Why the service gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// It does not run.
    #[error(
        "no service answers at {0}; is it running (systemctl status framegate), with this as its runtime directory?"
    )]
    NoService(PathBuf),
    /// We are not let in.
    #[error("{0} may not be opened; be root, or a member of the group of the service")]
    Forbidden(PathBuf),
    /// The socket.
    #[error("the service cannot be asked: {0}; see journalctl -u framegate")]
    Io(#[from] io::Error),
    /// HTTP.
    #[error("the service gave no whole answer: {0}; see journalctl -u framegate")]
    Broken(String),
    /// No end.
    #[error("the service gave no answer within {} s; see journalctl -u framegate and restart it", PATIENCE.as_secs())]
    Late,
    /// An answer that is a refusal.
    #[error("the service answers {status}: {said}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it says.
        said: String,
    },
}

impl Where {
    /// What the service answers to `GET path`.
    ///
    /// # Errors
    /// When there is no answer, or it is not 200.
    pub(super) fn get(&self, path: &str) -> Result<Bytes, ControlError> {
        self.ask(Method::GET, path)
    }

    /// What the service answers.
    ///
    /// # Errors
    /// When there is no answer, or it is not 200.
    pub(super) fn ask(&self, method: Method, path: &str) -> Result<Bytes, ControlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let socket = self.runtime_directory.join(SOCKET);
        let asked = async { timeout(PATIENCE, Box::pin(ask(&socket, method, path))).await };
        runtime.block_on(asked).unwrap_or(Err(ControlError::Late))
    }
}

async fn ask(socket: &Path, method: Method, path: &str) -> Result<Bytes, ControlError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ControlError::NoService(socket.to_owned())
        }
        io::ErrorKind::PermissionDenied => ControlError::Forbidden(socket.to_owned()),
        _ => ControlError::Io(error),
    })?;
    let broken = |error: &dyn std::fmt::Display| ControlError::Broken(error.to_string());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "framegate")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST).collect().await.map_err(|error| broken(&error))?;
    connection.abort();
    let body = body.to_bytes();
    if status == StatusCode::OK {
        return Ok(body);
    }
    Err(ControlError::Refused { status, said: String::from_utf8_lossy(&body).trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_told_from_who_does_not_listen() {
        let folder = tempfile::tempdir().unwrap();
        let place = Where { runtime_directory: folder.path().to_owned() };
        assert!(matches!(place.get("/status"), Err(ControlError::NoService(_))));
        drop(std::os::unix::net::UnixListener::bind(folder.path().join(SOCKET)).unwrap());
        assert!(matches!(place.get("/status"), Err(ControlError::NoService(_))));
    }
}
