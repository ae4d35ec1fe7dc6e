//! The series that one peer publishes into, for as long as its association or request lasts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::refused::Refused;
use crate::audit::{Outcome, Transfers};
use crate::hub::{Hub, Published, Publisher};
use crate::instance::assemble::{Assembler, Event, Opened};
use crate::instance::{Source, Uid};

/// The series that a peer publishes into. Dropped as it is, it tells the hub that the source died.
#[derive(Debug)]
pub(super) struct Claims {
    source: Source,
    publishers: HashMap<(Uid, Uid), Publisher>,
    /// What the audit trail is told of them.
    transfers: Transfers,
}

impl Claims {
    /// None yet, of a peer of this source, by the account that is kept of what it sends.
    pub(super) fn of(source: Source, transfers: Transfers) -> Self {
        Self { source, publishers: HashMap::new(), transfers }
    }

    /// The peer has said that it is done: its part of every series is complete.
    pub(super) fn complete(&mut self) {
        for (_, publisher) in self.publishers.drain() {
            publisher.complete();
        }
        self.transfers.finish(Outcome::Success);
    }

    /// Acts on an event of an object: opens its series, or publishes its instance. Never waits.
    ///
    /// The caller is to yield after an instance: readers were woken on this thread, and no other
    /// takes them from it. They should have the frame before the next one is made, and an object of
    /// very many small frames should not keep the thread.
    ///
    /// # Errors
    /// When the object must be refused.
    pub(super) fn take(
        &mut self,
        hub: &Hub,
        assembler: &mut Assembler,
        event: Event,
    ) -> Result<Option<Published>, Refused> {
        match event {
            Event::Opened(opened) => {
                let publisher = self.claim(hub, &opened)?;
                if opened.instances > 1 {
                    assembler.number_from(publisher.reserve_numbers(opened.instances));
                }
                Ok(None)
            }
            Event::Instance(instance) => {
                let identity = instance.identity().clone();
                let key = (identity.study.clone(), identity.series.clone());
                // `Opened` comes before every instance of its object.
                let Some(publisher) = self.publishers.get(&key) else { return Ok(None) };
                let begun = assembler.next_begun(instance.arrived());
                let published = publisher.publish(instance.coming_from(self.source, begun))?;
                self.transfers.note(&identity, || Some(publisher.series().context().clone()));
                Ok(Some(published))
            }
        }
    }

    fn claim(&mut self, hub: &Hub, opened: &Opened) -> Result<&Publisher, Refused> {
        let identity = &opened.identity;
        let key = (identity.study.clone(), identity.series.clone());
        if self.publishers.get(&key).is_none_or(|publisher| publisher.series().end().is_some()) {
            // Series that have ended by quiet: this one opens again, and a peer that stays for hours
            // does not keep the others in memory.
            let ended = self.publishers.extract_if(|_, publisher| publisher.series().end().is_some());
            ended.for_each(|(_, publisher)| publisher.complete());
        }
        match self.publishers.entry(key) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let opened = hub.open(&identity.study, &identity.series, || opened.dataset());
                Ok(entry.insert(opened.map_err(Refused::Open)?.by(self.source.as_str())))
            }
        }
    }
}
