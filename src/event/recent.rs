//! The newest log entries, in memory: what the console shows as its journal, and what a support bundle takes along,
//! without leave to read the system's journal. Bounded by entries and by bytes; the oldest go first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer};

use super::said::Said;

/// Entries that are kept.
const ENTRIES: usize = 2000;
/// Bytes of all their texts.
const BYTES: usize = 1 << 20;
/// Bytes of one text; what is longer is cut.
const LONGEST: usize = 4096;

static RECENT: Recent = Recent::new();

/// What was logged last, by this process.
pub fn recent() -> &'static Recent {
    &RECENT
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number since the process began, from 1; none is given twice.
    pub sequence: u64,
    /// When it was logged (RFC 3339, UTC).
    pub at: String,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Name of the event, as in docs/events.md; empty for what a library says.
    pub event: String,
    /// The module that says it.
    pub target: String,
    /// The message and the fields, in one line.
    pub text: String,
}

/// The newest entries, in their order.
#[derive(Debug)]
pub struct Recent(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

impl Recent {
    const fn new() -> Self {
        Self(Mutex::new(Kept { entries: VecDeque::new(), bytes: 0, last: 0 }))
    }

    /// Of the entries with a number above `sequence`, the oldest `most`, in their order.
    pub fn after(&self, sequence: u64, most: usize) -> Vec<Entry> {
        let kept = self.kept();
        let first = kept.entries.partition_point(|entry| entry.sequence <= sequence);
        kept.entries.iter().skip(first).take(most).cloned().collect()
    }

    /// The number of the newest entry; 0 before there is one.
    pub fn newest(&self) -> u64 {
        self.kept().last
    }

    fn keep(&self, event: &Event<'_>) {
        let (metadata, said) = (event.metadata(), Said::by(event));
        let mut text = said.line();
        text.truncate(text.floor_char_boundary(LONGEST));
        let mut at = String::new();
        // A clock that cannot be written leaves an entry without a time.
        let _ = SystemTime.format_time(&mut Writer::new(&mut at));
        let target = said.target.unwrap_or_else(|| metadata.target().to_owned());
        let level = metadata.level().as_str().to_ascii_lowercase();
        let mut kept = self.kept();
        kept.last += 1;
        let entry = Entry { sequence: kept.last, at, level, event: said.name, target, text };
        kept.bytes += entry.size();
        kept.entries.push_back(entry);
        while kept.entries.len() > ENTRIES || kept.bytes > BYTES {
            let Some(gone) = kept.entries.pop_front() else { break };
            kept.bytes -= gone.size();
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

impl Entry {
    fn size(&self) -> usize {
        self.at.len() + self.level.len() + self.event.len() + self.target.len() + self.text.len()
    }
}

/// The part of the subscriber that keeps what passes the filter.
#[derive(Debug)]
pub struct Keeping(&'static Recent);

impl Keeping {
    /// Keeps for [`recent`].
    pub fn new() -> Self {
        Self(recent())
    }

    #[cfg(test)]
    pub(super) fn by(recent: &'static Recent) -> Self {
        Self(recent)
    }
}

impl Default for Keeping {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Subscriber> Layer<S> for Keeping {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        self.0.keep(event);
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What is logged in `act`, by a ring of its own.
    fn kept(act: impl FnOnce()) -> &'static Recent {
        let recent: &'static Recent = Box::leak(Box::new(Recent::new()));
        let subscriber = tracing_subscriber::registry().with(Keeping(recent));
        tracing::subscriber::with_default(subscriber, act);
        recent
    }

    #[test]
    fn an_entry_reads_as_a_line_of_the_log() {
        let recent = kept(|| {
            let (peer, event) = ([127, 0, 0, 1], "net.tried");
            tracing::warn!(?peer, relay = "pacs", left = 3, event, "it {}", "ends");
            tracing::info!(relay = "pacs");
        });
        let entries = recent.after(0, 9);
        let [first, second] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(first.text, r#"it ends peer=[127, 0, 0, 1] relay="pacs" left=3"#);
        assert_eq!((first.level.as_str(), first.event.as_str()), ("warn", "net.tried"));
        assert_eq!(first.target, module_path!());
        assert!(first.at.ends_with('Z') && first.at.contains('T'), "{}", first.at);
        assert_eq!((second.text.as_str(), second.event.as_str()), (r#"relay="pacs""#, ""));
        assert_eq!((first.sequence, second.sequence, recent.newest()), (1, 2, 2));
    }

    #[test]
    fn a_reader_gets_what_is_new_and_the_oldest_leave() {
        let recent = kept(|| {
            for number in 0..ENTRIES + 10 {
                tracing::info!(number);
            }
        });
        assert_eq!(recent.newest(), ENTRIES as u64 + 10);
        let all = recent.after(0, usize::MAX);
        assert_eq!((all.len(), all.first().map(|entry| entry.sequence)), (ENTRIES, Some(11)));
        let next: Vec<_> = recent.after(100, 2).into_iter().map(|entry| entry.sequence).collect();
        assert_eq!(next, [101, 102]);
        assert!(recent.after(recent.newest(), 5).is_empty() && recent.after(u64::MAX, 5).is_empty());
    }

    #[test]
    fn long_texts_are_cut_and_do_not_fill_the_memory() {
        let recent = kept(|| {
            for _ in 0..300 {
                tracing::info!("x{}", "ä".repeat(4000));
            }
        });
        let all = recent.after(0, usize::MAX);
        assert!(all.iter().all(|entry| entry.text.len() == LONGEST - 1), "cut between characters");
        assert!(all.len() < 300 && all.iter().map(Entry::size).sum::<usize>() <= BYTES, "{}", all.len());
        assert_eq!(all.last().map(|entry| entry.sequence), Some(300));
    }
}
