//! Tells peers which procedure steps captures perform, as an SCU of Modality Performed Procedure Step (PS3.4
//! Annex F): N-CREATE when a step has begun, N-SET when it is completed or discontinued.
//!
//! ```text
//!   capture ── begins, ends ──► desk ◄── looked at once a second ── one teller a peer ── N-CREATE, N-SET ──► RIS
//! ```
//!
//! Steps are told in order, and none ends before it has begun. What fails by the connection, or may pass, is
//! tried again with back-off for as long as the step is known at the desk, which bounds how many wait; what the
//! peer refuses for good is said once, and the step is dropped. A step keeps its UID whatever happens, so that
//! one whose answer was lost is known as told when it is told again.

pub(crate) mod events;
mod message;

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use dicom_dictionary_std::uids;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::message::Images;
use super::counters::{Kind, ProcedureCounters};
use crate::config::settings::MppsSettings;
use crate::context::desk::Desk;
use crate::context::own_steps::OwnStep;
use crate::dimse::scu::{Answer, Association, Operation, Peer, ScuError, SopClass};
use crate::hub::Hub;
use crate::net::backoff::BackOff;
use crate::net::tasks::Tasks;

const CLASS: SopClass =
    SopClass { uid: uids::MODALITY_PERFORMED_PROCEDURE_STEP, name: "Modality Performed Procedure Step" };
/// How often the desk is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// For all that is to be told at once.
const WHOLE: Duration = Duration::from_secs(60);
/// When the service stops: for what is under way, and for the ends of steps then.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// The last frames of a step that has ended are in the hub after this long, whatever became of them.
const SETTLED: Duration = Duration::from_secs(10);
/// The pause after the first failure; it doubles up to the longest one.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Error ID (0000,0903): the step may no longer be updated (PS3.4 §F.7.2.2.2).
const NO_LONGER_UPDATED: u16 = 0xA710;

/// Tells `peers`, by their sections of the configuration, of the steps that captures leave at `desk`, until
/// `stopping` turns true.
pub async fn serve(
    mut peers: watch::Receiver<BTreeMap<String, MppsSettings>>,
    desk: Desk,
    hub: Hub,
    counters: ProcedureCounters,
    mut stopping: watch::Receiver<bool>,
) {
    let down = stopping.clone();
    let start = |name: &str, settings: &MppsSettings| {
        let (name, settings) = (name.to_owned(), settings.clone());
        let teller = Teller::new(name, settings, desk.clone(), hub.clone(), counters.clone());
        Some(teller.serve(down.clone()))
    };
    let mut tasks = Tasks::default();
    loop {
        tasks.follow(&peers.borrow_and_update().clone(), start);
        tokio::select! {
            _ = stopping.wait_for(|&down| down) => break,
            changed = peers.changed() => if changed.is_err() { break },
        }
    }
    tasks.join().await;
}

/// How far a step has been told.
#[derive(Debug, Default)]
struct Known {
    /// The peer knows that it has begun.
    begun: bool,
    /// An N-SET may have arrived, though its answer did not.
    set_tried: bool,
    /// Its instances, once it has ended.
    images: Option<Images>,
}

/// What became of one message.
enum Outcome {
    Told,
    Refused(ScuError),
}

/// Tells one peer.
struct Teller {
    name: String,
    peer: Peer,
    desk: Desk,
    hub: Hub,
    counters: ProcedureCounters,
    /// By SOP Instance UID. As many as the desk knows.
    known: HashMap<String, Known>,
    /// The failure that has been said.
    said: Option<String>,
}

impl Teller {
    fn new(name: String, settings: MppsSettings, desk: Desk, hub: Hub, counters: ProcedureCounters) -> Self {
        let peer = Peer::new(settings.peer);
        Self { name, peer, desk, hub, counters, known: HashMap::new(), said: None }
    }

