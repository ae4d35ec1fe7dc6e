//! Text patterns: single value and wild card matching (PS3.4 C.2.2.2.1 and C.2.2.2.4).
//!
//! `*` stands for any number of characters, none included, `?` for exactly one. The matcher
//! remembers only the last `*` it passed, because an earlier one can never do better: a value costs
//! at most its own length times the pattern's, whatever the pattern, and nothing is allocated.

/// A compiled text pattern.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    tokens: Box<[Token]>,
    case: Case,
}

/// Whether capitals matter: they do in DICOM, but for person names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Sensitive,
    Insensitive,
}

/// Whether `*` and `?` mean more than themselves, which hangs on the VR.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wildcards {
    Active,
    Literal,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    AnyOne,
    AnyMany,
}

impl Pattern {
    pub(super) fn new(text: &str, wildcards: Wildcards, case: Case) -> Self {
        let mut tokens: Vec<Token> = text
            .chars()
            .map(|c| match c {
                '*' if wildcards == Wildcards::Active => Token::AnyMany,
                '?' if wildcards == Wildcards::Active => Token::AnyOne,
                c => Token::Char(case.fold(c)),
            })
            .collect();
        tokens.dedup_by(|a, b| *a == Token::AnyMany && a == b);
        Self { tokens: tokens.into(), case }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut rest = text.chars();
        let mut at = 0;
        // Where to resume when the characters after the last `*` do not fit: that `*` swallows one more.
        let mut resume: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            let token = self.tokens.get(at).copied();
            if token == Some(Token::AnyMany) {
                at += 1;
                resume = Some((at, rest.clone()));
                continue;
            }
            let Some(c) = rest.next() else {
                // Neither an earlier nor a longer `*` can supply characters that are not there.
                return token.is_none();
            };
            let fits = match token {
                Some(Token::Char(wanted)) => wanted == self.case.fold(c),
                Some(Token::AnyOne) => true,
                _ => false,
            };
            if fits {
                at += 1;
                continue;
            }
            let Some((after, tail)) = resume.as_mut() else { return false };
            if tail.next().is_none() {
                return false;
            }
            at = *after;
            rest = tail.clone();
        }
    }
}

impl Case {
    fn fold(self, c: char) -> char {
        match self {
            Self::Sensitive => c,
            // The few capitals with a longer lower case keep its first character: the same on both sides.
            Self::Insensitive => c.to_lowercase().next().unwrap_or(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn active(pattern: &str) -> Pattern {
        Pattern::new(pattern, Wildcards::Active, Case::Sensitive)
    }

    /// The definition, word for word, and exponential.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|taken| reference(rest, &text[taken..])),
            Some(('?', rest)) => !text.is_empty() && reference(rest, &text[1..]),
            Some((c, rest)) => text.first() == Some(c) && reference(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(active(&pattern).matches(&text), reference(&chars(&pattern), &chars(&text)));
        }

        #[test]
        fn takes_any_text(pattern in any::<String>(), text in any::<String>()) {
            active(&pattern).matches(&text);
            let literal = Pattern::new(&pattern, Wildcards::Literal, Case::Insensitive);
            prop_assert!(literal.matches(&pattern));
            prop_assert_eq!(Pattern::new(&pattern, Wildcards::Literal, Case::Sensitive).matches(&text), pattern == text);
        }
    }

    #[test]
    fn a_hostile_pattern_does_not_blow_up() {
        // A backtracking matcher needs about 2^200 steps for this one.
        assert!(!active(&"*a".repeat(200)).matches(&format!("{}b", "a".repeat(1000))));
    }

    #[test]
    fn question_mark_is_one_character_not_one_byte() {
        assert!(active("M?ller").matches("Müller"));
        assert!(!active("M?ller").matches("Mller"));
    }
}
