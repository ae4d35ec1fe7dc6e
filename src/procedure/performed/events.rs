//! What is logged of performed procedure steps: which peer and which capture, and never whose step.

use std::fmt::Display;

use crate::event::events;

events! {
    /// Nothing to do.
    ToldAgain<'a>: INFO "mpps.told_again" { value peer: &'a str } "performed procedure steps are told again";
    /// End these steps at the RIS by hand.
    LastWordsLost<'a>: WARN "mpps.last_words_lost" { value peer: &'a str }
        "the peer was not told how all performed procedure steps ended: it may hold them for in progress";
    /// The peer is told of the first ones only. Shorten the runs.
    LeftOut<'a>: WARN "mpps.left_out" { value peer: &'a str, value capture: &'a str, value left_out: usize }
        "the performed procedure step has more instances than are listed";
    /// To be known.
    Begun<'a>: INFO "mpps.begun" metric "framegate_mpps_messages_total" { value peer: &'a str, value capture: &'a str }
        "performed procedure step begun";
    /// To be known.
    Ended<'a>: INFO "mpps.ended" metric "framegate_mpps_messages_total"
        { value peer: &'a str, value capture: &'a str, value discontinued: bool }
        "performed procedure step ended";
    /// The peer's log says why. The step has to be written, or ended, at the RIS by hand.
    Refused<'a>: WARN "mpps.refused" metric "framegate_mpps_messages_total"
        { value peer: &'a str, value address: &'a str, value capture: &'a str } (error: &'a dyn Display)
        "a performed procedure step was refused, and is not told again: {error}; look at what the peer logged";
    /// The text says why and where to look. It is tried again by itself.
    Fails<'a>: WARN "mpps.fails" metric "framegate_mpps_failures_total"
        { value peer: &'a str, value address: &'a str, value waiting: usize } (error: &'a dyn Display, title: &'a str)
        "performed procedure steps cannot be told: {error}; they wait. Look at [mpps.{peer}] and at its configuration for AE title {title}";
}
