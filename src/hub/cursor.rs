//! One reader's place in one series, or in all series that it wants.
//!
//! A cursor never holds up anybody: what leaves the ring before it was read is told as
//! [`Item::Missed`], exactly counted, and so is what never came into it because the source had lost it.

use std::fmt;
use std::sync::{Arc, Weak};

use futures_util::future::{Either, select, select_all};
use tokio::sync::watch;

use super::Hub;
use super::reader::{Place, Reader};
use super::ring::Slot;
use super::series::{End, From, LiveSeries, Start};
use crate::instance::{Instance, Uid};

/// What a cursor yields.
#[derive(Debug, Clone)]
pub enum Item {
    /// The next instance.
    Instance(Arc<Instance>),
    /// Instances that this reader does not get come here in the order.
    Missed(Missed),
    /// Nothing more will come.
    End(End),
}

/// How many instances a reader does not get, and whose fault that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Missed {
    /// They left the ring before this reader had read them.
    pub left: u64,
    /// Nobody gets them: their source lost them. Told once to each reader, and not to one that begins
    /// behind the gap.
    pub lost: u64,
}

impl Missed {
    /// All of them.
    pub fn total(self) -> u64 {
        self.left + self.lost
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { left, lost } = self;
        match (left, lost) {
            (_, 0) => write!(f, "{left} instances left memory before they were looked at"),
            (0, _) => write!(f, "{lost} instances were lost at their source"),
            _ => write!(
                f,
                "{left} instances left memory before they were looked at, {lost} were lost at their source"
            ),
        }
    }
}

/// A place in one live series.
#[derive(Debug)]
pub struct Cursor {
    series: Arc<LiveSeries>,
    changed: watch::Receiver<()>,
    next: u64,
    /// What the source has lost from the beginning, as far as this reader knows of it. It never falls: a
    /// reader that goes back has been told.
    lost: u64,
    least_number: Option<i32>,
    /// Where it is seen to be, if it has said who reads.
    place: Option<Arc<Place>>,
}

impl Cursor {
    /// A cursor that starts at `from`.
    pub fn new(series: Arc<LiveSeries>, from: From) -> Self {
        let changed = series.subscribe();
        let Start { next, lost, least_number } = series.start(from);
        Self { series, changed, next, lost, least_number, place: None }
    }

    /// Says who reads, so that people can see how far that is.
    #[must_use]
    pub fn read_by(mut self, reader: Reader) -> Self {
        let place = Arc::new(Place::new(reader, self.next));
        self.series.is_read_at(&place);
        self.place = Some(place);
        self
    }

    /// The series it reads.
    pub fn series(&self) -> &Arc<LiveSeries> {
        &self.series
    }

    /// What is there without waiting; `None` where the next instance has not come yet.
    pub fn try_next(&mut self) -> Option<Item> {
        let item = self.step();
        if let Some(place) = &self.place {
            place.at(self.next);
            if let Some(Item::Missed(Missed { left, .. })) = item {
                place.missed(left);
            }
        }
        item
    }

    fn step(&mut self) -> Option<Item> {
        loop {
            self.changed.mark_unchanged();
            match self.series.get(self.next) {
                (Slot::Here(instance, lost), _) => {
                    let mut lost = self.learn(lost);
                    if let Some(least) = self.least_number {
                        let beyond = instance.number().map(|number| i64::from(number) - i64::from(least));
                        let Some(beyond) = beyond.and_then(|beyond| u64::try_from(beyond).ok()) else {
                            self.next += 1;
                            continue;
                        };
                        // Of a gap that its beginning lies in, only what it would have read.
                        lost = lost.min(beyond);
                    }
                    if lost > 0 {
                        return Some(Item::Missed(Missed { left: 0, lost }));
                    }
                    self.next += 1;
                    return Some(Item::Instance(instance));
                }
                (Slot::Gone(first, lost), _) => {
                    let missed = Missed { left: first - self.next, lost: self.learn(lost) };
                    self.next = first;
                    return Some(Item::Missed(missed));
                }
                (Slot::NotYet, Some(end)) => return Some(Item::End(end)),
                (Slot::NotYet, None) => return None,
            }
        }
    }

    /// Takes note of what was lost up to here, and returns how much of that is new.
    fn learn(&mut self, lost: u64) -> u64 {
        let fresh = lost.saturating_sub(self.lost);
        self.lost += fresh;
        fresh
    }

    /// Whether the series has ended and all of it was read.
    pub fn is_at_end(&self) -> bool {
        matches!(self.series.get(self.next), (Slot::NotYet, Some(_)))
    }

    /// Goes to the newest instance, without counting what is passed over as missed: for readers
    /// that want the present rather than the past. What the source lost meanwhile is told all the same.
    pub fn skip_to_latest(&mut self) {
        self.next = self.next.max(self.series.start(From::Latest).next);
    }

    /// Waits for what comes next. Safe to drop while it waits.
    pub async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.try_next() {
                return item;
            }
            self.wait().await;
        }
    }

    /// Waits until [`Cursor::try_next`] is worth asking again.
    pub async fn wait(&mut self) {
        // The sender lives in the series, which this cursor holds: it cannot be gone.
        let _ = self.changed.changed().await;
    }
}

/// A place that a reader of several series may go back to, see [`Cursors::mark`]. It keeps nothing alive.
#[derive(Debug, Clone)]
pub struct Mark {
    series: Weak<LiveSeries>,
    next: u64,
}

/// A place in every series that is wanted, those that open later among them: of one study, say, or
/// all that a standing search matches.
pub struct Cursors {
    hub: Hub,
    wanted: Box<dyn Fn(&LiveSeries) -> bool + Send + Sync>,
    changed: watch::Receiver<()>,
    cursors: Vec<Cursor>,
    /// Whose turn it is, so that a fast series does not starve a slow one.
    turn: usize,
    /// Who reads, if that was said.
    reader: Option<Reader>,
}

