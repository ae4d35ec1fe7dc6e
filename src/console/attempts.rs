//! How often a code may be tried: a few times a minute from one address, and not much oftener from all together.
//! With [`super::code`] that voids a code after a few wrong tries, this is about noise, and about who keeps an
//! engineer from logging in by voiding every code: it takes many addresses to do so for long.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Tries a minute from one address, or one IPv6 network of 64 bits, which is one host's.
const PER_PEER: NonZeroU32 = NonZeroU32::new(6).unwrap();
/// Tries a minute from all addresses together.
const TOTAL: NonZeroU32 = NonZeroU32::new(30).unwrap();
/// Addresses that are remembered; while there are more, nobody may try.
const REMEMBERED: usize = 4096;

/// Counts tries.
#[derive(Debug)]
pub(super) struct Attempts {
    by_peer: DefaultKeyedRateLimiter<IpAddr>,
    total: DefaultDirectRateLimiter,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            by_peer: RateLimiter::keyed(Quota::per_minute(PER_PEER)),
            total: RateLimiter::direct(Quota::per_minute(TOTAL)),
        }
    }
}

impl Attempts {
    /// Takes one try of this address.
    ///
    /// # Errors
    /// When to come again.
    pub(super) fn take(&self, peer: IpAddr) -> Result<(), Duration> {
        if self.by_peer.len() >= REMEMBERED {
            self.by_peer.retain_recent();
            if self.by_peer.len() >= REMEMBERED {
                return Err(Duration::from_secs(60));
            }
        }
        let now = DefaultClock::default().now();
        // An address that may not try takes nothing from the others.
        self.by_peer.check_key(&host(peer)).map_err(|wait| wait.wait_time_from(now))?;
        self.total.check().map_err(|wait| wait.wait_time_from(now))
    }
}

/// What stands for a host.
fn host(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_a_few_tries_and_all_together_not_many_more() {
        let attempts = Attempts::default();
        for _ in 0..PER_PEER.get() {
            attempts.take(ip("10.0.0.1")).unwrap();
        }
        let wait = attempts.take(ip("::ffff:10.0.0.1")).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60), "{wait:?}");
        let more = (2..=20).filter(|last| attempts.take(ip(&format!("10.0.0.{last}"))).is_ok()).count();
        let more =
            more + (2..=20).filter(|last| attempts.take(ip(&format!("10.0.0.{last}"))).is_ok()).count();
        assert_eq!(more, (TOTAL.get() - PER_PEER.get()) as usize);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_host() {
        assert_eq!(host(ip("fd00:1::5")), host(ip("fd00:1::ffff:0:1")));
        assert_ne!(host(ip("fd00:1::5")), host(ip("fd00:1:0:1::5")));
    }
}
