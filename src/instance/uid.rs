//! Unique identifiers of what framegate makes (PS3.5 9 and B.2).
//!
//! All are `2.25.` followed by a UUID written as one decimal number, which needs no registered root
//! and is at most 44 characters long. A *random* UID names something new; a *derived* one is always
//! the same for the same origin, so that an object that is sent twice becomes the same instances twice.

use uuid::Uuid;

/// Longest UID that PS3.5 9.1 allows, in characters.
pub const MAX_LENGTH: usize = 64;

/// The name space of derived UIDs. Changing it renames every instance made from the same source.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_34b2_0c5e_4a8b_9d27_51e3_70ac_48f6);

/// A new UID that nobody has: UUID version 4 (RFC 9562).
pub fn random() -> String {
    decimal(Uuid::new_v4())
}

/// The UID that belongs to `role` of `origin`: UUID version 5 (RFC 9562) over both. The same pair
/// gives the same UID on every box and in every run.
///
/// `origin` is the UID that the new one comes from, `role` says what of it is named.
pub fn derived(origin: &str, role: &str) -> String {
    // A UID holds no NUL, so no two pairs share one name.
    decimal(Uuid::new_v5(&NAMESPACE, format!("{origin}\0{role}").as_bytes()))
}

/// The SOP Instance UID of one frame (1-based) of the multi-frame instance `origin`.
pub fn of_frame(origin: &str, frame: u32) -> String {
    derived(origin, &format!("frame {frame}"))
}

/// Whether `uid` is made of digits and dots and fits into a UI value.
///
/// Leading zeros of a component, which PS3.5 9.1 forbids, pass: modalities in the field send them
/// and a peer must find the same text again.
pub fn is_plausible(uid: &str) -> bool {
    uid.len() <= MAX_LENGTH
        && uid
            .split('.')
            .all(|component| !component.is_empty() && component.bytes().all(|b| b.is_ascii_digit()))
}

fn decimal(uuid: Uuid) -> String {
    format!("2.25.{}", uuid.as_u128())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn random_uids_are_valid_and_differ() {
        let (a, b) = (random(), random());
        assert!(is_plausible(&a) && a.starts_with("2.25."));
        assert_ne!(a, b);
    }

    #[test]
    fn a_frame_keeps_its_uid() {
        // Pinned: instances already handed out must keep their name in the next release.
        assert_eq!(of_frame("1.2.3", 7), of_frame("1.2.3", 7));
        assert_ne!(of_frame("1.2.3", 7), of_frame("1.2.3", 8));
        assert_ne!(of_frame("1.2.3", 7), of_frame("1.2.37", 7));
        assert_eq!(of_frame("1.2.3", 7), "2.25.44295281536027895967834850692552494186");
    }

    #[test]
    fn implausible_uids_are_told_apart() {
        for bad in ["", ".", "1..2", "1.2.", "1.2a", "1.2 ", &"1".repeat(65)] {
            assert!(!is_plausible(bad), "{bad}");
        }
        assert!(is_plausible("1.2.840.10008.1.2"));
    }

    proptest! {
        #[test]
        fn derived_uids_are_valid(origin in ".*", frame in any::<u32>()) {
            let uid = of_frame(&origin, frame);
            prop_assert!(is_plausible(&uid) && uid.starts_with("2.25."));
        }
    }
}