impl fmt::Debug for Cursors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursors").field("cursors", &self.cursors).finish_non_exhaustive()
    }
}

impl Cursors {
    /// Starts at `from` in the series that are there, and at the oldest instance of those that open
    /// later. `wanted` is asked once for each series as long as it stays, and again when others come
    /// or go if it said no.
    pub fn new(hub: Hub, from: From, wanted: impl Fn(&LiveSeries) -> bool + Send + Sync + 'static) -> Self {
        let changed = hub.changed();
        let cursors = hub
            .series()
            .into_iter()
            .filter(|live| wanted(live))
            .map(|live| Cursor::new(live, from))
            .collect();
        Self { hub, wanted: Box::new(wanted), changed, cursors, turn: 0, reader: None }
    }

    /// Says who reads, so that people can see how far that is in each series.
    #[must_use]
    pub fn read_by(mut self, reader: Reader) -> Self {
        self.cursors = self.cursors.into_iter().map(|cursor| cursor.read_by(reader.clone())).collect();
        self.reader = Some(reader);
        self
    }

    /// Those of one study.
    pub fn of_study(hub: Hub, study: Uid, from: From) -> Self {
        Self::new(hub, from, move |live| *live.study() == study)
    }

    /// Waits for what comes next in any of the series, and says in which. [`Item::End`] comes when all
    /// have ended, and again at once if it is asked again; [`Cursors::opened`] waits for more. Safe to
    /// drop while it waits.
    pub async fn next(&mut self) -> (Option<Arc<LiveSeries>>, Item) {
        loop {
            self.look_for_series();
            if let Some(item) = self.try_next() {
                return item;
            }
            self.wait().await;
        }
    }

    /// Waits until there is something to read: a series has opened, or opened again. Safe to drop
    /// while it waits.
    pub async fn opened(&mut self) {
        loop {
            self.look_for_series();
            if self.cursors.iter().any(|cursor| !cursor.is_at_end()) {
                return;
            }
            // The sender lives in the hub, which this holds: it cannot be gone.
            let _ = self.changed.changed().await;
            self.join_new_series();
        }
    }

    /// The place of the instance that was read last from `series`; `None` where nothing was.
    pub fn mark(&self, series: &Arc<LiveSeries>) -> Option<Mark> {
        let cursor = self.cursors.iter().find(|cursor| Arc::ptr_eq(cursor.series(), series))?;
        let next = cursor.next.checked_sub(1)?;
        Some(Mark { series: Arc::downgrade(series), next })
    }

    /// Goes back to `mark`, so that the instance there is read again and all that came after it in its
    /// series; what has left the ring meanwhile is told as missed, what the source had lost is not told
    /// again. Never goes forward. A series that is not read any longer stays so.
    pub fn go_back(&mut self, mark: &Mark) {
        let is_of_it = |cursor: &&mut Cursor| Weak::as_ptr(&mark.series) == Arc::as_ptr(cursor.series());
        if let Some(cursor) = self.cursors.iter_mut().find(is_of_it) {
            cursor.next = cursor.next.min(mark.next);
            if let Some(place) = &cursor.place {
                place.at(cursor.next);
            }
        }
    }

    /// Asks anew which series are wanted, of those too that were: for a reader whose rights or search have
    /// changed.
    pub fn reconsider(&mut self) {
        let wanted = &self.wanted;
        self.cursors.retain(|cursor| wanted(cursor.series()));
        self.join_new_series();
    }

    async fn wait(&mut self) {
        let is_news = {
            let waits: Vec<_> = self.cursors.iter_mut().map(|cursor| Box::pin(cursor.wait())).collect();
            let news = Box::pin(self.changed.changed());
            if waits.is_empty() {
                let _ = news.await;
                true
            } else {
                matches!(select(select_all(waits), news).await, Either::Right(_))
            }
        };
        // What was awaited counts as seen.
        if is_news {
            self.join_new_series();
        }
    }

    fn try_next(&mut self) -> Option<(Option<Arc<LiveSeries>>, Item)> {
        let count = self.cursors.len();
        let mut ended = End::Completed;
        let mut live = 0;
        for step in 0..count {
            let index = (self.turn + step) % count;
            let Some(cursor) = self.cursors.get_mut(index) else { continue };
            match cursor.try_next() {
                Some(Item::End(End::Aborted)) => ended = End::Aborted,
                Some(Item::End(End::Completed)) => {}
                Some(item) => {
                    self.turn = index + 1;
                    return Some((Some(cursor.series().clone()), item));
                }
                None => live += 1,
            }
        }
        (live == 0).then_some((None, Item::End(ended)))
    }

    fn look_for_series(&mut self) {
        if self.changed.has_changed().unwrap_or(false) {
            self.changed.mark_unchanged();
            self.join_new_series();
        }
    }

    fn join_new_series(&mut self) {
        let here = self.hub.series();
        let is_here = |cursor: &Cursor| here.iter().any(|live| Arc::ptr_eq(cursor.series(), live));
        self.cursors.retain(|cursor| is_here(cursor) || !cursor.is_at_end());
        for live in here {
            let known = self.cursors.iter().any(|cursor| Arc::ptr_eq(cursor.series(), &live));
            if !known && (self.wanted)(&live) {
                let cursor = Cursor::new(live, From::Oldest);
                self.cursors.push(match self.reader.clone() {
                    Some(reader) => cursor.read_by(reader),
                    None => cursor,
                });
            }
        }
    }
}
