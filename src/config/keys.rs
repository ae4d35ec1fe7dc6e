//! The table of keys: for every key its dotted path, its kind, and whether a change takes effect
//! without a restart. Checks, messages, names of environment variables and reload all read this one
//! table; `fragment` has the same keys as typed fields, and a test holds the two together.
//!
//! A `*` in a path stands for a name that the operator chooses: `destination.*.url` is the key `url`
//! of every section `[destination.NAME]`. Such *named sections* come from files only.

use super::kind::{Check, Kind};
use super::text;

/// What environment variables of ours begin with.
pub(super) const VARIABLE_PREFIX: &str = "FRAMEGATE_";

/// Most named sections of one kind, such as destinations.
pub(super) const MOST_NAMED: usize = 256;

/// How alike two names must be (Jaro-Winkler, 0 to 1) for one to be offered for the other. High
/// enough to keep strangers apart, low enough to join `max_age` and `max_age_seconds`.
const ALIKE: f64 = 0.85;

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Sections and name, joined by dots; `*` for a name of the operator's.
    pub(super) path: &'static str,
    /// Which values it takes.
    pub(super) kind: Kind,
    /// Whether a new value holds without a restart.
    pub(super) reloads: bool,
    /// Whether a named section must set it: its default is not a value that it takes.
    pub(super) required: bool,
}

const fn live(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, reloads: true, required: false }
}

const fn required(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, reloads: true, required: true }
}

const fn fixed(path: &'static str, kind: Kind) -> Key {
    Key { path, kind, reloads: false, required: false }
}

const fn count(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "" }
}

const fn bytes(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "bytes" }
}

const fn seconds(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "seconds" }
}

const fn milliseconds(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "milliseconds" }
}

const fn pixels(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max, unit: "pixels" }
}

const fn words(form: &'static str, check: Check) -> Kind {
    Kind::Text { form, check }
}

const fn list(form: &'static str, check: Check) -> Kind {
    Kind::List { form, check }
}

const DAY: i64 = 86_400;
const KIB: i64 = 1 << 10;
const MIB: i64 = 1 << 20;
const GIB: i64 = 1 << 30;

const LISTENER: Kind =
    words("\"IP:PORT\", for instance \"127.0.0.1:11112\", or \"\" to close the listener", |text| {
        text::listener(text).map(drop)
    });
const NETWORKS: Kind = list("list of networks, for instance [\"192.168.10.0/24\", \"10.1.2.3\"]", |text| {
    text::network(text).map(drop)
});
const PEM_FILE: Kind = words("path of a PEM file, or \"\" for none", |_| Ok(()));
const RIGHTS: Kind = list(
    "list of \"search\", \"retrieve\", \"subscribe\", \"push-to\", \"send\", \"operate\", \"console\", \"phi\"",
    |text| text::right(text).map(drop),
);
const DESTINATIONS: Kind =
    list("list of names of [destination.NAME] sections, or [\"*\"] for all of them", text::name_or_all);
const DEVICE: &str = "\"auto\", a path below /dev without . or .. or //, \"usb:VVVV:PPPP\", \"bus:BUS\", \"card:NAME\", \
     or \"replay:\" and the absolute path of a clip (.toml)";
const RECTANGLE: &str = "\"X,Y,WIDTH,HEIGHT\" (pixels, up to 16384), or \"\" for all of the picture";
const RECTANGLES: &str = "list of at most 32 \"X,Y,WIDTH,HEIGHT\" (pixels, up to 16384)";
const MODALITY: &str = "1 to 16 capital letters, digits, spaces and _ (CS), for instance \"XA\"";
const LO: &str = "text of at most 64 characters, no backslash; \"\" for unknown";
const SH: &str = "text of at most 16 characters, no backslash; \"\" for unknown";
const PROVIDERS: &str = "list of \"operator\", \"mpps\", \"association\", \"worklist\", each once";
const SIZE: &str = "\"WIDTHxHEIGHT\" in pixels, each 1 to 16384, or \"\"";
const SPACING: &str = "\"ROW,COLUMN\" (mm), for instance \"0.2,0.2\", or \"\" where nobody calibrated it";
const AE_TITLE: &str = "AE title: 1 to 16 printable ASCII characters, no backslash, no space at the ends";

const PEER: &str = "\"HOST:PORT\", for instance \"ris.example:104\"";

const RECEIVER: &str = "\"HOST:PORT\", for instance \"audit.example:6514\", or \"\" for none";

