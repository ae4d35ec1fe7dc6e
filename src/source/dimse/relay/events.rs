//! What relays log: which relay, which modality, and what has become of an association or an object.

use std::fmt::{Debug, Display};
use std::time::Duration;

use crate::event::events;

events! {
    /// See to the upstream: its log says why it does not want the object. Then restart the service, which sends it again.
    RefusedForGood<'a>: ERROR "relay.refused_for_good" { value relay: &'a str, value number: u64 } (error: &'a dyn Display)
        "an object of the spool is refused for good, and set aside: {error}; see to the upstream, then restart the service to have it sent again";
    /// The upstream is away, or does not take it now. It is tried again by itself; see to the upstream if that goes on.
    Waits<'a>: WARN "relay.object_waits" { value relay: &'a str, value number: u64, debug pause: Duration }
        (error: &'a dyn Display)
        "an object of the spool waits: {error}";
    /// The disk of the spool fails: look at it. It is tried again by itself.
    SpoolUnreadable<'a>: ERROR "relay.spool_unreadable" (error: &'a dyn Display)
        "nothing can be had from the spool now: {error}";
    /// The disk of the spool fails: look at it. The object may be sent again, which does no harm.
    SpoolUnwritable<'a>: ERROR "relay.spool_unwritable" (error: &'a dyn Display)
        "what became of an object of the spool cannot be written down: {error}";
    /// The upstream has it, and we do not know who is imaged from it. Look at what the modality sends.
    StepTooLong<'a>: WARN "relay.step_too_long" { display relay: &'a str } (limit: usize)
        "a performed procedure step of more than {limit} bytes is passed on unread";
    /// The upstream has it, and no application sees it. The text says why, and how to mend it.
    NotStreamed<'a>: WARN "relay.not_streamed" metric "framegate_relay_objects_unstreamed_total"
        { display relay: &'a str, display calling: &'a str } (refused: &'a dyn Display, mend: &'a str)
        "an object is passed on and not streamed: {refused}{mend}";
    /// A fault of framegate: report it. The upstream gets everything; applications miss the rest of this association.
    TapFailed<'a>: ERROR "relay.tap_failed" metric "framegate_relay_objects_unstreamed_total" { display relay: &'a str }
        "the stream of an association has failed by a fault of ours; the association is passed on without it";
    /// The text says why. What becomes of associations meanwhile is `when_unreachable` of `[relay.NAME]`.
    UpstreamAway<'a>: WARN "relay.upstream_away" { display relay: &'a str, display upstream: &'a dyn Display }
        (error: &'a dyn Display, mend: &'a str)
        "the upstream cannot be reached: {error}{mend}";
    /// Look at what the modality sends.
    StepUnreadable<'a>: WARN "relay.step_unreadable" { display calling: &'a str } (error: &'a dyn Display)
        "a performed procedure step cannot be read, and names no patient for us: {error}";
    /// The modality, or the RIS before it, sends values that break PS3.5. Who is imaged is doubtful until it is mended.
    StepValuesDropped<'a>: WARN "relay.step_values_dropped" { display calling: &'a str, debug attributes: &'a dyn Debug }
        "a performed procedure step has values that their attributes cannot have; they do not count";
    /// The upstream gets everything; applications see nothing of this association. Look at what the modality sends.
    NegotiationUnreadable: WARN "relay.negotiation_unreadable"
        "an association is passed on and not streamed: its negotiation cannot be read";
}
