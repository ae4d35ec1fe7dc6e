//! The declaration of log events: the macro that makes a type of each, and what the list of all of them knows of one.

/// What is known of all events of one type.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name, such as `relay.upstream_away`: of the room, and of what has happened. It stays.
    pub name: &'static str,
    /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
    pub level: &'static str,
    /// What `service.log` filters it by.
    pub target: &'static str,
    /// Names of its fields.
    pub fields: &'static [&'static str],
    /// Its message; what stands in braces differs from one event to the next.
    pub text: &'static str,
    /// The metric that counts what it tells, if one does.
    pub metric: Option<&'static str>,
    /// What it means, and what to do about it.
    pub meaning: &'static str,
}

/// The path of the module above `module`: events are filtered by the room that tells them.
pub(crate) const fn room(module: &'static str) -> &'static str {
    let mut bytes = module.as_bytes();
    while let [rest @ .., last] = bytes {
        bytes = rest;
        if *last == b':' {
            break;
        }
    }
    // The other colon.
    match module.split_at_checked(bytes.len().saturating_sub(1)) {
        Some((room, _)) => room,
        None => module,
    }
}

/// The first that is there.
pub(crate) const fn first<T: Copy>(all: &[T]) -> Option<T> {
    match all {
        [first, ..] => Some(*first),
        [] => None,
    }
}

/// Declares the events of a room, in its file `events.rs`. Of each: what it means and what to do about it, as a comment
/// for documentation; the type; level and name; the metric that counts the same, if there is one; the fields; what
/// stands in the text only; the text.
///
/// ```ignore
/// events! {
///     /// The client took nothing of a response. Look at the client and at the network to it.
///     Stalled<'a>: WARN "net.stalled" metric "framegate_http_connections_dropped_total"
///         { display peer: SocketAddr, value name: &'a str } (within: Duration)
///         "dropped a client that took no bytes for {within:?}";
/// }
///
/// events::Stalled { peer, name, within }.tell();
/// ```
///
/// A field is shown by its `Display`, its `Debug`, or as the `value` that it is (a number, a truth value, a text between
/// quotes). `at "…"` after the name sets the target, which is the room's path otherwise.
macro_rules! events {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident $(<$life:lifetime>)? : $level:ident $id:literal $(at $target:literal)? $(metric $metric:literal)?
        $({ $($mode:ident $field:ident : $type:ty),+ $(,)? })?
        $(($($word:ident : $word_type:ty),+ $(,)?))?
        $text:literal;
    )+) => {
        /// What is known of each event of this room.
        pub(crate) const KINDS: &[$crate::event::Kind] = &[$(
            $crate::event::Kind {
                name: $id,
                level: stringify!($level),
                target: $crate::event::events!(@target $($target)?),
                fields: &[$($(stringify!($field)),+)?],
                text: $text,
                metric: $crate::event::first(&[$($metric)?]),
                meaning: concat!($($doc),+),
            },
        )+];

        $(
            $(#[doc = $doc])+
            #[must_use = "tell it"]
            pub(crate) struct $name $(<$life>)? {
                $($(pub(crate) $field: $type,)+)?
                $($(pub(crate) $word: $word_type,)+)?
            }

            impl $(<$life>)? $name $(<$life>)? {
                /// Logs it, if it passes the filter.
                pub(crate) fn tell(self) {
                    let Self { $($($field,)+)? $($($word,)+)? } = self;
                    tracing::event!(
                        name: $id,
                        target: $crate::event::events!(@target $($target)?),
                        tracing::Level::$level,
                        $($($field = $crate::event::events!(@shown $mode $field),)+)?
                        event = tracing::field::display($id),
                        $text
                    );
                }
            }
        )+
    };
    (@target) => { $crate::event::room(module_path!()) };
    (@target $target:literal) => { $target };
    (@shown display $field:ident) => { tracing::field::display(&$field) };
    (@shown debug $field:ident) => { tracing::field::debug(&$field) };
    (@shown value $field:ident) => { $field };
}
pub(crate) use events;

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::event::recent::{Keeping, Recent};

    mod events {
        crate::event::events! {
            /// It was tried.
            /// Try again.
            Tried<'a>: WARN "event.tried" metric "framegate_tried_total"
                { display peer: &'a str, value count: u64, debug why: Option<&'a str>, value name: Option<&'a str> }
                (left: u8)
                "tried {peer}, {left} left";
            /// Nothing is to be said.
            Quiet: DEBUG "event.quiet" at "framegate::elsewhere" "quiet";
        }
    }

    #[test]
    fn an_event_is_told_as_it_was_declared() {
        let recent: &'static Recent = Box::leak(Box::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Keeping::by(recent)), || {
            events::Tried { peer: "a b", count: 2, why: None, name: Some("x"), left: 7 }.tell();
            events::Quiet {}.tell();
        });
        let told = recent.after(0, 9);
        let [tried, quiet] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!(tried.text, r#"tried a b, 7 left peer=a b count=2 why=None name="x""#);
        assert_eq!((tried.event.as_str(), tried.level.as_str()), ("event.tried", "warn"));
        assert_eq!(tried.target, module_path!());
        assert_eq!((quiet.text.as_str(), quiet.target.as_str()), ("quiet", "framegate::elsewhere"));
    }

    #[test]
    fn the_list_knows_what_was_declared() {
        let [tried, quiet] = events::KINDS else { panic!("{:?}", events::KINDS) };
        assert_eq!(tried.fields, ["peer", "count", "why", "name"]);
        assert_eq!((tried.metric, quiet.metric), (Some("framegate_tried_total"), None));
        assert_eq!((tried.meaning, tried.text), (" It was tried. Try again.", "tried {peer}, {left} left"));
        assert_eq!(
            (tried.level, tried.target, quiet.target),
            ("WARN", module_path!(), "framegate::elsewhere")
        );
    }

    #[test]
    fn a_room_is_the_module_above() {
        assert_eq!(room("framegate::net::events"), "framegate::net");
        assert_eq!(room("events"), "");
    }
}