/// Every key, section by section, in the order in which they are shown.
pub(super) const KEYS: &[Key] = &[
    live("hub.budget_bytes", bytes(MIB, 1024 * GIB)),
    live("hub.max_age_seconds", seconds(1, DAY)),
    live("hub.quiet_seconds", seconds(1, DAY)),
    live("hub.linger_ms", milliseconds(0, 600_000)),
    fixed("hub.max_series", count(1, 65_536)),
    fixed("dimse.listen", LISTENER),
    live("dimse.ae_title", words(AE_TITLE, text::ae_title)),
    live("dimse.accept_any_called_ae_title", Kind::Bool),
    live("dimse.calling_ae_titles", list("list of AE titles", text::ae_title)),
    live("dimse.allow", NETWORKS),
    live(
        "dimse.private_sop_classes",
        list("list of UIDs (digits and dots, at most 64 characters)", text::uid),
    ),
    fixed("dimse.tls.listen", LISTENER),
    fixed("dimse.tls.certificate", PEM_FILE),
    fixed("dimse.tls.key", PEM_FILE),
    fixed("dimse.tls.client_ca", PEM_FILE),
    fixed("dimse.tls.client_crl", PEM_FILE),
    live("dimse.limits.associations", count(1, 4096)),
    live("dimse.limits.associations_per_peer", count(1, 4096)),
    live("dimse.limits.pdu_bytes", bytes(4096, 131_072 * 64)),
    live("dimse.limits.head_bytes", bytes(4096, GIB)),
    live("dimse.limits.frame_bytes", bytes(4096, GIB)),
    live("dimse.limits.frames", count(1, 1_000_000)),
    live("dimse.limits.elements", count(100, 10_000_000)),
    live("dimse.limits.nesting", count(1, 64)),
    live("dimse.limits.handshake_seconds", seconds(1, 300)),
    live("dimse.limits.idle_seconds", seconds(1, DAY)),
    live("dimse.limits.stall_seconds", seconds(1, 3600)),
    fixed(
        "dicomweb.listen",
        words("\"IP:PORT\", for instance \"127.0.0.1:8443\"", |text| text::address(text).map(drop)),
    ),
    live("dicomweb.allow", NETWORKS),
    live(
        "dicomweb.cors_origins",
        list("list of origins, for instance [\"https://viewer.example:8443\"], or [\"*\"]", text::origin),
    ),
    fixed("dicomweb.tls.certificate", PEM_FILE),
    fixed("dicomweb.tls.key", PEM_FILE),
    fixed("dicomweb.tls.client_ca", PEM_FILE),
    fixed("dicomweb.tls.client_certificate_optional", Kind::Bool),
    fixed("dicomweb.tls.client_crl", PEM_FILE),
    fixed("dicomweb.tls.self_signed", Kind::Bool),
    live("dicomweb.limits.connections", count(1, 65_536)),
    live("dicomweb.limits.connections_per_peer", count(1, 65_536)),
    live("dicomweb.limits.streams", count(1, 1024)),
    live("dicomweb.limits.requests_per_second", count(1, 1_000_000)),
    live("dicomweb.limits.request_burst", count(1, 1_000_000)),
    live("dicomweb.limits.header_bytes", bytes(8 * KIB, MIB)),
    live("dicomweb.limits.header_timeout_seconds", seconds(1, 300)),
    live("dicomweb.limits.idle_seconds", seconds(1, DAY)),
    live("dicomweb.limits.send_timeout_ms", milliseconds(100, 600_000)),
    live("dicomweb.limits.search_results", count(1, 100_000)),
    fixed("console.listen", LISTENER),
    live("console.allow", NETWORKS),
    live(
        "console.code_may",
        list("list of \"operate\", \"phi\", \"configure\"", |text| text::code_right(text).map(drop)),
    ),
    live("console.session_minutes", Kind::Integer { min: 1, max: 720, unit: "minutes" }),
    fixed("console.tls.certificate", PEM_FILE),
    fixed("console.tls.key", PEM_FILE),
    fixed("console.tls.client_ca", PEM_FILE),
    fixed("console.tls.client_crl", PEM_FILE),
    live("access.anonymous", RIGHTS),
    live("access.anonymous_destinations", DESTINATIONS),
    live("access.anonymous_filter", Kind::Filter),
    live("access.jwt.jwks", words("path of a JWK Set file, or \"\" for none", |_| Ok(()))),
    live("access.jwt.issuer", words("claim iss, or \"\" for none", |_| Ok(()))),
    live("access.jwt.audience", words("claim aud, or \"\" for none", |_| Ok(()))),
    live("access.jwt.leeway_seconds", seconds(0, 600)),
    live(
        "principal.*.certificates",
        list(
            "list of names in certificates, for instance [\"CN=viewer\", \"DNS:viewer.example\"]; \
             also URI: and email:",
            text::certificate_name,
        ),
    ),
    live("principal.*.subjects", list("list of token subjects (claim sub)", text::not_empty)),
    live("principal.*.may", RIGHTS),
    live("principal.*.destinations", DESTINATIONS),
    live("principal.*.filter", Kind::Filter),
    live("send.requests", count(1, 4096)),
    live("send.idle_seconds", seconds(1, DAY)),
    live("send.limits.head_bytes", bytes(4096, GIB)),
    live("send.limits.frame_bytes", bytes(4096, GIB)),
    live("send.limits.frames", count(1, 1_000_000)),
    live("send.limits.elements", count(100, 10_000_000)),
    live("send.limits.nesting", count(1, 64)),
    live("send.limits.stall_seconds", seconds(1, 3600)),
    live("send.limits.listed", count(1, 1000)),
    live("subscriptions.total", count(1, 65_536)),
    live("subscriptions.per_subscriber", count(1, 65_536)),
    live("subscriptions.lease_seconds", seconds(1, DAY)),
    live("subscriptions.events", count(1, 65_536)),
    live("subscriptions.channels", count(1, 256)),
    live("subscriptions.ping_seconds", seconds(1, 3600)),
    required(
        "destination.*.url",
        words("base URL of a DICOMweb service, for instance \"https://pacs.example/dicom-web\"", |text| {
            text::service_url(text).map(drop)
        }),
    ),
    live("destination.*.mode", Kind::OneText(&["send", "store", "send-then-store"])),
    live("destination.*.ca", words("path of a PEM file", text::not_empty)),
    live("destination.*.certificate", PEM_FILE),
    live("destination.*.key", PEM_FILE),
    live("destination.*.token", words("path of a file with a bearer token, or \"\" for none", |_| Ok(()))),
    live("destination.*.allow_plain", Kind::Bool),
    live("destination.*.http", Kind::OneText(&["auto", "1.1", "2"])),
    live("destination.*.connections", count(1, 256)),
    live("destination.*.batch", count(1, 1000)),
    live("destination.*.rotate_seconds", seconds(1, DAY)),
    live("destination.*.rotate_bytes", bytes(MIB, 1024 * GIB)),
    live("destination.*.connect_seconds", seconds(1, 300)),
    live("destination.*.send_timeout_ms", milliseconds(100, 600_000)),
    live("destination.*.response_seconds", seconds(1, 3600)),
    live("destination.*.retry_ms", milliseconds(10, 600_000)),
    live("destination.*.retry_max_seconds", seconds(1, 3600)),
    required(
        "subscription.*.search",
        words(
            "/studies, /series, /instances, /studies/{uid}/series, /studies/{uid}/instances or \
             /studies/{uid}/series/{uid}/instances",
            text::search_resource,
        ),
    ),
    live("subscription.*.filter", Kind::Filter),
    required(
        "subscription.*.subscriber",
        words("name of a subscriber: 1 to 64 letters, digits, and . _ or -", text::subscriber),
    ),
    live(
        "subscription.*.principal",
        words("name of a [principal.NAME] section, or \"\"", text::name_or_none),
    ),
    live(
        "subscription.*.destination",
        words("name of a [destination.NAME] section, or \"\"", text::name_or_none),
    ),
    live("subscription.*.rate", Kind::Number { min: 0.0, max: 1000.0, unit: "instances per second" }),
    live(
        "subscription.*.from",
        words("\"oldest\", \"latest\" or an Instance Number, for instance \"17\"", text::from),
    ),
    live("subscription.*.transfer_syntax", Kind::OneText(&["", "1.2.840.10008.1.2.1"])),
    live("subscription.*.representation", Kind::OneText(&["instance", "rendered"])),
    required("availability.*.address", words(PEER, text::peer_address)),
    required("availability.*.ae_title", words(AE_TITLE, text::ae_title)),
    live(
        "availability.*.calling_ae_title",
        words("AE title, or \"\" for that of dimse.ae_title", text::ae_title_or_none),
    ),
    live(
        "availability.*.retrieve_url",
        words("base URL of our DICOMweb service as the peer reaches it, or \"\" for none", |text| {
            text::service_url_or_none(text).map(drop)
        }),
    ),
    live("availability.*.ca", PEM_FILE),
    live("availability.*.certificate", PEM_FILE),
    live("availability.*.key", PEM_FILE),
    required("relay.*.called_ae_title", words(AE_TITLE, text::ae_title)),
    live("relay.*.calling_ae_titles", list("list of AE titles", text::ae_title)),
    required(
        "relay.*.address",
        words("\"HOST:PORT\", for instance \"pacs.example:104\"", text::peer_address),
    ),
    live(
        "relay.*.upstream_called_ae_title",
        words("AE title, or \"\" for the one that was called", text::ae_title_or_none),
    ),
    live(
        "relay.*.upstream_calling_ae_title",
        words("AE title, or \"\" for that of the modality", text::ae_title_or_none),
    ),
    fixed("relay.*.listen", LISTENER),
    live("relay.*.ca", PEM_FILE),
    live("relay.*.certificate", PEM_FILE),
    live("relay.*.key", PEM_FILE),
    live("relay.*.stream", Kind::Bool),
    live("relay.*.when_unreachable", Kind::OneText(&["reject", "stream", "spool"])),
    live("relay.*.connect_seconds", seconds(1, 300)),
    live("relay.*.idle_seconds", seconds(1, DAY)),
    fixed("spool.directory", words("path of a directory, or \"\" for no spool", |_| Ok(()))),
    fixed("spool.key_file", words("path of a file of 32 bytes, or \"\" for a transient key", |_| Ok(()))),
    fixed("spool.max_bytes", bytes(MIB, 1024 * GIB)),
    fixed("spool.free_bytes", bytes(0, 1024 * GIB)),
    fixed("spool.max_age_hours", Kind::Integer { min: 1, max: 24 * 366, unit: "hours" }),
    live(
        "worklist.*.address",
        words("\"HOST:PORT\", for instance \"ris.example:104\", or \"\" where url is set", |text| {
            if text.is_empty() { Ok(()) } else { text::peer_address(text) }
        }),
    ),
    live("worklist.*.ae_title", words(AE_TITLE, text::ae_title_or_none)),
    live(
        "worklist.*.calling_ae_title",
        words("AE title, or \"\" for that of dimse.ae_title", text::ae_title_or_none),
    ),
    live(
        "worklist.*.url",
        words("base URL of a DICOMweb service with a worklist, or \"\" where address is set", |text| {
            text::service_url_or_none(text).map(drop)
        }),
    ),
    live("worklist.*.ca", PEM_FILE),
    live("worklist.*.certificate", PEM_FILE),
    live("worklist.*.key", PEM_FILE),
    live("worklist.*.token", words("path of a file with a bearer token, or \"\" for none", |_| Ok(()))),
    live("worklist.*.station_ae_titles", list("list of AE titles", text::ae_title)),
    live(
        "worklist.*.modality",
        words("up to 16 capital letters, digits, spaces and _ (CS), or \"\" for all", text::code_string),
    ),
    live("worklist.*.days_before", Kind::Integer { min: 0, max: 365, unit: "days" }),
    live("worklist.*.days_after", Kind::Integer { min: 0, max: 365, unit: "days" }),
    live("worklist.*.refresh_seconds", seconds(1, DAY)),
    live("worklist.*.entries", count(1, 1000)),
    required("mpps.*.address", words(PEER, text::peer_address)),
    required("mpps.*.ae_title", words(AE_TITLE, text::ae_title)),
    live(
        "mpps.*.calling_ae_title",
        words("AE title, or \"\" for that of dimse.ae_title", text::ae_title_or_none),
    ),
    live("mpps.*.ca", PEM_FILE),
    live("mpps.*.certificate", PEM_FILE),
    live("mpps.*.key", PEM_FILE),
    live(
        "audit.receiver",
        words(RECEIVER, |text| if text.is_empty() { Ok(()) } else { text::peer_address(text) }),
    ),
    live("audit.ca", PEM_FILE),
    live("audit.certificate", PEM_FILE),
    live("audit.key", PEM_FILE),
    live("audit.queue", count(1, 1_000_000)),
    fixed("capture.*.device", words(DEVICE, text::device)),
    fixed("capture.*.profile", words("name of a hardware profile, or \"auto\"", text::name)),
    fixed(
        "capture.*.input",
        words("name or number of a video input, or \"\" for the current one", text::driver_name),
    ),
    fixed(
        "capture.*.sop_class",
        Kind::OneText(&["secondary-capture", "vl-photographic", "vl-endoscopic", "ultrasound"]),
    ),
    fixed("capture.*.modality", words(MODALITY, text::modality)),
    fixed("capture.*.pixels", Kind::OneText(&["grey", "color"])),
    fixed("capture.*.compression", Kind::OneText(&["none", "rle", "jpeg-ls", "jpeg", "as-captured"])),
    fixed("capture.*.jpeg_quality", count(1, 100)),
    fixed("capture.*.matrix", Kind::OneText(&["auto", "bt601", "bt709"])),
    fixed("capture.*.range", Kind::OneText(&["auto", "limited", "full"])),
    fixed("capture.*.deinterlace", Kind::OneText(&["weave", "bob"])),
    fixed("capture.*.crop", words(RECTANGLE, |text| text::rectangle_or_none(text).map(drop))),
    fixed("capture.*.masks", list(RECTANGLES, |text| text::rectangle(text).map(drop))),
    fixed("capture.*.masks_cover_identity", Kind::Bool),
    fixed("capture.*.picture_size", words(SIZE, |text| text::size(text).map(drop))),
    fixed("capture.*.rate", Kind::Number { min: 0.0, max: 1000.0, unit: "frames per second" }),
    fixed("capture.*.changes_only", Kind::Bool),
    fixed("capture.*.keep_alive_ms", milliseconds(10, 600_000)),
    fixed("capture.*.series", Kind::OneText(&["continuous", "signal", "operator", "activity"])),
    fixed("capture.*.activity_quiet_seconds", seconds(1, 3600)),
    fixed("capture.*.activity_threshold", Kind::Number { min: 0.0001, max: 1.0, unit: "of the picture" }),
    fixed("capture.*.patient_name", Kind::Person),
    fixed("capture.*.study_description", words(LO, text::long_string)),
    fixed("capture.*.series_description", words(LO, text::long_string)),
    fixed(
        "capture.*.body_part",
        words("up to 16 capital letters, digits, spaces and _ (CS), or \"\" for unknown", text::code_string),
    ),
    fixed("capture.*.manufacturer", words(LO, text::long_string)),
    fixed("capture.*.model_name", words(LO, text::long_string)),
    fixed("capture.*.serial_number", words(LO, text::long_string)),
    fixed("capture.*.station_name", words(SH, text::short_string)),
    fixed("capture.*.pixel_spacing", words(SPACING, |text| text::pixel_spacing(text).map(drop))),
    fixed("capture.*.precedence", list(PROVIDERS, |text| text::provider(text).map(drop))),
    fixed("capture.*.modality_ae_titles", list("list of AE titles", text::ae_title)),
    fixed("capture.*.stale_minutes", Kind::Integer { min: 0, max: 10_080, unit: "minutes" }),
    fixed("capture.*.emergency_name", Kind::Person),
    fixed("capture.*.mpps", words("name of an [mpps.NAME] section, or \"\" for none", text::name_or_none)),
    fixed("pattern.enabled", Kind::Bool),
    fixed("pattern.rows", pixels(64, 4096)),
    fixed("pattern.columns", pixels(64, 4096)),
    fixed("pattern.bits", Kind::OneInteger(&[8, 12, 16])),
    fixed("pattern.color", Kind::Bool),
    fixed("pattern.fps", Kind::Number { min: 1.0, max: 240.0, unit: "frames per second" }),
    fixed("service.drain_seconds", seconds(1, 300)),
    fixed("service.self_test_seconds", seconds(0, 3600)),
    live(
        "service.log",
        words("log filter, for instance \"info\" or \"info,framegate=debug\"", text::log_filter),
    ),
    fixed("service.log_format", Kind::OneText(&["text", "json"])),
    fixed("service.landlock", Kind::Bool),
    fixed("metrics.listen", LISTENER),
    fixed("metrics.allow", NETWORKS),
    fixed("metrics.token", words("path of a file with a bearer token, or \"\" for none", |_| Ok(()))),
    fixed("metrics.certificate", PEM_FILE),
    fixed("metrics.key", PEM_FILE),
];

