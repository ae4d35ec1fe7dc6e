//! What the DIMSE source logs of its listener and of associations that it answers itself.

use std::fmt::{Arguments, Display};
use std::io;
use std::net::SocketAddr;

use crate::event::events;

events! {
    /// Most likely file descriptors or memory have run out: find out what holds them.
    AcceptFailed<'a>: ERROR "dimse.accept_failed" { display error: &'a io::Error }
        "the DIMSE listener cannot accept; it tries again";
    /// To be known.
    Released: INFO "dimse.association_released" { display peer: SocketAddr } "association released";
    /// It was refused, or broke. The text says why and on whose side.
    Ended<'a>: WARN "dimse.association_ended" { display peer: SocketAddr, value reason: &'a str } (error: &'a dyn Display)
        "association ended: {error}";
    /// To be known.
    Accepted<'a>: INFO "dimse.association_accepted" metric "framegate_dimse_associations_total"
        { display peer: SocketAddr, display calling: &'a str, value contexts: usize }
        "association accepted";
    /// To be known: the upstream of this relay answers it.
    PassedOn<'a>: INFO "dimse.association_passed_on"
        { display peer: SocketAddr, display calling: &'a str, value relay: &'a str }
        "association passed on";
    /// The spool is full, or its disk fails. Bring the upstream back, or mend the disk; the modality sends it again.
    NotSpooled<'a>: ERROR "dimse.not_spooled" metric "framegate_dimse_stores_total"
        { value relay: &'a str, display calling: &'a str } (error: &'a dyn Display)
        "an object cannot be spooled: {error}; the modality is told to keep it";
    /// The text says why, and how to mend it.
    StoreRefused<'a>: WARN "dimse.store_refused" metric "framegate_dimse_stores_total"
        { display calling: &'a str, display sop_class: &'a dyn Display, display status: Arguments<'a> }
        (refused: &'a dyn Display, mend: &'a str)
        "C-STORE refused: {refused}{mend}";
}
