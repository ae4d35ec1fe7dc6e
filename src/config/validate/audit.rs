//! The audit trail, which names patients and therefore leaves over TLS only.

use super::super::fragment::Audit;
use super::super::settings::{AuditReceiver, AuditSettings};
use super::Validation;
use super::peers::set;

impl Validation<'_> {
    pub(super) fn audit(&mut self, section: &Audit) -> AuditSettings {
        let before = self.problems.len();
        let Audit { receiver, ca, certificate, key, queue } = section;
        let tls = self.peer_tls("audit", ca.as_deref(), certificate.as_deref(), key.as_deref());
        let receiver = set(receiver.as_ref());
        if receiver.is_some() && tls.is_none() && self.problems.len() == before {
            let what = "stands without roots to check the receiver by";
            self.report(&["audit.receiver", "audit.ca"], what, "audit.ca with it, path of a PEM file");
        }
        AuditSettings {
            receiver: receiver.zip(tls).map(|(address, tls)| AuditReceiver { address, tls }),
            queue: queue.unwrap_or(AuditSettings::default().queue),
        }
    }
}