/// The key of this dotted path, in which names stand and no `*`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let segments: Vec<_> = path.split('.').collect();
    KEYS.iter().find(|key| {
        let patterns = key.path.split('.');
        patterns.clone().count() == segments.len()
            && patterns.zip(&segments).all(|(pattern, segment)| stands_for(pattern, segment))
    })
}

/// What stands in a section, keys and subsections; the empty path is the top of the file. Empty
/// when there is no such section.
pub(super) fn members(section: &str) -> Vec<&'static str> {
    let mut names = Vec::new();
    for key in KEYS {
        let mut outer = section.split('.').filter(|segment| !segment.is_empty());
        let inside = outer.try_fold(key.path, |path, segment| {
            path.split_once('.').filter(|(first, _)| stands_for(first, segment)).map(|(_, rest)| rest)
        });
        if let Some(name) = inside.and_then(|rest| rest.split('.').next())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// How many sections below this one there may be, for messages.
pub(super) fn at_most_named(section: &str) -> String {
    format!("at most {MOST_NAMED} sections [{section}.NAME]")
}

/// Whether the sections below this one are named by the operator.
pub(super) fn is_named(section: &str) -> bool {
    KEYS.iter().any(|key| key.named() == Some(section))
}

fn stands_for(pattern: &str, segment: &str) -> bool {
    if pattern == "*" { text::name(segment).is_ok() } else { pattern == segment }
}

/// The name that is most like `name`, if one is like it at all.
pub(super) fn nearest<T: AsRef<str>>(name: &str, known: impl IntoIterator<Item = T>) -> Option<T> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(name, known.as_ref()), known))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

