//! What is logged about associations of ours to peers, whoever opens them.

use crate::event::events;

events! {
    /// Nothing to do: what was asked has been answered.
    ClumsyRelease: DEBUG "dimse.clumsy_release" "a peer is clumsy about the release of an association";
}
