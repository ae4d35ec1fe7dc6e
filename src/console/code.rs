//! The one-time code: how somebody logs in who is at the box, or may open its control socket, and has no
//! certificate. There is no password that could be left at its default, written down or forgotten.
//!
//! A code is eight digits from the system's random source, shown by `framegate console-code` and on the box's
//! screen. There is one at a time, for ten minutes and one login; a few wrong tries void it, so that nobody finds
//! it by trying: the chance is 5 in 100 million for each code that is made. It is compared in constant time, and
//! is in no log.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::random;

/// How long a code is good for.
pub const VALID: Duration = Duration::from_secs(600);
/// Wrong tries that a code survives, less one.
const TRIES: u32 = 5;
/// Digits of a code.
const DIGITS: usize = 8;

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// It was the code, which is used up now.
    Right,
    /// It was not, or there is none.
    Wrong,
    /// It was not, and now there is none any more.
    Voided,
}

/// The code that is outstanding, if one is.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<Option<Made>>);

struct Made {
    digits: String,
    until: Instant,
    wrong: u32,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Made(withheld)")
    }
}

impl Codes {
    /// Makes a code; the one before is void.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(super) fn make(&self, now: Instant) -> Result<String, random::NoRandom> {
        let number = u64::from_ne_bytes(random::bytes()?) % 10u64.pow(DIGITS as u32);
        let digits = format!("{number:0DIGITS$}");
        *self.made() = Some(Made { digits: digits.clone(), until: now + VALID, wrong: 0 });
        Ok(digits)
    }

    /// Tries what somebody has typed; spaces between the digits do not count.
    pub(super) fn take(&self, typed: &str, now: Instant) -> Tried {
        let typed: String = typed.chars().filter(|c| !c.is_ascii_whitespace()).take(DIGITS + 1).collect();
        let mut made = self.made();
        let Some(known) = made.as_mut().filter(|known| now < known.until) else {
            *made = None;
            return Tried::Wrong;
        };
        if verify_slices_are_equal(known.digits.as_bytes(), typed.as_bytes()).is_ok() {
            *made = None;
            return Tried::Right;
        }
        known.wrong += 1;
        if known.wrong < TRIES {
            return Tried::Wrong;
        }
        *made = None;
        Tried::Voided
    }

    fn made(&self) -> MutexGuard<'_, Option<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another code than this one.
    fn other(code: &str) -> String {
        code.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
    }

    #[test]
    fn a_code_is_good_once_and_for_ten_minutes() {
        let (codes, now) = (Codes::default(), Instant::now());
        let code = codes.make(now).unwrap();
        assert!(code.len() == 8 && code.bytes().all(|digit| digit.is_ascii_digit()), "{code}");
        let (first, rest) = code.split_at(4);
        assert_eq!(codes.take(&format!(" {first} {rest}\n"), now + VALID / 2), Tried::Right);
        assert_eq!(codes.take(&code, now), Tried::Wrong, "it is used up");
        let late = codes.make(now).unwrap();
        assert_eq!(codes.take(&late, now + VALID), Tried::Wrong, "it is over");
        let replaced = codes.make(now).unwrap();
        let newest = codes.make(now).unwrap();
        if replaced != newest {
            assert_eq!(codes.take(&replaced, now), Tried::Wrong, "there is one at a time");
        }
        assert_eq!(codes.take(&newest, now), Tried::Right);
    }

    #[test]
    fn wrong_tries_void_it_and_only_the_whole_code_is_right() {
        let (codes, now) = (Codes::default(), Instant::now());
        let code = codes.make(now).unwrap();
        for wrong in [&code[..7], &format!("{code}0"), "", &other(&code)] {
            assert_eq!(codes.take(wrong, now), Tried::Wrong);
        }
        assert_eq!(codes.take(&other(&code), now), Tried::Voided);
        assert_eq!(codes.take(&code, now), Tried::Wrong);
    }

    #[test]
    fn debug_withholds_it() {
        let codes = Codes::default();
        let code = codes.make(Instant::now()).unwrap();
        assert!(!format!("{codes:?}").contains(&code));
    }
}
