//! The tasks behind a connection: the library's, and a watch that ends them all when the peer takes
//! nothing. They end with their [`Tasks`], bodies and all.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::config::settings::HttpLimits;
use crate::net::events;
use crate::net::progress::{Activity, Verdict};

/// The tasks of one connection; dropping this ends them.
#[derive(Debug)]
pub(super) struct Tasks {
    end: Arc<watch::Sender<bool>>,
    given_up: GivenUp,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self { end: Arc::new(watch::Sender::new(false)), given_up: GivenUp::default() }
    }

    /// For the tasks that the library starts.
    pub(super) fn executor(&self) -> Spawner {
        Spawner(self.end.subscribe())
    }

    /// Whether the peer was given up.
    pub(super) fn given_up(&self) -> GivenUp {
        self.given_up.clone()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.end.send_replace(true);
    }
}

/// Says that a connection was ended by us, since its peer took nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct GivenUp(Arc<AtomicBool>);

impl GivenUp {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Starts tasks that end with their connection.
#[derive(Debug, Clone)]
pub(super) struct Spawner(watch::Receiver<bool>);

impl<F> Executor<F> for Spawner
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let mut end = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = task => {}
                _ = end.wait_for(|&end| end) => {}
            }
        });
    }
}

/// Drives one connection.
pub(super) struct Driver {
    activity: Arc<Activity>,
    limits: HttpLimits,
    closing: watch::Sender<bool>,
    end: Arc<watch::Sender<bool>>,
    given_up: GivenUp,
}

impl Driver {
    pub(super) fn new(
        activity: Arc<Activity>,
        send_timeout: Duration,
        closing: watch::Sender<bool>,
        tasks: &Tasks,
    ) -> Self {
        // Of these only sending has a deadline here: who asks knows how long an answer may take.
        let limits = HttpLimits {
            send_timeout,
            header_timeout: Duration::MAX,
            idle: Duration::MAX,
            ..HttpLimits::default()
        };
        let (end, given_up) = (tasks.end.clone(), tasks.given_up());
        Self { activity, limits, closing, end, given_up }
    }

    /// Runs `connection` until it is at its end, the peer takes nothing, or nobody wants it any more.
    pub(super) async fn drive<C: Future<Output = hyper::Result<()>>>(self, connection: C) {
        let mut end = self.end.subscribe();
        let period = (self.limits.send_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let mut check = interval(period);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        {
            let mut connection = pin!(connection);
            loop {
                // Each turn polls the connection: on HTTP/2 that is how a GOAWAY is noticed while a request
                // is under way, as it wakes nobody.
                tokio::select! {
                    ended = connection.as_mut() => {
                        if let Err(error) = ended {
                            events::PeerEndedEarly { error: &error }.tell();
                        }
                        break;
                    }
                    _ = end.wait_for(|&end| end) => return,
                    _ = check.tick() => if self.peer_takes_nothing() { return },
                }
            }
            // Gone here, or requests would still be queued for it.
        }
        self.closing.send_replace(true);
        // What HTTP/2 is still sending is in other hands, but under the same watch.
        loop {
            tokio::select! {
                _ = end.wait_for(|&end| end) => return,
                _ = check.tick() => if self.peer_takes_nothing() { return },
            }
        }
    }

    fn peer_takes_nothing(&self) -> bool {
        let stalled = self.activity.verdict(&self.limits) == Verdict::Stalled;
        if stalled {
            self.given_up.0.store(true, Ordering::Relaxed);
            self.end.send_replace(true);
        }
        stalled
    }
}
