//! Texts that become values of a data set: each fits its value representation (PS3.5 §6.2). Control
//! characters are refused before, wherever a text is read. Lengths are counted in characters, as there.

use super::Parsed;

/// Longest group of a person's name (characters).
const GROUP_CHARS: usize = 64;

/// A code (VR CS), which must be there.
pub(in crate::config) fn code(text: &str) -> Parsed<()> {
    if text.is_empty() { Err("is empty".to_owned()) } else { code_or_none(text) }
}

/// A [`code`], or nothing. Spaces at the ends are not significant, so that one written with them is a slip.
pub(in crate::config) fn code_or_none(text: &str) -> Parsed<()> {
    no_longer_than(text, 16)?;
    if text.trim() != text {
        return Err("begins or ends with a space".to_owned());
    }
    let legal = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b' ' | b'_');
    if text.bytes().all(legal) {
        Ok(())
    } else {
        Err("holds something else than capital letters, digits, spaces and _".to_owned())
    }
}

/// VR SH, or nothing.
pub(in crate::config) fn short_string(text: &str) -> Parsed<()> {
    no_longer_than(text, 16)?;
    no_backslash(text)
}

/// VR LO, or nothing.
pub(in crate::config) fn long_string(text: &str) -> Parsed<()> {
    no_longer_than(text, 64)?;
    no_backslash(text)
}

/// The name of a person (VR PN), or nothing. PHI: the error repeats none of it.
pub(in crate::config) fn person_name(text: &str) -> Parsed<()> {
    no_backslash(text)?;
    if text.split('=').count() > 3 {
        return Err("has more than 3 groups".to_owned());
    }
    for group in text.split('=') {
        if group.chars().count() > GROUP_CHARS {
            return Err(format!("has a group of more than {GROUP_CHARS} characters"));
        }
        if group.split('^').count() > 5 {
            return Err("has a group of more than 5 parts".to_owned());
        }
    }
    Ok(())
}

fn no_longer_than(text: &str, most: usize) -> Parsed<()> {
    let length = text.chars().count();
    if length <= most { Ok(()) } else { Err(format!("is {length} characters long")) }
}

/// A backslash stands between values.
fn no_backslash(text: &str) -> Parsed<()> {
    if text.contains('\\') { Err("holds a backslash".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_capitals() {
        for right in ["OT", "XA", "HEART_2", "UPPER ARM", "SIXTEEN_LETTERS_"] {
            assert!(code(right).is_ok(), "{right}");
        }
        for wrong in ["", " ", "ot", "OT ", "X\\A", "ÄO", "SEVENTEEN_LETTERS"] {
            assert!(code(wrong).is_err(), "{wrong}");
        }
        assert!(code_or_none("").is_ok());
    }

    #[test]
    fn strings_are_as_long_as_their_vr() {
        assert!(short_string(&"ü".repeat(16)).is_ok());
        assert_eq!(short_string(&"ü".repeat(17)).unwrap_err(), "is 17 characters long");
        assert!(long_string(&"ü".repeat(64)).is_ok());
        assert!(long_string(&"a".repeat(65)).is_err());
        assert_eq!(long_string("a\\b").unwrap_err(), "holds a backslash");
        assert!(short_string("a\\b").is_err());
        assert!(short_string("").is_ok() && long_string("").is_ok());
    }

    #[test]
    fn names_have_groups_and_parts() {
        let long = "x".repeat(64);
        for right in ["", "Unidentified^", "Doe^Jane^^Dr.^", "Yamada^Tarou=山田^太郎=やまだ^たろう", &long]
        {
            assert!(person_name(right).is_ok(), "{right}");
        }
        for wrong in ["a\\b", "a=b=c=d", "a^b^c^d^e^f", &format!("a={long}x")] {
            let what = person_name(wrong).unwrap_err();
            assert!(!what.contains(wrong), "{what}");
        }
    }
}
