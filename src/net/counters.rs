//! What the listeners count, and how they log it. Each kind of event is a [`Tally`]: every event is
//! counted, and a few a second are also logged, so that a flood fills neither journal nor disk. The
//! service exports the counts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;

use super::alarms::Alarms;

/// Log lines a second of one kind; the next line says how many were left out.
const LINES_PER_SECOND: u32 = 5;

/// One kind of event: a count that only grows, and a log that is kept short.
#[derive(Debug, Default)]
pub struct Tally {
    count: AtomicU64,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Tally {
    /// Events since the start.
    pub fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts an event. `log` is called unless too many lines of this kind were written within the
    /// second; it is given the number of events that were left out since the last line.
    pub fn note(&self, log: impl FnOnce(u64)) {
        self.note_at(Instant::now(), log);
    }

    fn note_at(&self, now: Instant, log: impl FnOnce(u64)) {
        self.add(1);
        let suppressed = {
            let mut state = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            if state.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
                state.since = Some(now);
                state.lines = 0;
            }
            if state.lines == LINES_PER_SECOND {
                state.suppressed = state.suppressed.saturating_add(1);
                return;
            }
            state.lines += 1;
            std::mem::take(&mut state.suppressed)
        };
        log(suppressed);
    }

    /// Counts events that are not worth a line each.
    pub(super) fn add(&self, events: u64) {
        self.count.fetch_add(events, Ordering::Relaxed);
    }
}

/// Counts something as open for as long as it lives, however it ends.
#[derive(Debug)]
pub struct Open(Gauge);

impl Open {
    /// One more is open.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// The counts of one HTTP listener.
#[derive(Debug, Default)]
pub struct NetCounters {
    /// Connections accepted from the kernel, those refused below included.
    pub accepted: Tally,
    /// `accept` itself failed, for want of file descriptors or memory.
    pub accept_failed: Tally,
    /// Refused: the address is in no allowed network.
    pub refused_network: Tally,
    /// Refused: too many connections in all.
    pub refused_connections: Tally,
    /// Refused: too many connections from that address.
    pub refused_peer_connections: Tally,
    /// Clients that spoke plain HTTP and were told so.
    pub plain_http: Tally,
    /// TLS handshakes that failed.
    pub tls_failed: Tally,
    /// TLS handshakes that took too long.
    pub tls_timeout: Tally,
    /// Connections closed because a reload no longer accepts the client's certificate.
    pub revoked: Tally,
    /// Connections dropped because a request head took too long.
    pub slow_head: Tally,
    /// Connections closed because no request was made.
    pub idle_closed: Tally,
    /// Requests answered with 429 (Too Many Requests).
    pub rate_limited: Tally,
    /// Connections dropped because the client took none of the bytes on offer.
    pub stalled_dropped: Tally,
    /// Connections still open at the end of the drain time, and dropped.
    pub drain_dropped: Tally,
    /// Connections whose handler panicked: a fault of ours.
    pub panicked: Tally,
    /// Who is told of those that were turned away for reasons of security.
    pub alarms: Alarms,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_counts_and_a_flood_logs_little() {
        let tally = Tally::default();
        let start = Instant::now();
        let mut lines = Vec::new();
        for _ in 0..100 {
            tally.note_at(start, |suppressed| lines.push(suppressed));
        }
        tally.note_at(start + Duration::from_secs(1), |suppressed| lines.push(suppressed));
        tally.note_at(start + Duration::from_secs(1), |suppressed| lines.push(suppressed));
        assert_eq!(lines, [0, 0, 0, 0, 0, 95, 0]);
        assert_eq!(tally.get(), 102);
    }
}