impl Key {
    /// Its section; `destination.*` for all named ones.
    pub(super) fn section(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// The kind of named section that it stands in, such as `destination`.
    pub(super) fn named(&self) -> Option<&'static str> {
        self.path.split_once(".*.").map(|(kind, _)| kind)
    }

    /// Its path in the section of this name.
    pub(super) fn at(&self, name: &str) -> String {
        self.path.replacen('*', name, 1)
    }

    /// The environment variable that sets it; none does in a named section.
    pub(super) fn variable(&self) -> Option<String> {
        let path = || self.path.replace('.', "__").to_ascii_uppercase();
        self.named().is_none().then(|| format!("{VARIABLE_PREFIX}{}", path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        assert_eq!(nearest("max_age", members("hub")), Some("max_age_seconds"));
        assert_eq!(nearest("asociations", members("dimse.limits")), Some("associations"));
        assert_eq!(nearest("dimze", members("")), Some("dimse"));
        assert_eq!(nearest("retry", members("destination.pacs")), Some("retry_ms"));
        assert_eq!(nearest("bogus", members("hub")), None);
    }

    #[test]
    fn members_are_keys_and_subsections() {
        let sections = [
            "hub",
            "dimse",
            "dicomweb",
            "console",
            "access",
            "principal",
            "send",
            "subscriptions",
            "destination",
            "subscription",
            "availability",
            "relay",
            "spool",
            "worklist",
            "mpps",
            "audit",
            "capture",
            "pattern",
            "service",
            "metrics",
        ];
        assert_eq!(members(""), sections);
        assert_eq!(members("dimse.tls"), ["listen", "certificate", "key", "client_ca", "client_crl"]);
        assert!(members("dimse").contains(&"limits"));
        assert!(members("dim").is_empty());
        assert!(members("hub.max_series").is_empty());
        assert!(members("principal.viewer").contains(&"may"));
        assert!(members("principal.vie wer").is_empty());
    }

    #[test]
    fn a_star_is_any_one_name() {
        assert_eq!(find("destination.pacs.url").unwrap().path, "destination.*.url");
        assert_eq!(find("destination.pacs.url").unwrap().at("pacs"), "destination.pacs.url");
        for none in [
            "destination.*.url",
            "destination.url",
            "destination.a.b.url",
            "destination.a b.url",
            "destination",
        ] {
            assert!(find(none).is_none(), "{none}");
        }
        assert!(find("hub.budget_bytes").is_some());
        assert!(find("hub").is_none());
        let named: Vec<_> = members("").into_iter().filter(|section| is_named(section)).collect();
        assert_eq!(
            named,
            [
                "principal",
                "destination",
                "subscription",
                "availability",
                "relay",
                "worklist",
                "mpps",
                "capture"
            ]
        );
        assert_eq!(find("destination.pacs.url").unwrap().variable(), None);
    }
}
