//! What is logged of notification.

use std::fmt::Display;

use crate::event::events;

events! {
    /// More happens than the box can tell: look at its load. Subscribers are told how much they missed.
    Lagged: WARN "notify.lagged" metric "framegate_notify_events_overtaken_total" { value count: u64 }
        "events were lost; subscribers are told, and get the current state again";
    /// Nothing to do: the subscriber comes back, and gets what it has missed.
    Broke<'a>: DEBUG "notify.connection_broke" { display error: &'a dyn Display } "a notification connection broke";
}
