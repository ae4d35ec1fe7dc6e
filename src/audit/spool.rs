//! Messages that wait for the receiver, in memory and bounded. Nothing of it is ever on a disk: a message names patients.
//!
//! ```text
//!   put ──► waiting ──► front … went_out ──► in doubt ──► forgotten after a while
//!              ▲                                │
//!              └──────── go_back: the connection broke ┘
//! ```
//!
//! Syslog has no acknowledgement (RFC 5425 §4.4 has none either), so what went out shortly before a connection broke may
//! not have arrived: it goes out again, and may come twice. When there is no room the newest is lost, not the oldest:
//! what came first tells how it began. What is lost is counted, and told when everything else has gone out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes of all messages together.
const MOST_BYTES: usize = 16 << 20;
/// What went out longer ago than this has arrived, or the kernel would have given up on the connection.
const MEMORY: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    most: usize,
    bytes: usize,
    waiting: VecDeque<Arc<[u8]>>,
    /// How many of them, from the front, have been out before.
    again: usize,
    /// Oldest first.
    doubtful: VecDeque<(Instant, Arc<[u8]>)>,
    /// Not told yet.
    lost: u64,
}

impl Spool {
    /// For so many messages.
    pub(super) fn new(most: usize) -> Self {
        Self { most, bytes: 0, waiting: VecDeque::new(), again: 0, doubtful: VecDeque::new(), lost: 0 }
    }

    /// Another bound; what is there already stays.
    pub(super) fn resize(&mut self, most: usize) {
        self.most = most;
    }

    /// Takes one more; says how many are lost by that.
    pub(super) fn put(&mut self, message: Arc<[u8]>) -> u64 {
        let before = self.lost;
        // What has been out before makes room first: it may well have arrived.
        while self.is_full(message.len())
            && let Some((_, known)) = self.doubtful.pop_front()
        {
            self.bytes -= known.len();
        }
        while self.again > 0
            && self.is_full(message.len())
            && let Some(known) = self.waiting.pop_front()
        {
            self.again -= 1;
            self.lost += 1;
            self.bytes -= known.len();
        }
        if self.is_full(message.len()) {
            self.lost += 1;
        } else {
            self.bytes += message.len();
            self.waiting.push_back(message);
        }
        self.lost - before
    }

    fn is_full(&self, more: usize) -> bool {
        self.waiting.len() + self.doubtful.len() >= self.most || self.bytes + more > MOST_BYTES
    }

    /// The next to go out.
    pub(super) fn front(&self) -> Option<Arc<[u8]>> {
        self.waiting.front().cloned()
    }

    /// This one, which was the next, has gone out. Meanwhile it may have had to make room.
    pub(super) fn went_out(&mut self, message: &Arc<[u8]>, now: Instant) {
        while self.doubtful.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > MEMORY)
            && let Some((_, known)) = self.doubtful.pop_front()
        {
            self.bytes -= known.len();
        }
        if self.waiting.front().is_some_and(|next| Arc::ptr_eq(next, message)) {
            self.again = self.again.saturating_sub(1);
            self.doubtful.extend(self.waiting.pop_front().map(|message| (now, message)));
        }
    }

    /// What went out at or after `since` goes out again.
    pub(super) fn go_back(&mut self, since: Instant) {
        while let Some((at, message)) = self.doubtful.pop_back() {
            if at < since {
                self.bytes -= message.len();
                break;
            }
            self.waiting.push_front(message);
            self.again += 1;
        }
        self.bytes -= self.doubtful.drain(..).map(|(_, message)| message.len()).sum::<usize>();
    }

    /// How many were lost since this was last asked.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Everything that waits is lost: there is nobody to send it to.
    pub(super) fn clear(&mut self) -> u64 {
        let waiting = self.waiting.len() as u64;
        *self = Self::new(self.most);
        waiting
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(spool: &mut Spool, text: &str) -> bool {
        spool.put(text.as_bytes().into()) == 0
    }

    fn goes(spool: &mut Spool, now: Instant) {
        let message = spool.front().unwrap();
        spool.went_out(&message, now);
    }

    fn rest(spool: &mut Spool) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(message) = spool.front() {
            rest.push(String::from_utf8(message.to_vec()).unwrap());
            spool.went_out(&message, Instant::now());
        }
        rest
    }

    #[test]
    fn the_oldest_stay_and_what_is_lost_is_counted_once() {
        let mut spool = Spool::new(3);
        assert!(["a", "b", "c"].iter().all(|text| put(&mut spool, text)));
        assert!(!put(&mut spool, "d") && !put(&mut spool, "e"));
        assert_eq!(rest(&mut spool), ["a", "b", "c"]);
        assert_eq!((spool.take_lost(), spool.take_lost()), (2, 0));
        assert!(put(&mut spool, "f"), "what went out makes room");
        assert_eq!(rest(&mut spool), ["f"]);
    }

    #[test]
    fn bytes_are_bounded_too() {
        let mut spool = Spool::new(1000);
        let large = "x".repeat(MOST_BYTES / 2);
        assert!(put(&mut spool, &large) && put(&mut spool, &large));
        assert!(!put(&mut spool, "x"));
        goes(&mut spool, Instant::now());
        assert!(put(&mut spool, "x"));
        assert_eq!(spool.bytes, MOST_BYTES / 2 + 1);
    }

    #[test]
    fn what_goes_out_again_makes_room_for_what_has_not_been_out() {
        let mut spool = Spool::new(2);
        let now = Instant::now();
        assert!(put(&mut spool, "a") && put(&mut spool, "b"));
        goes(&mut spool, now);
        goes(&mut spool, now);
        spool.go_back(now);
        let on_its_way = spool.front().unwrap();
        assert!(!put(&mut spool, "c"), "a message is lost, but not this one");
        spool.went_out(&on_its_way, now);
        assert_eq!((rest(&mut spool), spool.take_lost()), (vec!["b".to_owned(), "c".to_owned()], 1));
    }

    #[test]
    fn what_went_out_of_late_goes_out_again_in_order() {
        let mut spool = Spool::new(10);
        ["a", "b", "c", "d"].iter().for_each(|text| assert!(put(&mut spool, text)));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        goes(&mut spool, at(0));
        goes(&mut spool, at(10));
        goes(&mut spool, at(11));
        spool.go_back(at(10));
        assert_eq!(rest(&mut spool), ["b", "c", "d"]);
        assert_eq!(spool.bytes, 3);

        assert!(put(&mut spool, "e"));
        assert_eq!(spool.again, 0);
        goes(&mut spool, Instant::now() + MEMORY + Duration::from_secs(1));
        assert_eq!((spool.doubtful.len(), spool.bytes), (1, 1), "the others are forgotten");
        assert!(put(&mut spool, "f"));
        assert_eq!(spool.clear(), 1);
        assert_eq!((spool.bytes, spool.len()), (0, 0));
    }
}
