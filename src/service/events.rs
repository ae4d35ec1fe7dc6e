//! What the service itself logs: its start and end, its listeners, its certificates, its configuration.

use std::fmt::{Debug, Display};
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::events;

events! {
    /// A fault of framegate: report it.
    PatternPanicked: ERROR "service.pattern_panicked" "the pattern source's thread had panicked";
    /// The test picture ends. Report it.
    PatternStops<'a>: ERROR "service.pattern_stops" (error: &'a str) "the pattern source stops: {error}";
    /// To be known.
    SpoolOpen<'a>: INFO "service.spool_open" { value relay: &'a str, value waiting: usize, value again: usize }
        "the spool is open";
    /// Configure that relay again, to have them delivered; or remove the folder.
    SpoolOrphaned<'a>: WARN "service.spool_orphaned" { value folder: &'a str }
        "what is in this folder of the spool waits for a relay that is not in the configuration any more";
    /// Set `service.landlock` to true, unless you are looking for a fault.
    Unconfined: WARN "service.unconfined" "service.landlock is false: the process may touch whatever its user may";
    /// The unit confines it all the same. Take a newer kernel for the second wall.
    NoLandlock: INFO "service.no_landlock"
        "this kernel has no Landlock; the process confines itself no further";
    /// To be known.
    Confined<'a>: INFO "service.confined" { value kernel: &'a str } "the process is confined by Landlock";
    /// To be known.
    ConsoleListens: INFO "service.console_listens" { display address: SocketAddr } "the console listens";
    /// To be known.
    RelayListens<'a>: INFO "service.relay_listens" { value relay: &'a str, display address: SocketAddr }
        "the relay listens";
    /// To be known.
    DimseTlsListens: INFO "service.dimse_tls_listens" { display address: SocketAddr } "DICOM over TLS";
    /// Somebody has not finished in time. Nothing to do, or allow more time.
    DrainDropped: WARN "service.drain_dropped" { value dropped: usize }
        "connections were still open when service.drain_seconds was over";
    /// To be known.
    Ready: INFO "service.ready" { display dicomweb: SocketAddr, debug dimse: Option<SocketAddr> } "ready";
    /// To be known: connections are drained for as long as this.
    Stopping: INFO "service.stopping" { debug drain: Duration } "stopping";
    /// A fault of a driver or a device, as the text says. The capture goes on when the driver comes back.
    CaptureHung<'a>: ERROR "service.capture_hung" metric "framegate_capture_faults_total"
        { value capture: &'a str, value seconds: u64 } (advice: &'a str)
        "the driver does not come back; other sources go on. {advice}";
    /// To be known.
    CaptureBack<'a>: INFO "service.capture_back" { value capture: &'a str } "the driver has come back";
    /// Mend the file that `metrics.token` names, as the text says.
    MetricsToken<'a>: ERROR "service.metrics_token" (error: &'a dyn Display) "nobody can read metrics: {error}";
    /// The driver hangs. If the device does not work after the next start, unplug it.
    CaptureHangs: WARN "service.capture_hangs" "a capture device does not let go of its capture thread";
    /// Somebody has not finished in time. Nothing to do, or allow more time.
    DrainOver: WARN "service.drain_over" "something was still open when service.drain_seconds was over";
    /// To be known.
    Stopped: INFO "service.stopped" "stopped";
    /// A fault of the socket unit: look at `framegate-prepare.service`.
    SocketNameless<'a>: WARN "service.socket_nameless" { value name: &'a str, display error: &'a dyn Display }
        "a socket that systemd passed has no address";
    /// A fault of the socket unit: look at `framegate-prepare.service`.
    SocketForeign<'a>: WARN "service.socket_foreign" { value name: &'a str, display error: &'a dyn Display }
        "systemd passed something that is no TCP socket";
    /// To be known: whoever connected meanwhile is answered.
    SocketTaken<'a>: INFO "service.socket_taken"
        { value key: &'a str, display address: SocketAddr, value name: &'a str }
        "listens on a socket that systemd held";
    /// Restart the unit that the text names.
    SocketUnused<'a>: WARN "service.socket_unused" { value name: &'a str, display address: SocketAddr }
        "systemd listens here, but no key of the configuration names this address, so that nobody answers; restart framegate-prepare.service, which makes the socket units follow the configuration";
    /// To be known.
    SelfTestGood: INFO "service.self_test_good" (milliseconds: f64) "the self-test is good, {milliseconds:.1} ms";
    /// The text says which step failed and why. If that stays, restart the service, and report it.
    SelfTestFails<'a>: ERROR "service.self_test_fails" (failed: &'a str) "the self-test fails: {failed}";
    /// Look at the runtime directory.
    HealthUnwritable<'a>: ERROR "service.health_unwritable" { display error: &'a dyn Display }
        "the result of the self-test cannot be written; framegate health will find none";
    /// Two say different things of who is imaged, or what was said is old: look at the capture, and choose the patient
    /// again.
    Doubtful<'a>: WARN "service.context_doubtful" { value capture: &'a str } (warning: &'a dyn Display)
        "who is imaged is doubtful: {warning}";
    /// Nothing to do.
    CertificateGood<'a>: INFO "service.certificate_good" { value certificate: &'a str, value until: &'a str }
        "the certificate is good again";
    /// Have it renewed (`framegate identity`).
    CertificateExpires<'a>: WARN "service.certificate_expires" metric "framegate_tls_certificate_expiry_timestamp_seconds"
        { value certificate: &'a str, value days: i64, value until: &'a str }
        "a certificate expires soon: have it renewed";
    /// Have it renewed (`framegate identity`), or set the clock.
    CertificateExpired<'a>: ERROR "service.certificate_expired" metric "framegate_tls_certificate_expiry_timestamp_seconds"
        { value certificate: &'a str, value until: &'a str }
        "a certificate has expired, and peers refuse it: have it renewed, or set the clock if that is ahead";
    /// Set the clock, or wait.
    CertificateNotYet<'a>: ERROR "service.certificate_not_yet" { value certificate: &'a str, value from: &'a str }
        "a certificate is not valid yet: is the clock of this box behind?";
    /// Replace it in the `client_ca` that holds it.
    RootNotValid<'a>: WARN "service.root_not_valid"
        { value certificate: &'a str, value from: &'a str, value until: &'a str }
        "a root of client certificates is not valid by our clock; it is still believed, but ought to be replaced";
    /// Mend what the text names, and reload again. What was in force stays.
    NotReloaded<'a>: ERROR "service.not_reloaded" (problem: &'a dyn Display) "configuration not reloaded: {problem}";
    /// Mend the filter, and reload again.
    LogUnchanged<'a>: ERROR "service.log_unchanged" (error: &'a str) "service.log stays as it was: {error}";
    /// To be known.
    Reloaded<'a>: INFO "service.reloaded" { debug applied: &'a dyn Debug } "configuration reloaded";
    /// Restart the service when nobody is streaming.
    NeedsRestart<'a>: WARN "service.needs_restart" { debug keys: &'a dyn Debug }
        "these keys have changed too; they need a restart";
    /// To be known.
    KeysReloaded: INFO "service.token_keys_reloaded" { value keys: usize } "token keys reloaded";
    /// Mend the file, as the text says.
    KeysStay<'a>: ERROR "service.token_keys_stay" (error: &'a dyn Display) "the token keys in force stay: {error}";
    /// To be known.
    CertificateReloaded<'a>: INFO "service.certificate_reloaded" { debug validity: &'a dyn Debug } "certificate reloaded";
    /// Mend the file, as the text says.
    CertificateStays<'a>: ERROR "service.certificate_stays" (error: &'a dyn Display)
        "the certificate in force stays: {error}";
}
