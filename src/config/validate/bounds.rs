//! Sections of plain numbers: each has been held against its range where it stands, and becomes a
//! setting as it is.

use std::time::Duration;

use super::super::fragment::{DimseBounds, HttpBounds, Hub, Pattern, Send, Subscriptions};
use super::super::settings::{
    DimseLimits, DimseSettings, HttpLimits, HubSettings, PatternSettings, SendSettings, SubscriptionSettings,
};

/// A duration in seconds.
pub(super) fn seconds(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_secs)
}

/// A duration in minutes; 0 is none.
pub(super) fn minutes(value: Option<u64>, default: Option<Duration>) -> Option<Duration> {
    value.map_or(default, |minutes| Some(Duration::from_secs(minutes * 60)).filter(|long| !long.is_zero()))
}

/// A duration in milliseconds.
pub(super) fn milliseconds(value: Option<u64>, default: Duration) -> Duration {
    value.map_or(default, Duration::from_millis)
}

/// `[hub]`
pub(super) fn hub(hub: &Hub) -> HubSettings {
    let default = HubSettings::default();
    HubSettings {
        budget_bytes: hub.budget_bytes.unwrap_or(default.budget_bytes),
        max_age: seconds(hub.max_age_seconds, default.max_age),
        quiet: seconds(hub.quiet_seconds, default.quiet),
        linger: milliseconds(hub.linger_ms, default.linger),
        max_series: hub.max_series.unwrap_or(default.max_series),
    }
}

/// `[dimse.limits]`
pub(super) fn dimse(limits: &DimseBounds) -> DimseLimits {
    let default = DimseLimits::default();
    DimseLimits {
        associations: limits.associations.unwrap_or(default.associations),
        associations_per_peer: limits.associations_per_peer.unwrap_or(default.associations_per_peer),
        pdu_bytes: limits.pdu_bytes.unwrap_or(default.pdu_bytes),
        head_bytes: limits.head_bytes.unwrap_or(default.head_bytes),
        frame_bytes: limits.frame_bytes.unwrap_or(default.frame_bytes),
        frames: limits.frames.unwrap_or(default.frames),
        elements: limits.elements.unwrap_or(default.elements),
        nesting: limits.nesting.unwrap_or(default.nesting),
        handshake: seconds(limits.handshake_seconds, default.handshake),
        idle: seconds(limits.idle_seconds, default.idle),
        stall: seconds(limits.stall_seconds, default.stall),
    }
}

/// `[dicomweb.limits]`
pub(super) fn http(limits: &HttpBounds) -> HttpLimits {
    let default = HttpLimits::default();
    HttpLimits {
        connections: limits.connections.unwrap_or(default.connections),
        connections_per_peer: limits.connections_per_peer.unwrap_or(default.connections_per_peer),
        streams: limits.streams.unwrap_or(default.streams),
        requests_per_second: limits.requests_per_second.unwrap_or(default.requests_per_second),
        request_burst: limits.request_burst.unwrap_or(default.request_burst),
        header_bytes: limits.header_bytes.unwrap_or(default.header_bytes),
        header_timeout: seconds(limits.header_timeout_seconds, default.header_timeout),
        idle: seconds(limits.idle_seconds, default.idle),
        send_timeout: milliseconds(limits.send_timeout_ms, default.send_timeout),
        search_results: limits.search_results.unwrap_or(default.search_results),
    }
}

/// `[send]`, `[send.limits]`; the SOP classes are one list for all ways in.
pub(super) fn send(send: &Send, dimse: &DimseSettings) -> SendSettings {
    let (limits, default) = (&send.limits, SendSettings::default());
    SendSettings {
        requests: send.requests.unwrap_or(default.requests),
        head_bytes: limits.head_bytes.unwrap_or(default.head_bytes),
        frame_bytes: limits.frame_bytes.unwrap_or(default.frame_bytes),
        frames: limits.frames.unwrap_or(default.frames),
        elements: limits.elements.unwrap_or(default.elements),
        nesting: limits.nesting.unwrap_or(default.nesting),
        listed: limits.listed.unwrap_or(default.listed),
        stall: seconds(limits.stall_seconds, default.stall),
        idle: seconds(send.idle_seconds, default.idle),
        private_sop_classes: dimse.private_sop_classes.clone(),
    }
}

/// `[subscriptions]`
pub(super) fn subscriptions(bounds: &Subscriptions) -> SubscriptionSettings {
    let default = SubscriptionSettings::default();
    SubscriptionSettings {
        total: bounds.total.unwrap_or(default.total),
        per_subscriber: bounds.per_subscriber.unwrap_or(default.per_subscriber),
        lease: seconds(bounds.lease_seconds, default.lease),
        events: bounds.events.unwrap_or(default.events),
        channels: bounds.channels.unwrap_or(default.channels),
        ping: seconds(bounds.ping_seconds, default.ping),
    }
}

/// `[pattern]`
pub(super) fn pattern(pattern: &Pattern) -> PatternSettings {
    let default = PatternSettings::default();
    PatternSettings {
        enabled: pattern.enabled.unwrap_or(default.enabled),
        rows: pattern.rows.unwrap_or(default.rows),
        columns: pattern.columns.unwrap_or(default.columns),
        bits: pattern.bits.unwrap_or(default.bits),
        color: pattern.color.unwrap_or(default.color),
        fps: pattern.fps.unwrap_or(default.fps),
    }
}
