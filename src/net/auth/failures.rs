//! What becomes of failures to authenticate: a line in the log, kept short, and a limit per address.
//!
//! The limit is on failures alone. A client whose credentials are good is never turned away for what
//! another one does behind the same address, since guessing is hopeless anyway: what the limit bounds is
//! how often a broken client asks, and the work and noise that this makes.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Unauthenticated;
use crate::net::counters::Tally;
use crate::net::events;
use crate::net::http::PeerInfo;

/// Failures that one address may have in one burst, and a second.
const BURST: u32 = 20;
const PER_SECOND: u32 = 1;
/// Addresses that are remembered before those that failed long ago are forgotten.
const ADDRESSES: usize = 1024;

/// The failures of all clients.
#[derive(Debug)]
pub struct Failures {
    rate: DefaultKeyedRateLimiter<IpAddr>,
    log: Tally,
}

impl Default for Failures {
    fn default() -> Self {
        let some = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(some(PER_SECOND)).allow_burst(some(BURST));
        Self { rate: RateLimiter::keyed(quota), log: Tally::default() }
    }
}

impl Failures {
    /// Notes a failure.
    ///
    /// # Errors
    /// How long the client must wait, when its address has failed too often.
    pub fn note(&self, peer: &PeerInfo, why: Unauthenticated) -> Result<(), Duration> {
        self.log.note(|suppressed| {
            events::Unauthenticated { peer: peer.address, reason: why.kind(), suppressed, why: &why }.tell();
        });
        if self.rate.len() > ADDRESSES {
            self.rate.retain_recent();
        }
        self.rate
            .check_key(&peer.address.ip().to_canonical())
            .map_err(|refused| refused.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::Kept;

    fn peer(address: &str) -> PeerInfo {
        PeerInfo {
            address: address.parse().unwrap(),
            client_certificate: None,
            own: false,
            kept: Kept::default(),
        }
    }

    #[test]
    fn an_address_that_fails_on_and_on_is_told_to_wait() {
        let failures = Failures::default();
        for port in 0..20 {
            failures.note(&peer(&format!("10.0.0.1:{port}")), Unauthenticated::Expired).unwrap();
        }
        let wait = failures.note(&peer("[::ffff:10.0.0.1]:1"), Unauthenticated::Expired).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        failures.note(&peer("10.0.0.2:1"), Unauthenticated::Expired).unwrap();
    }
}
