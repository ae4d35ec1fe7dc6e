//! What is logged of objects that are sent to us over HTTP.

use std::fmt::{Arguments, Display};

use crate::event::events;

events! {
    /// The text says why, and how to mend it; the sender is told the same.
    Refused<'a>: WARN "send.object_refused" metric "framegate_send_objects_refused_total"
        { value principal: &'a str, value sop_class: &'a str, display reason: Arguments<'a>, value suppressed: u64 }
        (failure: &'a dyn Display, mend: &'a str)
        "an object that was sent is refused: {failure}{mend}";
    /// The sender has gone, was too slow, or sent something that is no multipart body. What came in whole is taken.
    Broken<'a>: INFO "send.request_broken" metric "framegate_send_requests_broken_total"
        { value principal: &'a str, value reason: &'a str, value taken: u64 }
        "a request that sends instances did not come to its end";
}
