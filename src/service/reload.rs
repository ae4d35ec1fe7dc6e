//! Reads the configuration again on SIGHUP, applies what can change while everything runs, and
//! says what cannot. A configuration with a fault changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use sd_notify::NotifyState;
use tokio::sync::watch;

use super::console::Opened;
use super::expiry::Certificates;
use super::{Reload, ServiceError, events, notify, standing};
use crate::audit::Audit;
use crate::config::settings::{
    AvailabilitySettings, DicomwebSettings, DimseSettings, MppsSettings, SendSettings, Settings,
    WorklistSettings,
};
use crate::config::{Loaded, changes, merge_reloadable};
use crate::dicomweb::Destinations;
use crate::dicomweb::access::{Access, Table};
use crate::hub::Hub;
use crate::net::limits::Limits;
use crate::sink::notify::Notifier;
use crate::sink::push::Push;
use crate::source::dimse::relay::Relays;
use crate::source::dimse::relay::counters::RelayCounters;
use crate::spool::Spool;
use crate::subscription::registry::{Registry, Request};

/// What a reload reaches.
pub(super) struct Reloader {
    /// What is in force.
    pub(super) loaded: Loaded,
    /// The same, for who shows it.
    pub(super) shown: Arc<ArcSwap<Loaded>>,
    pub(super) reload: Reload,
    pub(super) hub: Hub,
    pub(super) push: Push,
    pub(super) dimse: Arc<ArcSwap<DimseSettings>>,
    pub(super) relays: Arc<ArcSwap<Relays>>,
    pub(super) relay_counters: RelayCounters,
    pub(super) spools: BTreeMap<String, Spool>,
    pub(super) dicomweb: Arc<ArcSwap<DicomwebSettings>>,
    pub(super) registry: Registry,
    pub(super) destinations: Destinations,
    pub(super) availability: watch::Sender<BTreeMap<String, AvailabilitySettings>>,
    pub(super) worklists: watch::Sender<BTreeMap<String, WorklistSettings>>,
    pub(super) mpps: watch::Sender<BTreeMap<String, MppsSettings>>,
    /// Our service root, for the Retrieve URLs of standing searches.
    pub(super) base: Arc<str>,
    pub(super) send: Arc<ArcSwap<SendSettings>>,
    pub(super) limits: Arc<ArcSwap<Limits>>,
    pub(super) access: Access,
    pub(super) console: Option<Opened>,
    pub(super) notifier: Notifier,
    pub(super) audit: Audit,
    pub(super) certificates: Certificates,
}

impl Reloader {
    /// SIGHUP.
    pub(super) fn reload(&mut self) {
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            notify(&[NotifyState::Reloading, now]);
        }
        self.renew_files(true);
        match (self.reload.load)() {
            Ok(fresh) => self.apply(fresh),
            Err(errors) => {
                for problem in &errors.problems {
                    events::NotReloaded { problem }.tell();
                }
            }
        }
        notify(&[NotifyState::Ready]);
    }

    fn apply(&mut self, fresh: Loaded) {
        let changed = changes(&self.loaded, &fresh);
        let settings = merge_reloadable(&self.loaded.settings, &fresh.settings);
        // What can still be refused comes first, so that a refusal leaves everything as it was.
        let (table, standing) = match self.prepare(&settings) {
            Ok(prepared) => prepared,
            Err(error) => {
                events::NotReloaded { problem: &error }.tell();
                return;
            }
        };
        let grants = Arc::clone(table.grants());
        self.access.replace(table);
        self.destinations.store(Arc::new(settings.destinations.clone()));
        self.push.reload(settings.destinations.clone());
        self.availability.send_if_modified(|known| replace(known, &settings.availability));
        self.worklists.send_if_modified(|known| replace(known, &settings.worklists));
        self.mpps.send_if_modified(|known| replace(known, &settings.mpps));
        self.audit.reload(&settings.audit);
        self.registry.reload(settings.subscriptions.clone());
        self.registry.stand(standing);
        // Before their subscriptions end, so that they are told why.
        self.notifier.dismiss(|owner| !standing::may_listen(&grants, owner));
        self.registry.review(|known| standing::verdict(known, &grants));
        self.hub.reload(settings.hub.clone());
        self.dimse.store(Arc::new(settings.dimse.clone()));
        let relays = Relays::new(&settings.relays, &self.relay_counters, &self.spools, &self.relays.load());
        self.relays.store(Arc::new(relays));
        let web = &settings.dicomweb;
        if web.allow != self.loaded.settings.dicomweb.allow
            || web.limits != self.loaded.settings.dicomweb.limits
        {
            self.limits.store(Arc::new(Limits::new(web.allow.clone(), web.limits.clone())));
        }
        self.dicomweb.store(Arc::new(web.clone()));
        if let Some(console) = &self.console {
            console.reload(&settings.console);
        }
        self.send.store(Arc::new(settings.send.clone()));
        if let Err(error) = (self.reload.log)(&settings.service.log) {
            events::LogUnchanged { error: &error }.tell();
        }
        events::Reloaded { applied: &changed.applied }.tell();
        if !changed.needs_restart.is_empty() {
            events::NeedsRestart { keys: &changed.needs_restart }.tell();
        }
        self.loaded = Loaded { settings, values: fresh.values };
        self.shown.store(Arc::new(self.loaded.clone()));
    }

    fn prepare(&self, settings: &Settings) -> Result<(Table, Vec<Request>), ServiceError> {
        let table = self.access.prepare(&settings.access)?;
        let standing = standing::requests(settings, table.grants(), &self.base);
        Ok((table, standing.map_err(ServiceError::Standing)?))
    }

    /// Takes certificates, revocation lists and token keys that have changed on disk, or all of them.
    /// Live streams go on, but for those of clients whose certificate is no longer accepted. Says which
    /// certificates come to their end.
    pub(super) fn renew_files(&mut self, all: bool) {
        match self.access.renew_keys(all) {
            Some(Ok(keys)) => events::KeysReloaded { keys }.tell(),
            Some(Err(error)) => events::KeysStay { error: &error }.tell(),
            None => {}
        }
        self.renew_certificates(all);
        let now = SystemTime::now();
        self.certificates.served().for_each(|tls| tls.mind_revocation_lists(now));
        self.certificates.mind(&self.loaded.settings, all, now);
    }

    fn renew_certificates(&self, all: bool) {
        for tls in self.certificates.served() {
            if !all && !tls.changed_on_disk() {
                continue;
            }
            match tls.reload() {
                Ok(validity) => events::CertificateReloaded { validity: &validity }.tell(),
                Err(error) => events::CertificateStays { error: &error }.tell(),
            }
        }
    }
}

/// Makes `known` what it is to be; says whether it was something else.
fn replace<T: Clone + PartialEq>(known: &mut T, wanted: &T) -> bool {
    let differs = known != wanted;
    if differs {
        known.clone_from(wanted);
    }
    differs
}
