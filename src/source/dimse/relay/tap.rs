//! The tap: what a modality C-STOREs is published while it is passed on. Pixels are read from the socket
//! straight into the memory that is published ([`Guarded::room`]) and written to the upstream from there.
//!
//! Nothing that goes wrong here reaches the relay. An object that cannot be published is passed on unread, and a
//! panic ends the tap of its association and nothing else.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::BytesMut;

use super::super::association::{Service, printable};
use super::super::negotiate::Context;
use super::super::store::{self, Refused, Request};
use super::Relay;
use super::events;
use super::pump::Watch;
use super::steps::{STEP_LIMIT, Step, Steps};
use crate::audit::Transfers;
use crate::dimse::command::{C_STORE, Heading};
use crate::instance::Source;
use crate::instance::assemble::Assembler;
use crate::source::claims::Claims;

/// What is being done with the message that passes.
#[derive(Debug)]
enum Message {
    /// Nothing: it passes.
    Passes,
    /// Its data set is an object that is published.
    Store(Box<Assembler>),
    /// Its data set says something of a performed procedure step.
    Step(Step),
}

/// What is made of the messages of one association.
#[derive(Debug)]
pub(super) struct Tap {
    service: Service,
    relay: Arc<Relay>,
    contexts: HashMap<u8, Context>,
    calling: String,
    claims: Claims,
    message: Message,
    steps: Steps,
}

impl Tap {
    pub(super) fn new(
        service: Service,
        relay: Arc<Relay>,
        contexts: HashMap<u8, Context>,
        calling: String,
        steps: Steps,
        transfers: Transfers,
    ) -> Self {
        let claims = Claims::of(Source::Relay, transfers);
        Self { service, relay, contexts, calling, claims, message: Message::Passes, steps }
    }

    fn command(&mut self, context: u8, heading: &Heading) {
        self.message = Message::Passes;
        let Some(negotiated) = self.contexts.get(&context) else { return };
        if let Some(step) = Step::of(heading, &negotiated.transfer_syntax) {
            self.message = Message::Step(step);
            return;
        }
        let (Some(sop_class), Some(sop_instance)) = (&heading.sop_class, &heading.sop_instance) else {
            return;
        };
        if heading.field != C_STORE || !heading.data_set {
            return;
        }
        let request = Request { context, negotiated, sop_class, sop_instance, calling: &self.calling };
        match store::begin(&self.service, &request) {
            Ok(assembler) => self.message = Message::Store(Box::new(assembler)),
            Err(refused) => self.refuse(&refused),
        }
    }

    fn data(&mut self, mut bytes: &[u8]) {
        #[cfg(test)]
        assert_ne!(self.calling, "EXPLODES", "so that a test sees what a fault of ours does");
        self.service.counters.bytes.inc_by(bytes.len() as u64);
        match &mut self.message {
            Message::Passes => {}
            Message::Step(step) => {
                if !step.take(bytes) {
                    events::StepTooLong { relay: &self.relay.name, limit: STEP_LIMIT }.tell();
                    self.message = Message::Passes;
                }
            }
            Message::Store(_) => {
                while !bytes.is_empty() {
                    let Message::Store(assembler) = &mut self.message else { return };
                    let (target, room) = assembler.target();
                    let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
                    target.extend_from_slice(now);
                    bytes = later;
                    self.publish(false);
                }
            }
        }
    }

    /// The bytes that were read into the target are the next of the object.
    fn filled(&mut self, bytes: usize) {
        self.service.counters.bytes.inc_by(bytes as u64);
        self.publish(false);
    }

    fn fragment(&mut self, last: bool) {
        if !last {
            return;
        }
        self.publish(true);
        if let Message::Step(step) = std::mem::replace(&mut self.message, Message::Passes) {
            self.steps.asked(step);
        }
    }

    fn publish(&mut self, ended: bool) {
        let Message::Store(assembler) = &mut self.message else { return };
        loop {
            match store::publish_next(assembler, &self.service, &mut self.claims, &self.calling, ended) {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(refused) => {
                    self.refuse(&refused);
                    self.message = Message::Passes;
                    return;
                }
            }
        }
    }

    fn refuse(&self, refused: &Refused) {
        self.relay.counters.unstreamed(&self.relay.name, refused.kind());
        let (relay, calling) = (&self.relay.name, &printable(&self.calling));
        events::NotStreamed { relay, calling, refused, mend: refused.mend() }.tell();
    }
}

/// Does something whose panic is nobody else's business: `None` says that it panicked. What it was at must not be
/// used any more.
pub(super) fn unharmed<R>(act: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(act)).ok()
}

/// A tap that cannot do harm.
#[derive(Debug)]
pub(in crate::source::dimse) struct Guarded(Option<Tap>);

impl Guarded {
    pub(super) fn new(tap: Option<Tap>) -> Self {
        Self(tap)
    }

    /// The association was released: its part of every series is complete.
    pub(in crate::source::dimse) fn complete(&mut self) {
        self.guard(|tap| tap.claims.complete());
    }

    fn guard<R>(&mut self, act: impl FnOnce(&mut Tap) -> R) -> Option<R> {
        let tap = self.0.as_mut()?;
        // What a panic leaves half done is dropped with the tap.
        if let Some(done) = unharmed(|| act(tap)) {
            return Some(done);
        }
        let tap = self.0.take()?;
        tap.relay.counters.unstreamed(&tap.relay.name, "panic");
        events::TapFailed { relay: &tap.relay.name }.tell();
        // Its own end may be what panics.
        let _ = unharmed(|| drop(tap));
        None
    }
}

impl Watch for Guarded {
    fn command(&mut self, context: u8, heading: &Heading) {
        self.guard(|tap| tap.command(context, heading));
    }

    fn data(&mut self, bytes: &[u8]) {
        self.guard(|tap| tap.data(bytes));
    }

    fn filled(&mut self, bytes: usize) {
        self.guard(|tap| tap.filled(bytes));
    }

    fn fragment(&mut self, last: bool) {
        self.guard(|tap| tap.fragment(last));
    }

    fn room(&mut self) -> Option<(&mut BytesMut, usize)> {
        // Asked once under the guard, so that what could panic has done so.
        let ready = self.guard(|tap| {
            if let Message::Store(assembler) = &mut tap.message { assembler.target().1 } else { 0 }
        })?;
        match self.0.as_mut().map(|tap| &mut tap.message) {
            Some(Message::Store(assembler)) if ready > 0 => Some(assembler.target()),
            _ => None,
        }
    }

    fn lost(&mut self) {
        self.0 = None;
    }
}
