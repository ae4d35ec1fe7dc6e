//! What is logged of pushing: which destination, and why it does not take what it should.

use std::fmt::Display;

use crate::event::events;

events! {
    /// The subscription names a destination that it may not have, or that there is none of. The text says which.
    NotPushed<'a>: WARN "push.refused" { value subscriber: &'a str, value destination: &'a str } (why: &'a dyn Display)
        "nothing is pushed: {why}";
    /// A fault of framegate: report it. This subscription is not pushed any more; register it again, or restart.
    Panicked: ERROR "push.panicked" "a push ended in a panic; this is a fault of framegate, please report it";
    /// Nothing to do: `mode` of `[destination.NAME]` could say so at once.
    FallsBack<'a>: INFO "push.falls_back" { value destination: &'a str, value status: u16 }
        "the peer does not know Send; it is asked to Store instead";
    /// Nothing to do.
    WorksAgain<'a>: INFO "push.works_again" { value destination: &'a str } "pushing works again";
    /// The same as before has happened again.
    StillFails<'a>: DEBUG "push.still_fails" { value destination: &'a str, value peer: &'a str } (what: &'a str)
        "still cannot push: {what}";
    /// The text says why, and how to mend it. It is tried again by itself.
    Fails<'a>: WARN "push.fails" { value destination: &'a str, value peer: &'a str } (what: &'a str)
        "cannot push: {what}";
}
