//! What the console answers, by path; each has one method. The names in paths are those of sections of the
//! configuration, identifiers of subscriptions, and the UIDs of series.

use http::Method;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'p> {
    /// The page itself.
    Page,
    /// A file that the page is made of.
    Asset(&'p str),
    Login,
    Logout,
    Session,
    Unlock,
    Lock,
    Status,
    Events,
    CaptureContext(&'p str),
    SeriesContext(&'p str, &'p str),
    Worklist,
    Start(&'p str),
    Stop(&'p str),
    Emergency(&'p str),
    Step(&'p str),
    Patient(&'p str),
    Live(&'p str, &'p str),
    Suspend(&'p str),
    Resume(&'p str),
    Test(&'p str),
    Journal,
    SupportBundle,
    Configuration,
    Configure,
    Confirm,
}

impl<'p> Route<'p> {
    /// What a path asks for; `None` where there is nothing.
    pub(super) fn of(path: &'p str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.splitn(8, '/').collect();
        Some(match *segments.as_slice() {
            [""] => Self::Page,
            ["assets", name] if !name.is_empty() => Self::Asset(name),
            ["api", "login"] => Self::Login,
            ["api", "logout"] => Self::Logout,
            ["api", "session"] => Self::Session,
            ["api", "unlock"] => Self::Unlock,
            ["api", "lock"] => Self::Lock,
            ["api", "status"] => Self::Status,
            ["api", "events"] => Self::Events,
            ["api", "worklist"] => Self::Worklist,
            ["api", "journal"] => Self::Journal,
            ["api", "support-bundle"] => Self::SupportBundle,
            ["api", "configuration"] => Self::Configuration,
            ["api", "configuration", "want"] => Self::Configure,
            ["api", "configuration", "confirm"] => Self::Confirm,
            ["api", "captures", name, "context"] => Self::CaptureContext(name),
            ["api", "captures", name, "start"] => Self::Start(name),
            ["api", "captures", name, "stop"] => Self::Stop(name),
            ["api", "captures", name, "emergency"] => Self::Emergency(name),
            ["api", "captures", name, "step"] => Self::Step(name),
            ["api", "captures", name, "patient"] => Self::Patient(name),
            ["api", "series", study, series, "context"] => Self::SeriesContext(study, series),
            ["api", "series", study, series, "live"] => Self::Live(study, series),
            ["api", "subscriptions", id, "suspend"] => Self::Suspend(id),
            ["api", "subscriptions", id, "resume"] => Self::Resume(id),
            ["api", "destinations", name, "test"] => Self::Test(name),
            _ => return None,
        })
    }

    /// The method that it takes; HEAD goes with GET.
    pub(super) fn method(self) -> Method {
        match self {
            Self::Login
            | Self::Logout
            | Self::Unlock
            | Self::Lock
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Emergency(_)
            | Self::Step(_)
            | Self::Suspend(_)
            | Self::Resume(_)
            | Self::Test(_)
            | Self::Configure
            | Self::Confirm => Method::POST,
            Self::Patient(_) => Method::DELETE,
            _ => Method::GET,
        }
    }

    /// Whether somebody does something, so that their session lasts. Streams go on by themselves, and a page may
    /// ask how long is left.
    pub(super) fn is_use(self) -> bool {
        !matches!(self, Self::Events | Self::Live(..) | Self::Session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_whole() {
        assert_eq!(Route::of("/"), Some(Route::Page));
        assert_eq!(Route::of("/assets/app.0123.js"), Some(Route::Asset("app.0123.js")));
        assert_eq!(Route::of("/api/series/1.2/1.3/live"), Some(Route::Live("1.2", "1.3")));
        assert_eq!(Route::of("/api/captures/xa/patient").map(Route::method), Some(Method::DELETE));
        for nothing in [
            "",
            "//",
            "/assets/",
            "/assets/../x",
            "/api",
            "/api/",
            "/api/login/",
            "/api/captures/xa",
            "/index.html",
        ] {
            assert_eq!(Route::of(nothing), None, "{nothing}");
        }
        assert!(Route::of(&"/a".repeat(5000)).is_none());
    }
}
