//! What the spool logs: of objects the number only, under which the file can be found.

use std::io;

use crate::event::events;

events! {
    /// The disk fails. Objects that were delivered may be delivered again, which does no harm; look at the disk.
    NotSynced<'a>: WARN "spool.not_synced" { display error: &'a io::Error }
        "the spool's directory could not be synced; objects that were delivered may be delivered again after power loss";
    /// Nothing to do, unless the next start says that another process uses the spool.
    NotUnlocked<'a>: WARN "spool.not_unlocked" { display error: &'a io::Error }
        "the spool's directory could not be unlocked";
    /// The disk fails in one place. The object stays there: copy it, if it can be had, and replace the disk.
    Unreadable<'a>: ERROR "spool.unreadable" { value number: u64, display error: &'a io::Error }
        "an object of the spool cannot be read; it is set aside";
    /// The disk takes no changes: look at it.
    NotRenamed<'a>: WARN "spool.not_renamed" { value number: u64, display error: &'a io::Error }
        "nor can its file be renamed";
    /// The disk takes no changes: look at it, and restart the service to have the object sent again.
    NotHadBack<'a>: WARN "spool.not_had_back" { value number: u64, display error: &'a io::Error }
        "an object of the spool that was set aside cannot be had back";
    /// The modality holds it for sent. Find out what is missing at the upstream and send that again; look at the disk.
    Damaged: ERROR "spool.damaged" metric "framegate_spool_objects_lost_total" { value number: u64 }
        "an object of the spool is damaged; it was acknowledged and is lost: is the disk failing?";
    /// The upstream was away for longer than `spool.max_age_hours`. Find out what is missing there and send that again.
    Expired: ERROR "spool.expired" metric "framegate_spool_objects_lost_total"
        { value objects: usize, value first: u64, value last: u64 }
        "objects of the spool became too old before they could be delivered; they were acknowledged and are lost";
    /// The disk takes no changes, and fills: look at it.
    NotRemoved<'a>: ERROR "spool.not_removed" { value number: u64, display error: &'a io::Error }
        "a file of the spool cannot be removed";
    /// Nothing to do: the next start removes it.
    PartNotRemoved<'a>: WARN "spool.part_not_removed" { display error: &'a io::Error }
        "an object that was not finished could not be removed from the spool";
    /// Without a sealed key, the key is gone with the power. Find out what is missing at the upstream and send that
    /// again; give the spool a sealed key (`spool.key_file`).
    KeyGone: ERROR "spool.key_gone" metric "framegate_spool_objects_lost_total" { value objects: u64 }
        "the transient key of these objects of the spool is gone, as after a reboot; they were acknowledged and are lost";
    /// Give the service the key, or the release, that they were written with.
    Locked: ERROR "spool.locked" { value objects: u64 }
        "these objects of the spool were written under another sealed key, or by another release; they are kept until they are too old: give the service the key that they were written with";
}
