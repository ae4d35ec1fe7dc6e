//! Sessions: who is logged in at the console. In memory only, so that a restart ends them all.
//!
//! A session is known by 256 random bits in a cookie; here stands their digest, so that neither a dump of memory
//! nor the time that a look-up takes gives one away. It ends when nobody has done anything for
//! `console.session_minutes`, twelve hours after its beginning whatever is done, and by logging out. What its
//! owner may do is asked of the configuration again with every request, and is not kept here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::watch;

use super::random::{NoRandom, token};

/// A session ends this long after its beginning.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Sessions at once; a further one takes the place of that which was used longest ago.
const MOST: usize = 32;

/// What the digest of a cookie is.
type Id = [u8; 32];

/// By what somebody has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    /// By a one-time code: whoever was at the box, or may open its control socket.
    Code,
    /// By the certificate of this principal.
    Certificate(Arc<str>),
}

impl Who {
    /// Who it is, in log, audit trail and page.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Code => "console-code",
            Self::Certificate(principal) => principal,
        }
    }

    /// The word for how.
    pub(super) fn how(&self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// A session as it is when a request finds it.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) id: Id,
    pub(super) who: Who,
    pub(super) csrf: String,
    /// Whether who is imaged was asked to be shown.
    pub(super) unlocked: bool,
    /// Until it ends, if nobody does anything.
    pub(super) left: Duration,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("who", &self.who)
            .field("unlocked", &self.unlocked)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Whether a request shows that it comes from a page of ours.
    pub(super) fn is_shown_by(&self, csrf: &[u8]) -> bool {
        verify_slices_are_equal(self.csrf.as_bytes(), csrf).is_ok()
    }
}

struct Held {
    who: Who,
    csrf: String,
    began: Instant,
    used: Instant,
    unlocked: bool,
}

impl Held {
    fn left(&self, now: Instant, idle: Duration) -> Duration {
        let ends = (self.used + idle).min(self.began + LONGEST);
        ends.saturating_duration_since(now)
    }
}

/// All of them.
pub(super) struct Sessions {
    held: Mutex<HashMap<Id, Held>>,
    changed: watch::Sender<()>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("open", &self.held().len()).finish_non_exhaustive()
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { held: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl Sessions {
    /// Begins one, and returns what its cookie says.
    pub(super) fn open(&self, who: Who, now: Instant) -> Result<String, NoRandom> {
        let (cookie, csrf) = (token()?, token()?);
        let mut held = self.held();
        if held.len() >= MOST {
            let oldest = held.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            oldest.map(|id| held.remove(&id));
        }
        held.insert(id(&cookie), Held { who, csrf, began: now, used: now, unlocked: false });
        drop(held);
        self.changed.send_replace(());
        Ok(cookie)
    }

    /// The one that a cookie is of, if it goes on. With `used`, somebody does something in it.
    pub(super) fn find(&self, cookie: &str, now: Instant, idle: Duration, used: bool) -> Option<Session> {
        self.look(id(cookie), now, idle, used)
    }

    /// How a session is that was found before.
    pub(super) fn look(&self, id: Id, now: Instant, idle: Duration, used: bool) -> Option<Session> {
        let mut held = self.held();
        let session = held.get_mut(&id)?;
        if session.left(now, idle).is_zero() {
            held.remove(&id);
            return None;
        }
        if used {
            session.used = now;
        }
        Some(Session {
            id,
            who: session.who.clone(),
            csrf: session.csrf.clone(),
            unlocked: session.unlocked,
            left: session.left(now, idle),
        })
    }

    /// Shows who is imaged in this session, or hides it. Says whether that changes anything.
    pub(super) fn unlock(&self, id: Id, unlocked: bool) -> bool {
        let changed = self
            .held()
            .get_mut(&id)
            .is_some_and(|held| std::mem::replace(&mut held.unlocked, unlocked) != unlocked);
        self.changed.send_replace(());
        changed
    }

    /// Ends one.
    pub(super) fn close(&self, id: Id) {
        self.held().remove(&id);
        self.changed.send_replace(());
    }

    /// Changes when a session begins, ends by somebody's word, or is unlocked or locked.
    pub(super) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Id, Held>> {
        // Nothing that runs under this lock can panic half way through a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn id(cookie: &str) -> Id {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, cookie.as_bytes()).as_ref());
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    #[test]
    fn a_session_ends_when_nothing_is_done_in_it_and_in_any_case_after_twelve_hours() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let cookie = sessions.open(Who::Code, now).unwrap();
        assert_eq!(cookie.len(), 64);
        let later = now + IDLE - Duration::from_secs(1);
        // A look does not make it last.
        assert_eq!(sessions.find(&cookie, later, IDLE, false).unwrap().left, Duration::from_secs(1));
        assert_eq!(sessions.find(&cookie, later, IDLE, true).unwrap().left, IDLE);
        assert!(sessions.find(&cookie, later + IDLE, IDLE, true).is_none());
        let busy = sessions.open(Who::Code, now).unwrap();
        let mut at = now;
        while at + IDLE / 2 < now + LONGEST {
            at += IDLE / 2;
            assert!(sessions.find(&busy, at, IDLE, true).is_some());
        }
        assert!(sessions.find(&busy, now + LONGEST, IDLE, true).is_none());
        assert!(sessions.held().is_empty(), "what is over is forgotten");
    }

    #[test]
    fn sessions_are_bounded_and_the_idlest_goes() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let first = sessions.open(Who::Code, now).unwrap();
        let second = sessions.open(Who::Code, now).unwrap();
        sessions.find(&first, now + Duration::from_secs(1), IDLE, true).unwrap();
        for _ in 0..MOST - 1 {
            sessions.open(Who::Code, now + Duration::from_secs(2)).unwrap();
        }
        assert!(sessions.find(&first, now, IDLE, false).is_some());
        assert!(sessions.find(&second, now, IDLE, false).is_none());
        assert_eq!(sessions.held().len(), MOST);
    }

    #[test]
    fn only_the_right_cookie_and_token_are_taken() {
        let (sessions, now) = (Sessions::default(), Instant::now());
        let cookie = sessions.open(Who::Certificate("anna".into()), now).unwrap();
        let session = sessions.find(&cookie, now, IDLE, true).unwrap();
        assert!(session.is_shown_by(session.csrf.as_bytes()) && !session.is_shown_by(b""));
        assert!(!session.is_shown_by(cookie.as_bytes()), "they are two secrets");
        assert!(sessions.find(&cookie[1..], now, IDLE, true).is_none());
        assert!(sessions.unlock(session.id, true) && !sessions.unlock(session.id, true));
        assert!(sessions.find(&cookie, now, IDLE, true).unwrap().unlocked);
        let shown = format!("{session:?}{sessions:?}");
        assert!(!shown.contains(&session.csrf) && !shown.contains(&cookie), "{shown}");
        sessions.close(session.id);
        assert!(sessions.find(&cookie, now, IDLE, true).is_none());
    }
}
