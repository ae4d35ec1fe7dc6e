//! The control socket: how `framegate status` and its kin, on this machine, ask the running service. HTTP/1.1 over a
//! Unix socket in the runtime directory. Its mode is the guard (0660: the service's user and group, and root), so that
//! whoever may open it needs no other credential. Nothing that it tells is PHI.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ServiceError;
use super::console::Opened;
use super::spool::given_directory;
use super::status::Collector;
use super::support;
use crate::event::{Entry, recent};

/// Its name in the runtime directory.
pub const SOCKET: &str = "control.sock";
/// Where it is made, before it has its mode and then its name.
const DRAFT: &str = "control.sock.new";
/// Who may connect: those who may write.
const MODE: u32 = 0o660;
/// Connections at once. Whoever comes beyond waits in the socket's own queue.
const CONNECTIONS: usize = 8;
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// For a whole connection: one request and its answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Log entries of one answer.
const ENTRIES: usize = 1000;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the socket's requests are answered from. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) status: Collector,
    /// `None` where the configuration closes it.
    pub(super) console: Option<Opened>,
}

/// Serves it from the runtime directory that systemd has given, among `tasks`, until `stopping` turns true. Without one
/// there is no socket.
///
/// # Errors
/// When it cannot be made.
pub(super) fn start(
    parts: Parts,
    tasks: &mut JoinSet<()>,
    stopping: &watch::Receiver<bool>,
) -> Result<(), ServiceError> {
    let Some(directory) = given_directory() else { return Ok(()) };
    let control = Control::bind(&directory).map_err(|error| ServiceError::Control { directory, error })?;
    tasks.spawn(control.serve(parts, stopping.clone()));
    Ok(())
}

/// The socket, while it is there.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// Which file it is, so that one that came after us is left alone.
    file: (u64, u64),
}

impl Control {
    /// Makes the socket in `directory`, in the place of one that a process before us has left.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub(super) fn bind(directory: &Path) -> io::Result<Self> {
        let (draft, path) = (directory.join(DRAFT), directory.join(SOCKET));
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&draft)?;
        // Nobody else knows this name yet, whatever the process's umask is.
        fs::set_permissions(&draft, fs::Permissions::from_mode(MODE))?;
        let file = identity(&draft)?;
        fs::rename(&draft, &path)?;
        Ok(Self { listener, path, file })
    }

    /// Answers until `stopping` turns true, then takes the socket away.
    pub(super) async fn serve(self, parts: Parts, mut stopping: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(slot) = slots.clone().acquire_owned().await else { return };
            let accepted = tokio::select! {
                _ = stopping.wait_for(|&down| down) => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // No descriptors or no memory, most likely: others need time to close.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let parts = parts.clone();
            tokio::spawn(async move {
                // What a client does wrong is its own affair.
                let _ = timeout(DEADLINE, Box::pin(converse(stream, parts))).await;
                drop(slot);
            });
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // A directory that is gone has taken it along.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

async fn converse(stream: UnixStream, parts: Parts) {
    let answer = service_fn(move |request| {
        let parts = parts.clone();
        async move { Ok::<_, Infallible>(respond(&parts, request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer)
        .await;
}

type Answer = Response<Full<Bytes>>;

async fn respond(parts: &Parts, request: Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/status") => json(&parts.status.collect()),
        (&Method::GET, "/journal") => json(&journal(request.uri().query())),
        (&Method::GET, "/support-bundle") => bundle(parts.status.clone()).await,
        (_, "/status" | "/journal" | "/support-bundle") => refuse_method("GET"),
        (&Method::POST, "/console-code") => code(parts),
        (_, "/console-code") => refuse_method("POST"),
        _ => text(StatusCode::NOT_FOUND, "nothing here has this name"),
    }
}

/// A one-time code for the console.
fn code(parts: &Parts) -> Answer {
    let Some(console) = &parts.console else {
        return text(
            StatusCode::CONFLICT,
            "the console is closed; console.listen of the configuration opens it",
        );
    };
    match console.new_code() {
        Ok(made) => json(&made),
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// The entries of the log after the number that is asked for (`after=17`); without one, from the oldest that is kept.
fn journal(query: Option<&str>) -> Vec<Entry> {
    let after = query.unwrap_or_default().split('&').find_map(|part| part.strip_prefix("after="));
    recent().after(after.and_then(|number| number.parse().ok()).unwrap_or(0), ENTRIES)
}

async fn bundle(status: Collector) -> Answer {
    match tokio::task::spawn_blocking(move || support::bundle(&status)).await {
        Ok(Ok(archive)) => content("application/gzip", archive),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the support bundle cannot be made"),
    }
}

/// A value, as JSON.
fn json(value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => content("application/json", body),
        // Plain values are always written.
        Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"),
    }
}

fn content(media: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    answer
}

fn text(status: StatusCode, what: &str) -> Answer {
    let mut answer = content("text/plain; charset=utf-8", format!("{what}\n").into_bytes());
    *answer.status_mut() = status;
    answer
}

fn refuse_method(allowed: &'static str) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this is asked in another way");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_left_is_replaced_and_ours_alone_is_taken_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        // What a process leaves that was killed: a socket that nobody listens at.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = Control::bind(folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        UnixStream::connect(&path).await.unwrap();

        let second = Control::bind(folder.path()).unwrap();
        drop(first);
        UnixStream::connect(&path).await.unwrap();
        drop(second);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
