//! Matching of person names (VR PN), which PS3.4 C.2.2.2.4 leaves to the implementation.
//!
//! A name is up to three component groups (alphabetic, ideographic, phonetic) with `=` between
//! them, each of up to five components with `^` between them (PS3.5 §6.2.1). Capitals never matter.
//!
//! * A plain key is compared with each whole group of the value, wild cards included, and one is
//!   enough: `山田^太郎` finds `Yamada^Tarou=山田^太郎`. A key with `=` asks group by group; an empty
//!   group asks nothing. Empty components at the end of a group count for nothing: `Doe^Jane^^^` is
//!   `Doe^Jane`. `Doe` alone is not `Doe^Jane`; `Doe*` is.
//! * A fuzzy key (`fuzzymatching=true`) is a list of words, in any order. Each must begin a word of
//!   the value, in whatever component or group, and accents do not matter: `jane mull` finds
//!   `Müller^Jane^Ann`. It does not sound names out, so `mueller` does not find `Müller`.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::wildcard::{Case, Pattern, Wildcards};

/// A compiled key for a person name.
#[derive(Clone, PartialEq)]
pub(super) enum NameKey {
    /// One group pattern that any group of the value may meet.
    AnyGroup(Pattern),
    /// Per group of the value, in order, what it must meet.
    EachGroup(Box<[Option<Pattern>]>),
    /// Folded beginnings of words.
    Fuzzy(Box<[String]>),
}

impl NameKey {
    pub(super) fn new(text: &str, fuzzy: bool) -> Self {
        if fuzzy {
            let words =
                words(text).map(|word| folded(word).collect()).filter(|word: &String| !word.is_empty());
            return Self::Fuzzy(words.collect());
        }
        let pattern = |group: &str| Pattern::new(trim_group(group), Wildcards::Active, Case::Insensitive);
        if text.contains('=') {
            let wanted = |group: &str| (!trim_group(group).is_empty()).then(|| pattern(group));
            return Self::EachGroup(text.split('=').map(wanted).collect());
        }
        Self::AnyGroup(pattern(text))
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Self::AnyGroup(pattern) => name.split('=').any(|group| pattern.matches(trim_group(group))),
            Self::EachGroup(patterns) => {
                let groups = name.split('=').chain(std::iter::repeat(""));
                patterns
                    .iter()
                    .zip(groups)
                    .all(|(wanted, group)| wanted.as_ref().is_none_or(|p| p.matches(trim_group(group))))
            }
            Self::Fuzzy(beginnings) => beginnings.iter().all(|beginning| {
                words(name).any(|word| {
                    let mut letters = folded(word);
                    beginning.chars().all(|wanted| letters.next() == Some(wanted))
                })
            }),
        }
    }
}

fn trim_group(group: &str) -> &str {
    group.trim_matches(' ').trim_end_matches(['^', ' '])
}

/// The words of a name. Wild cards part words too: a fuzzy key has no other use for them.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| c.is_whitespace() || "^=,.-'*?".contains(c)).filter(|word| !word.is_empty())
}

/// The letters of a word without their accents, in lower case.
fn folded(word: &str) -> impl Iterator<Item = char> {
    word.nfd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase).flat_map(|c| {
        // Letters that Unicode does not take apart though readers do.
        let (first, second) = match c {
            'ß' => ('s', Some('s')),
            'æ' => ('a', Some('e')),
            'œ' => ('o', Some('e')),
            'þ' => ('t', Some('h')),
            'ø' => ('o', None),
            'ł' => ('l', None),
            'đ' | 'ð' => ('d', None),
            'ı' => ('i', None),
            c => (c, None),
        };
        std::iter::once(first).chain(second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_and_names() {
        let yamada = "Yamada^Tarou=山田^太郎=やまだ^たろう";
        for (key, fuzzy, name, expected) in [
            ("doe^jane", false, "Doe^Jane", true),
            ("Doe^Jane^^^", false, "Doe^Jane", true),
            ("Doe^Jane", false, "Doe^Jane^ ", true),
            ("Doe", false, "Doe^Jane", false),
            ("Doe*", false, "Doe^Jane", true),
            ("山田^太郎", false, yamada, true),
            ("=山田*", false, yamada, true),
            ("Yamada*=佐藤*", false, yamada, false),
            ("Yamada^Tarou==", false, yamada, true),
            ("=山田*", false, "Yamada^Tarou", false),
            ("jane mull", true, "Müller^Jane^Ann", true),
            ("MÜLL", true, "muller^Jane", true),
            ("lüdenscheid", true, "Müller-Lüdenscheidt^Eva", true),
            ("strasser", true, "Straßer^Jan", true),
            ("lukasz", true, "Nowak^Łukasz", true),
            ("ane", true, "Müller^Jane", false),
            ("jane smith", true, "Müller^Jane", false),
            ("山", true, yamada, true),
            ("^", true, "Anyone", true),
        ] {
            assert_eq!(NameKey::new(key, fuzzy).matches(name), expected, "{key} {fuzzy} {name}");
        }
    }

    proptest! {
        #[test]
        fn every_name_finds_itself(name in any::<String>(), other in any::<String>()) {
            prop_assume!(!name.contains(['*', '?']));
            prop_assert!(NameKey::new(&name, false).matches(&name));
            prop_assert!(NameKey::new(&name, true).matches(&name));
            NameKey::new(&other, true).matches(&name);
        }
    }
}
