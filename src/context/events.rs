//! What the context logs.

use crate::event::events;

events! {
    /// A RIS does not take the performed steps of our captures, or is away for too long: see to `[mpps.NAME]` and its
    /// peer. The RIS holds the step that was given up for in progress; it has to be ended there by hand.
    StepGivenUp: WARN "context.step_given_up" "too many performed steps wait to be told; the oldest is given up";
}
