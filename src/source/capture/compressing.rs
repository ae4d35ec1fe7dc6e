//! Compression beside the capture thread: threads of its own compress several frames at once, and one more
//! publishes them in the order in which they were captured.
//!
//! ```text
//!  capture thread ─ submit ─┬─ jobs ──► compressor ─┐ done
//!                           │          compressor ─┤
//!                           └─ turns ─► publisher ◄─┘ waits for the one whose turn it is
//! ```
//!
//! The capture thread never waits: when as many frames are under way as there is room for, the next one is
//! lost, which is counted and shows as a gap. Threads end when [`Compressing`] is dropped, after what is
//! under way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::counters::Counters;
use super::draft::{Draft, Pixels};
use super::log_events;
use super::priority;
use crate::frame::PixelDescription;
use crate::frame::compress::{CompressError, Compressor, Encoding};
use crate::instance::video::Lossy;

/// Frames under way for each thread: one that is compressed, and one that waits.
const EACH: usize = 2;

/// A frame to compress, and where it is awaited.
struct Job {
    draft: Draft,
    done: SyncSender<Option<Draft>>,
}

/// Where a frame will come from; nothing comes when it cannot be compressed.
type Turn = Receiver<Option<Draft>>;

/// The threads.
#[derive(Debug)]
pub(super) struct Compressing {
    encoding: Encoding,
    /// `None` only while it is being dropped.
    queues: Option<(SyncSender<Job>, SyncSender<Turn>)>,
    under_way: Arc<AtomicUsize>,
    most: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Compressing {
    /// Starts `threads` compressors and the publisher for the capture of this name.
    ///
    /// # Errors
    /// When the kernel has no thread for it.
    pub(super) fn start(
        encoding: Encoding,
        threads: usize,
        capture: &str,
        counters: &Counters,
    ) -> std::io::Result<Self> {
        let most = threads.max(1) * EACH;
        let (jobs, waiting) = sync_channel::<Job>(most);
        let (turns, order) = sync_channel::<Turn>(most);
        let under_way = Arc::new(AtomicUsize::new(0));
        let mut all = Self { encoding, queues: Some((jobs, turns)), under_way, most, threads: Vec::new() };
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..threads.max(1) {
            let (waiting, capture) = (waiting.clone(), capture.to_owned());
            let run = move || compress_all(encoding, &waiting, &capture);
            all.threads.push(thread::Builder::new().name("compress".to_owned()).spawn(run)?);
        }
        let (under_way, counters, capture) = (all.under_way.clone(), counters.clone(), capture.to_owned());
        let run = move || {
            for turn in order {
                // Nothing comes from a compressor that died.
                match turn.recv().ok().flatten() {
                    Some(draft) => draft.publish(&capture, &counters),
                    None => counters.dropped("compression"),
                }
                under_way.fetch_sub(1, Ordering::Release);
            }
        };
        all.threads.push(thread::Builder::new().name("publish".to_owned()).spawn(run)?);
        Ok(all)
    }

    /// What it makes.
    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Hands a frame over. `false` when there is no room: it is lost.
    pub(super) fn submit(&self, draft: Draft) -> bool {
        if self.under_way.load(Ordering::Acquire) >= self.most {
            return false;
        }
        let Some((jobs, turns)) = &self.queues else { return false };
        let (done, turn) = sync_channel(1);
        self.under_way.fetch_add(1, Ordering::AcqRel);
        // There is room for both, or whoever empties the queues is gone.
        if turns.try_send(turn).is_err() {
            self.under_way.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        jobs.try_send(Job { draft, done }).is_ok()
    }
}

impl Drop for Compressing {
    fn drop(&mut self) {
        self.queues = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log_events::CompressorPanicked {}.tell();
            }
        }
    }
}

fn compress_all(encoding: Encoding, waiting: &Mutex<Receiver<Job>>, capture: &str) {
    // What cannot be had is no harm to the frames.
    let _ = priority::ordinary();
    let mut compressor: Option<(PixelDescription, Compressor)> = None;
    loop {
        // Held while waiting: whoever has it is the next one to get work.
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { draft, done }) = next else { return };
        // A library that gives up on one frame must not take the thread with it; its state is not used again.
        let compressed = catch_unwind(AssertUnwindSafe(|| compress(encoding, &mut compressor, draft)));
        let draft = match compressed {
            Ok(Ok(draft)) => Some(draft),
            Ok(Err(error)) => {
                log_events::NotCompressed { capture, error: &error }.tell();
                None
            }
            Err(_) => {
                compressor = None;
                None
            }
        };
        // The publisher is gone only when all is over.
        let _ = done.send(draft);
    }
}

fn compress(
    encoding: Encoding,
    compressor: &mut Option<(PixelDescription, Compressor)>,
    mut draft: Draft,
) -> Result<Draft, CompressError> {
    let Pixels::Native(native) = &draft.pixels else { return Ok(draft) };
    if compressor.as_ref().is_none_or(|(made_for, _)| *made_for != draft.description) {
        *compressor = Some((draft.description, Compressor::new(encoding, draft.description)?));
    }
    let Some((_, compressor)) = compressor else { return Ok(draft) };
    let compressed = match compressor.compress(native) {
        // Noise is smaller as it is.
        Err(CompressError::Incompressible) => return Ok(draft),
        compressed => compressed?,
    };
    if let Some((ratio, method)) = compressed.lossy.zip(encoding.lossy_method()) {
        draft.lossy.push(Lossy { method, ratio: Some(ratio) });
    }
    draft.pixels = Pixels::Encapsulated {
        transfer_syntax: encoding.transfer_syntax(),
        photometric: compressed.photometric,
        codestream: Bytes::from(compressed.codestream),
    };
    Ok(draft)
}
