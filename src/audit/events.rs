//! What is logged of the audit trail: the occurrences, without patients and questions, and how sending goes.

use std::fmt::{Debug, Display};
use std::io;
use std::net::IpAddr;

use crate::event::events;

events! {
    /// To be known.
    Started<'a>: INFO "audit.started" at "framegate::audit" { value version: &'a str }
        "the application has started";
    /// To be known.
    Stopped<'a>: INFO "audit.stopped" at "framegate::audit" { value version: &'a str } "the application stops";
    /// To be known. A logout is told so too.
    Authenticated<'a>: INFO "audit.authenticated" at "framegate::audit"
        { value user: &'a str, display peer: IpAddr, debug how: &'a dyn Debug }
        "somebody was authenticated";
    /// Somebody shows a credential that is not accepted. If it is one of yours, see to that credential.
    NotAuthenticated<'a>: WARN "audit.not_authenticated" at "framegate::audit"
        { display peer: IpAddr, debug how: &'a dyn Debug }
        "somebody was not authenticated";
    /// To be known.
    Alert<'a>: INFO "audit.alert" at "framegate::audit"
        { value peer: &'a str, value user: &'a str, debug alert: &'a dyn Debug } (said: &'a str)
        "{said}";
    /// Something was warded off, or lost. The text says what. If it is a peer of yours, see to its configuration.
    Alarm<'a>: WARN "audit.alarm" at "framegate::audit"
        { value peer: &'a str, value user: &'a str, debug alert: &'a dyn Debug } (said: &'a str)
        "{said}";
    /// To be known: instances of a study are on their way.
    TransferBegins<'a>: INFO "audit.transfer_begins" at "framegate::audit"
        { value from: &'a str, value to: &'a str }
        "a transfer begins";
    /// To be known: no more instances of a study follow. An outcome other than Success says that the peer went away, or
    /// did not take them.
    TransferEnded<'a>: INFO "audit.transfer_ended" at "framegate::audit"
        { value from: &'a str, value to: &'a str, value instances: u64, debug outcome: &'a dyn Debug }
        "a transfer has ended";
    /// To be known.
    Accessed<'a>: INFO "audit.accessed" at "framegate::audit" { value by: &'a str }
        "the attributes of a study were read";
    /// To be known: what was asked is for the audit record repository only.
    Asked<'a>: INFO "audit.asked" at "framegate::audit" { value by: &'a str, value to: &'a str, value of: &'a str }
        "something was searched for";
    /// Another patient, study or step is imaged from now on, or an operator has said so; never who. To be known.
    ContextChanges<'a>: INFO "audit.context_changes" at "framegate::audit"
        { value capture: &'a str, value provider: &'a str, value change: &'a str, value by: &'a str }
        "the context changes";
    /// Messages wait in memory, and the newest are lost when `audit.queue` is full. The text says what is wrong, and
    /// what to look at.
    Away<'a>: WARN "audit.receiver_away" metric "framegate_audit_connection_failures_total"
        { value receiver: &'a str } (why: &'a dyn Display)
        "audit messages cannot be sent and wait: {why}";
    /// The receiver was away, or too slow, when the service ended: the repository lacks these messages, and the lines
    /// above have the same.
    LostAtEnd: ERROR "audit.lost_at_end" metric "framegate_audit_messages_lost_total" { value waiting: usize }
        "audit messages have not gone out within service.drain_seconds and are lost";
    /// To be known: the next start will not say whether the version is another.
    VersionNotLeft<'a>: DEBUG "audit.version_not_left" { display error: &'a io::Error }
        "the runtime directory does not take the version that runs";
    /// To be known: the receiver is back.
    Back: INFO "audit.receiver_back" "audit messages are sent again";
}
