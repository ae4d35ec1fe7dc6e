//! What the DICOMweb origin server logs.

use std::fmt::Display;
use std::net::SocketAddr;

use http::StatusCode;

use crate::event::events;

events! {
    /// A reader asks for a form that this instance cannot be had in; it is told which there are.
    Unsuitable<'a>: DEBUG "dicomweb.unsuitable" metric "framegate_dicomweb_instances_unsuitable_total"
        { display transfer_syntax: &'a dyn Display } (why: &'a dyn Display)
        "{why}";
    /// Nothing to do: it comes back if it wants to.
    GoneBeforeUpgrade<'a>: DEBUG "dicomweb.gone_before_upgrade" { display error: &'a hyper::Error }
        "a client went away before its upgrade";
    /// The client gets status 500. A fault of framegate, or of the data set: report it.
    MetadataUnwritable<'a>: ERROR "dicomweb.metadata_unwritable" (error: &'a dyn Display)
        "a data set cannot be written as metadata: {error}";
    /// The client gets status 500. Look at what the worklist sends, and report it.
    EntryUnwritable<'a>: ERROR "dicomweb.entry_unwritable" (error: &'a dyn Display)
        "an entry of the worklist cannot be written as JSON: {error}";
    /// Somebody has started or stopped a capture, or has said who is imaged; never whom. To be known.
    Operated<'a>: INFO "dicomweb.operated" { value principal: &'a str, value capture: &'a str, value action: &'a str }
        "a capture is operated";
    /// The client gets status 500. A fault of framegate: report it.
    AnswerUnwritable<'a>: ERROR "dicomweb.answer_unwritable" (error: &'a dyn Display)
        "an answer cannot be written as JSON: {error}";
    /// Nothing to do, if that was meant; else give the principal the right again, or a new token.
    RightTaken: INFO "dicomweb.right_taken" metric "framegate_dicomweb_responses_withdrawn_total"
        "ended a response: its reader's right to it was taken by a reload, or its token has expired";
    /// The client gets status 500. A fault of framegate: report it.
    CapabilitiesUnwritable<'a>: ERROR "dicomweb.capabilities_unwritable" (error: &'a dyn Display)
        "the capabilities cannot be described: {error}";
    /// A request was not fulfilled; the client was told the same.
    Refused<'a>: DEBUG "dicomweb.refused"
        { display peer: SocketAddr, value transaction: &'a str, display status: StatusCode } (detail: &'a str)
        "{detail}";
    /// Nothing to do: what had come in whole is taken.
    SenderGone<'a>: DEBUG "dicomweb.sender_gone" { display error: &'a dyn Display }
        "the client of a Send or Store is gone";
    /// The client gets status 500, but its objects are taken. A fault of framegate: report it.
    ResponseUnwritable<'a>: ERROR "dicomweb.response_unwritable" (error: &'a dyn Display)
        "a response to Store cannot be written: {error}";
    /// The client gets status 500. A fault of framegate: report it.
    SubscriptionUnwritable<'a>: ERROR "dicomweb.subscription_unwritable" (error: &'a dyn Display)
        "a subscription cannot be written as JSON: {error}";
}
