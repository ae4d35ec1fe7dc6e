//! One data set on its way from a part into the hub.

use std::sync::Arc;

use dicom_encoding::transfer_syntax::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::counters::{Reason, SendCounters};
use super::events;
use super::failure::Failure;
use super::report::{Reference, Report};
use crate::config::settings::SendSettings;
use crate::hub::{Hub, Published};
use crate::instance::Uid;
use crate::instance::assemble::{Assembler, Event, Limits, Transfer};
use crate::instance::scan::HeadLimits;
use crate::source::claims::Claims;
use crate::source::refused::Refused;
use crate::source::sop_class;

/// Where the objects of a request go, and what is noted of them.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) hub: Hub,
    pub(super) claims: Claims,
    pub(super) counters: SendCounters,
    pub(super) settings: Arc<SendSettings>,
    pub(super) report: Report,
    /// The only study that they may be of.
    pub(super) study: Option<Uid>,
    /// Who sends.
    pub(super) principal: Option<Arc<str>>,
}

impl Outlet {
    /// Who sends, for the log.
    pub(super) fn principal(&self) -> &str {
        self.principal.as_deref().unwrap_or("anonymous")
    }

    /// Notes an object that was taken.
    pub(super) fn take(&mut self, of: Reference, split: bool) {
        self.counters.taken.inc();
        self.report.take(of, split);
    }

    /// Notes an object that is refused.
    pub(super) fn refuse(&mut self, of: Option<Reference>, failure: &Failure) {
        let cause = failure.cause();
        self.counters.failed.get_or_create(&Reason { reason: cause.word() }).inc();
        self.counters.refusals.note(|suppressed| {
            events::Refused {
                principal: self.principal(),
                sop_class: of.as_ref().map_or("unknown", |of| &of.sop_class),
                reason: format_args!("{:04X}H", cause.code()),
                suppressed,
                failure: &failure,
                mend: failure.mend(),
            }
            .tell();
        });
        self.report.fail(of, cause, failure.is_for_now());
    }
}

/// One data set on its way in.
#[derive(Debug)]
pub(super) struct Object {
    assembler: Assembler,
    /// Instances made of it.
    made: u32,
}

impl Object {
    /// Begins the object `of`, whose data set has at most `bytes` bytes, where that is known.
    pub(super) fn begin(
        of: &Reference,
        transfer_syntax: Uid,
        source_ae_title: Option<String>,
        bytes: Option<usize>,
        settings: &SendSettings,
    ) -> Result<Self, Failure> {
        if !sop_class::is_taken(&of.sop_class, &settings.private_sop_classes) {
            return Err(Failure::SopClass);
        }
        if TransferSyntaxRegistry.get(&transfer_syntax).is_none() {
            return Err(Failure::TransferSyntax);
        }
        let transfer = Transfer {
            transfer_syntax,
            sop_class: of.sop_class.clone(),
            sop_instance: of.sop_instance.clone(),
            source_ae_title,
        };
        let mut assembler = Assembler::new(transfer, limits(settings)).map_err(Refused::from)?;
        if let Some(bytes) = bytes {
            assembler.announce(bytes);
        }
        Ok(Self { assembler, made: 0 })
    }

    /// Takes the next bytes of the data set and publishes what they make whole.
    pub(super) async fn feed(&mut self, mut bytes: &[u8], outlet: &mut Outlet) -> Result<(), Failure> {
        while !bytes.is_empty() {
            let (target, room) = self.assembler.target();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            target.extend_from_slice(now);
            bytes = later;
            self.publish(outlet, false).await?;
        }
        Ok(())
    }

    /// The data set's last byte is in. Says whether it became several instances.
    pub(super) async fn end(mut self, outlet: &mut Outlet) -> Result<bool, Failure> {
        self.publish(outlet, true).await?;
        Ok(self.made > 1)
    }

    async fn publish(&mut self, outlet: &mut Outlet, ended: bool) -> Result<(), Failure> {
        while let Some(event) = self.assembler.poll(ended).map_err(Refused::from)? {
            if let Event::Opened(opened) = &event
                && outlet.study.as_ref().is_some_and(|study| *study != opened.identity.study)
            {
                return Err(Failure::Study);
            }
            match outlet.claims.take(&outlet.hub, &mut self.assembler, event)? {
                Some(Published::Accepted) => outlet.counters.published.inc(),
                Some(Published::Duplicate) => outlet.counters.duplicates.inc(),
                None => continue,
            };
            self.made = self.made.saturating_add(1);
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn limits(settings: &SendSettings) -> Limits {
    Limits {
        head: HeadLimits {
            bytes: settings.head_bytes,
            elements: settings.elements,
            nesting: settings.nesting,
        },
        frame_bytes: settings.frame_bytes,
        frames: settings.frames,
    }
}