    async fn serve(mut self, mut stopping: watch::Receiver<bool>) {
        let mut backoff = BackOff::new(PAUSE, LONGEST_PAUSE);
        let mut not_before = Instant::now();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stopping.wait_for(|&down| down) => break,
                _ = look.tick() => {}
            }
            let steps = self.look(SystemTime::now());
            if Instant::now() < not_before || !self.has_news(&steps) {
                continue;
            }
            let told = {
                let mut telling = Box::pin(timeout(WHOLE, self.tell(&steps)));
                let told = tokio::select! {
                    told = &mut telling => Some(told),
                    _ = stopping.wait_for(|&down| down) => None,
                };
                match told {
                    Some(told) => told,
                    None => timeout(LAST_WORDS, telling).await.flatten(),
                }
            };
            let told = told.unwrap_or(Err(ScuError::Timeout));
            match told {
                Ok(()) => {
                    backoff.reset();
                    self.counters.complains(Kind::Mpps, &self.name, None);
                    if self.said.take().is_some() {
                        events::ToldAgain { peer: &self.name }.tell();
                    }
                }
                Err(error) => {
                    let pause = if error.is_lasting() { backoff.longest() } else { backoff.pause() };
                    not_before = Instant::now() + pause;
                    self.fail(&error);
                }
            }
        }
        // Nothing more is captured: no frame is on its way that would have to be waited for.
        let steps = self.look(SystemTime::now() + SETTLED);
        if self.has_news(&steps)
            && !matches!(timeout(LAST_WORDS, Box::pin(self.tell(&steps))).await, Ok(Ok(())))
        {
            events::LastWordsLost { peer: &self.name }.tell();
        }
    }

    /// The steps for this peer, oldest first; notes the instances of those that have ended.
    fn look(&mut self, now: SystemTime) -> Vec<OwnStep> {
        let mut steps = self.desk.own_steps();
        steps.retain(|step| step.mpps == self.name);
        self.known.retain(|uid, _| steps.iter().any(|step| step.uid == *uid));
        for step in &steps {
            let known = self.known.entry(step.uid.clone()).or_default();
            let Some(ended) = step.ended.filter(|_| known.images.is_none()) else { continue };
            let settled = now.duration_since(ended).is_ok_and(|since| since >= SETTLED);
            if settled || Images::are_complete(step, &self.hub) {
                let images = Images::of(step, &self.hub);
                if images.left_out > 0 {
                    let (peer, capture, left_out) = (&self.name, &step.capture, images.left_out);
                    events::LeftOut { peer, capture, left_out }.tell();
                }
                known.images = Some(images);
            }
        }
        steps
    }

    fn has_news(&self, steps: &[OwnStep]) -> bool {
        let known = steps.iter().filter_map(|step| self.known.get(&step.uid));
        known.into_iter().any(|known| !known.begun || known.images.is_some())
    }

    /// Tells all that is new, over one association.
    async fn tell(&mut self, steps: &[OwnStep]) -> Result<(), ScuError> {
        let mut association = self.peer.associate(&[CLASS]).await?;
        for step in steps {
            match self.tell_step(&mut association, step).await {
                Ok(()) => {}
                // The association is whole. The steps after this one wait, so that the order is kept.
                Err(error @ ScuError::Status { .. }) => {
                    association.release().await;
                    return Err(error);
                }
                Err(error) => return Err(error),
            }
        }
        association.release().await;
        Ok(())
    }

    async fn tell_step(&mut self, association: &mut Association, step: &OwnStep) -> Result<(), ScuError> {
        let Some(known) = self.known.get_mut(&step.uid) else { return Ok(()) };
        if !known.begun {
            let operation = Operation::Create(&step.uid);
            let dataset = message::create(step, &self.peer.settings().calling_ae_title);
            association.ask(CLASS, operation, Some(&dataset)).await?;
            let answer = association.answer(operation).await?;
            if let Outcome::Refused(error) = judge(operation, &answer, false)? {
                self.give_up(step, "create", &error);
                return Ok(());
            }
            known.begun = true;
            self.counters.told(&self.name, "create", "sent");
            events::Begun { peer: &self.name, capture: &step.capture }.tell();
        }
        let (Some(ended), Some(images)) = (step.ended, &known.images) else { return Ok(()) };
        let operation = Operation::Set(&step.uid);
        let dataset = message::set(step, ended, images);
        let again = std::mem::replace(&mut known.set_tried, true);
        association.ask(CLASS, operation, Some(&dataset)).await?;
        let answer = association.answer(operation).await?;
        match judge(operation, &answer, again)? {
            Outcome::Told => {
                self.counters.told(&self.name, "set", "sent");
                let (peer, capture, discontinued) = (&self.name, &step.capture, step.discontinued);
                events::Ended { peer, capture, discontinued }.tell();
                self.desk.own_step_told(&step.uid);
            }
            Outcome::Refused(error) => self.give_up(step, "set", &error),
        }
        Ok(())
    }

    /// The peer will not have this one: the next is told.
    fn give_up(&self, step: &OwnStep, message: &'static str, error: &ScuError) {
        self.counters.told(&self.name, message, "refused");
        let address = &self.peer.settings().address;
        events::Refused { peer: &self.name, address, capture: &step.capture, error }.tell();
        self.desk.own_step_told(&step.uid);
    }

    fn fail(&mut self, error: &ScuError) {
        self.counters.failed(&self.name);
        let text = error.to_string();
        self.counters.complains(Kind::Mpps, &self.name, Some(text.clone()));
        if self.said.as_ref() == Some(&text) {
            return;
        }
        let (settings, waiting) = (self.peer.settings(), self.known.len());
        let (address, title) = (&settings.address, &settings.calling_ae_title);
        events::Fails { peer: &self.name, address, waiting, error, title }.tell();
        self.said = Some(text);
    }
}

/// What an answer means. `again`: the same has been asked before, and its answer was lost.
///
/// # Errors
/// Where it may pass.
fn judge(operation: Operation<'_>, answer: &Answer, again: bool) -> Result<Outcome, ScuError> {
    let error = || ScuError::Status { operation: operation.name(), status: answer.status };
    let is_set = matches!(operation, Operation::Set(_));
    match answer.status {
        // Success, and its warnings: attribute list error, attribute value out of range (PS3.7 §10.1.5.1.6).
        0x0000 | 0x0001 | 0x0107 | 0x0116 => Ok(Outcome::Told),
        // Duplicate SOP Instance: it arrived before, and only its answer was lost.
        0x0111 if !is_set => Ok(Outcome::Told),
        0x0110 if is_set && answer.error_id == Some(NO_LONGER_UPDATED) => {
            Ok(if again { Outcome::Told } else { Outcome::Refused(error()) })
        }
        _ if error().is_lasting() => Ok(Outcome::Refused(error())),
        _ => Err(error()),
    }
}

#[cfg(test)]
mod tests;
