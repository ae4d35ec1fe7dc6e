//! How much a peer may ask of a listener: who is let in, how many connections at once, how many
//! requests a second. [`Limits`] are values that a reload replaces; [`Connections`] counts what is
//! open and outlives every reload.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use ipnet::IpNet;
use tokio::sync::watch;

use crate::config::settings::HttpLimits;

/// Policy of an HTTP listener. A reload makes a new one; request rates start afresh with it.
#[derive(Debug)]
pub struct Limits {
    section: &'static str,
    allow: Vec<IpNet>,
    http: HttpLimits,
    rate: DefaultKeyedRateLimiter<IpAddr>,
}

impl Limits {
    /// Lets `allow` in, within `http`. A rate or burst of 0 counts as 1.
    pub fn new(allow: Vec<IpNet>, http: HttpLimits) -> Self {
        let some = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(some(http.requests_per_second)).allow_burst(some(http.request_burst));
        Self { section: "dicomweb", allow, http, rate: RateLimiter::keyed(quota) }
    }

    /// Names another section of the configuration than `dicomweb` as that whose networks are let in.
    #[must_use]
    pub fn of(self, section: &'static str) -> Self {
        Self { section, ..self }
    }

    /// The section of the configuration that says who is let in.
    pub fn section(&self) -> &'static str {
        self.section
    }

    /// The numbers behind it.
    pub fn http(&self) -> &HttpLimits {
        &self.http
    }

    /// Whether a peer of this address is let in.
    pub fn allows(&self, peer: IpAddr) -> bool {
        allows(&self.allow, peer)
    }

    /// Takes one request from the peer's quota.
    ///
    /// # Errors
    /// How long the peer must wait when there is none left.
    pub fn take_request(&self, peer: IpAddr) -> Result<(), Duration> {
        self.rate
            .check_key(&peer.to_canonical())
            .map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }

    /// Forgets addresses whose quota is full again, which bounds the memory to the addresses that
    /// made a request within the last burst. To be called now and then.
    pub fn forget_idle(&self) {
        self.rate.retain_recent();
        self.rate.shrink_to_fit();
    }
}

/// Whether `peer` is in one of `networks`. An IPv4 address that arrived on an IPv6 socket
/// (`::ffff:a.b.c.d`) counts as IPv4.
pub fn allows(networks: &[IpNet], peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    networks.iter().any(|network| network.contains(&peer))
}

/// The connections of a listener that are open, in all and by address. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    by_peer: Mutex<HashMap<IpAddr, usize>>,
    total: watch::Sender<usize>,
}

/// One open connection; dropping it makes room for another.
#[derive(Debug)]
pub struct Permit {
    open: Arc<Open>,
    peer: IpAddr,
}

/// Why a connection has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// Too many are open in all.
    Total,
    /// Too many are open from that address.
    Peer,
}

impl Default for Connections {
    fn default() -> Self {
        Self::new()
    }
}

impl Connections {
    /// None open.
    pub fn new() -> Self {
        Self { open: Arc::new(Open { by_peer: Mutex::default(), total: watch::Sender::new(0) }) }
    }

    /// Makes room for a connection from `peer` if fewer than `total` are open, and fewer than
    /// `per_peer` from that address.
    ///
    /// # Errors
    /// Which of the two is reached.
    pub fn admit(&self, peer: IpAddr, total: usize, per_peer: usize) -> Result<Permit, Full> {
        let peer = peer.to_canonical();
        let mut by_peer = self.open.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if *self.open.total.borrow() >= total {
            return Err(Full::Total);
        }
        if by_peer.get(&peer).copied().unwrap_or(0) >= per_peer {
            return Err(Full::Peer);
        }
        *by_peer.entry(peer).or_default() += 1;
        self.open.total.send_modify(|open| *open += 1);
        Ok(Permit { open: Arc::clone(&self.open), peer })
    }

    /// Connections that are open now.
    pub fn len(&self) -> usize {
        *self.open.total.borrow()
    }

    /// Connections that are open now from one address.
    pub fn of(&self, peer: IpAddr) -> usize {
        let by_peer = self.open.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        by_peer.get(&peer.to_canonical()).copied().unwrap_or(0)
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until none is open.
    pub async fn closed(&self) {
        self.at_most(0).await;
    }

    /// Waits until no more than `most` are open.
    pub async fn at_most(&self, most: usize) {
        // Fails only if the sender is gone, and we hold it.
        let _ = self.open.total.subscribe().wait_for(|open| *open <= most).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_peer = self.open.by_peer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = by_peer.get_mut(&self.peer) {
            *open -= 1;
            if *open == 0 {
                by_peer.remove(&self.peer);
            }
        }
        self.open.total.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_allowed_networks_are_let_in() {
        let allow = vec!["10.1.0.0/16".parse().unwrap(), "fd00:1::/32".parse().unwrap()];
        let limits = Limits::new(allow, HttpLimits::default());
        for (peer, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00:1::5", true),
            ("fd00:2::5", false),
            ("::1", false),
        ] {
            assert_eq!(limits.allows(ip(peer)), allowed, "{peer}");
        }
        assert!(!Limits::new(Vec::new(), HttpLimits::default()).allows(ip("127.0.0.1")));
    }

    #[test]
    fn connections_are_bounded_in_all_and_by_address() {
        let connections = Connections::new();
        let first = connections.admit(ip("10.0.0.1"), 3, 2).unwrap();
        let _second = connections.admit(ip("::ffff:10.0.0.1"), 3, 2).unwrap();
        assert_eq!(connections.admit(ip("10.0.0.1"), 3, 2).unwrap_err(), Full::Peer);
        let _third = connections.admit(ip("10.0.0.2"), 3, 2).unwrap();
        assert_eq!(connections.admit(ip("10.0.0.3"), 3, 2).unwrap_err(), Full::Total);
        drop(first);
        assert_eq!(connections.len(), 2);
        let _again = connections.admit(ip("10.0.0.1"), 3, 2).unwrap();
    }

    #[tokio::test]
    async fn closed_waits_for_the_last_one() {
        let connections = Connections::new();
        connections.closed().await;
        let permit = connections.admit(ip("10.0.0.1"), 1, 1).unwrap();
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.closed().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        waiting.await.unwrap();
        assert!(connections.open.by_peer.lock().unwrap().is_empty(), "no address is remembered");
    }

    #[test]
    fn a_burst_is_bounded_and_other_addresses_do_not_pay() {
        let limits = Limits::new(
            Vec::new(),
            HttpLimits { requests_per_second: 1, request_burst: 3, ..HttpLimits::default() },
        );
        for _ in 0..3 {
            limits.take_request(ip("10.0.0.1")).unwrap();
        }
        let wait = limits.take_request(ip("10.0.0.1")).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        limits.take_request(ip("10.0.0.2")).unwrap();
        limits.forget_idle();
        assert!(limits.take_request(ip("10.0.0.1")).is_err(), "a peer in arrears is not forgotten");
    }

    #[test]
    fn a_quota_of_nothing_is_one() {
        let limits = Limits::new(
            Vec::new(),
            HttpLimits { requests_per_second: 0, request_burst: 0, ..HttpLimits::default() },
        );
        limits.take_request(ip("10.0.0.1")).unwrap();
        limits.take_request(ip("10.0.0.1")).unwrap_err();
    }
}
