//! What is logged of telling peers what is available.

use std::fmt::Display;

use crate::event::events;

events! {
    /// The peer is told of the first ones only. Shorten the runs, or let the peer ask for the rest.
    LeftOut<'a>: WARN "availability.left_out"
        { value series: &'a str, value listed: usize, value left_out: usize }
        "the series has more instances than one availability notification lists";
    /// Make the peer faster, or find out what holds it up. It does not know of these series.
    Dropped<'a>: WARN "availability.dropped" metric "framegate_availability_notifications_total"
        { value peer: &'a str, value dropped: u64 }
        "availability notifications were dropped: the peer is slower than series end";
    /// To be known.
    Told<'a>: DEBUG "availability.told" metric "framegate_availability_notifications_total"
        { value peer: &'a str, value series: &'a str }
        "availability told";
    /// The text says why and where to look. The peer does not know of this series.
    Failed<'a>: WARN "availability.failed" metric "framegate_availability_notifications_total"
        { value peer: &'a str, value address: &'a str, value series: &'a str, value attempts: u32 }
        (error: &'a dyn Display, title: &'a str)
        "the peer was not told what is available: {error}; look at [availability.{peer}] and at its configuration for AE title {title}";
}
