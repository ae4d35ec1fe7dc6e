//! What is logged of worklists: which one, and never an entry.

use std::fmt::Display;

use crate::event::events;

events! {
    /// Mend the URL in `[worklist.NAME]`.
    CannotBeAsked<'a>: ERROR "worklist.cannot_be_asked" { value worklist: &'a str } (error: &'a dyn Display)
        "the worklist cannot be asked: {error}";
    /// To be known.
    Answers<'a>: INFO "worklist.answers" { value worklist: &'a str, value entries: usize } "the worklist answers";
    /// Ask for less, or keep more; entries that are left out cannot be chosen.
    More<'a>: WARN "worklist.more" { value worklist: &'a str, value entries: usize }
        "the worklist has more entries than are kept; ask for less by station_ae_titles, modality and days, or raise entries of [worklist.{worklist}]";
    /// Look at what the peer sends.
    Unreadable<'a>: WARN "worklist.unreadable" metric "framegate_worklist_entries_left_out_total" { value worklist: &'a str }
        "the worklist has entries that are no data sets; they are left out. Look at what the peer sends";
    /// Have the RIS mended: it sends values that break PS3.5.
    ValuesDropped<'a>: WARN "worklist.values_dropped" { value worklist: &'a str, value attributes: &'a str }
        "the worklist has values that these attributes cannot have (PS3.5 section 6.2); they are taken for unknown";
    /// The text says why and where to look. It is asked again by itself.
    NoAnswer<'a>: WARN "worklist.no_answer" metric "framegate_worklist_requests_total"
        { value worklist: &'a str, value address: &'a str } (error: &'a dyn Display, kept: &'a str, title: &'a str)
        "the worklist gives no answer: {error}; {kept}. Look at [worklist.{worklist}], and at the peer's configuration for AE title {title}";
    /// The text says why and where to look. It is asked again by itself.
    NoAnswerOverWeb<'a>: WARN "worklist.no_answer_over_web" metric "framegate_worklist_requests_total"
        { value worklist: &'a str, value url: &'a str } (error: &'a dyn Display, kept: &'a str)
        "the worklist gives no answer: {error}; {kept}. Look at [worklist.{worklist}], and at what the peer lets us do";
}
