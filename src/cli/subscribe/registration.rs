//! Our subscription at the service: made, renewed before its lease is over, ended (live profile §4).

use std::time::Duration;

use anyhow::Context as _;
use http::{Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::client::Client;

/// What is asked for: short, so that a subscriber that is killed is soon forgotten.
const LEASE: Duration = Duration::from_secs(120);
/// Where the answer does not say how long the lease is.
const ASSUMED_LEASE: u64 = 60;

/// Everything but the unreserved characters of RFC 3986.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is subscribed to.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    /// `studies`, `series` or `instances`.
    pub(super) level: &'static str,
    pub(super) subscriber: String,
    /// Match keys and their values. Values may name patients: they go into the request and nowhere else.
    pub(super) filters: Vec<(String, String)>,
    pub(super) rate: Option<f64>,
    pub(super) rendered: bool,
}

impl Wish {
    /// The resource of the subscription.
    fn resource(&self) -> String {
        format!("/{}/subscribers/{}", self.level, self.subscriber)
    }

    fn query(&self) -> String {
        let mut query = format!("lease={}", LEASE.as_secs());
        let mut add = |name: &str, value: &str| {
            query.push_str(&format!("&{name}={}", utf8_percent_encode(value, VALUE)));
        };
        for (key, value) in &self.filters {
            add(key, value);
        }
        if let Some(rate) = self.rate {
            add("rate", &rate.to_string());
        }
        if self.rendered {
            add("representation", "rendered");
        }
        query
    }
}

/// A subscription in force.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) id: String,
    /// Path and query of the notification connection; a secret.
    pub(super) channel: String,
    /// Until it should be renewed.
    pub(super) renew_in: Duration,
    pub(super) lease_seconds: u64,
}

/// Of the answer, what we need.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    lease_seconds: Option<u64>,
}

impl Registration {
    /// Registers, or renews what is registered.
    pub(super) async fn make(client: &Client, wish: &Wish) -> anyhow::Result<Self> {
        let path = format!("{}?{}", client.path(&wish.resource()), wish.query());
        let answer = client.ask(Method::POST, &path).await?;
        if !matches!(answer.status, StatusCode::OK | StatusCode::CREATED) {
            return answer.refused("the service does not take the subscription");
        }
        let shown: Shown = serde_json::from_slice(&answer.body)
            .context("the service's answer to the subscription is not that of the live profile")?;
        let location = answer.location().and_then(|url| client.path_of(url));
        let channel = location.context("the service names no notification connection (Location)")?;
        let lease = shown.lease_seconds.unwrap_or(ASSUMED_LEASE).max(1);
        Ok(Self {
            id: shown.id.chars().filter(char::is_ascii_alphanumeric).take(64).collect(),
            channel,
            renew_in: Duration::from_millis(lease.saturating_mul(500)),
            lease_seconds: lease,
        })
    }

    /// Ends it. One that is gone already is ended, too.
    pub(super) async fn end(&self, client: &Client, wish: &Wish) -> anyhow::Result<()> {
        let path = format!("{}?subscription={}", client.path(&wish.resource()), self.id);
        let answer = client.ask(Method::DELETE, &path).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::NOT_FOUND => Ok(()),
            _ => answer.refused("the subscription cannot be deleted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_a_search_with_options() {
        let wish = Wish {
            level: "series",
            subscriber: "VIEWER".into(),
            filters: vec![("Modality".into(), "XA".into()), ("PatientName".into(), "Mül*&b=c\\d e".into())],
            rate: Some(7.5),
            rendered: true,
        };
        assert_eq!(wish.resource(), "/series/subscribers/VIEWER");
        assert_eq!(
            wish.query(),
            "lease=120&Modality=XA&PatientName=M%C3%BCl%2A%26b%3Dc%5Cd%20e&rate=7.5&representation=rendered"
        );
    }
}
