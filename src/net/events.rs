//! What the listeners log, and the connections of ours to peers.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::event::events;

events! {
    /// A client showed a token or a certificate that is not accepted, or none. The reason says which rule was broken:
    /// see to the client's credentials, or to `access.*` and the token keys of the configuration.
    Unauthenticated<'a>: INFO "net.unauthenticated" metric "framegate_dicomweb_requests_unauthenticated_total"
        { display peer: SocketAddr, value reason: &'a str, value suppressed: u64 } (why: &'a dyn Display)
        "a request was not authenticated: {why}";
    /// Nothing to do: the client was gone before anything was said.
    GoneAtOnce<'a>: DEBUG "net.gone_at_once" { display peer: SocketAddr, display error: &'a io::Error }
        "the connection was gone before it began";
    /// A reload, or the clock, has made a client's certificate unacceptable. Give the client a new certificate if it is
    /// to come back.
    Withdrawn<'a>: WARN "net.certificate_withdrawn" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, display error: &'a dyn Display, value suppressed: u64 }
        "closed the connection of a client whose certificate is no longer accepted";
    /// A client is too slow, or is no TLS client. If it is one of yours, look at the network to it.
    HandshakeLate: INFO "net.tls_late" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, value suppressed: u64 } (within: Duration)
        "dropped a client that did not finish its TLS handshake within {within:?}";
    /// A client has the wrong URL: it begins with http:// and should begin with https://.
    PlainHttp: INFO "net.plain_http" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, value suppressed: u64 }
        "a client spoke plain HTTP; its URL should begin with https://";
    /// The error says on which side TLS failed: the client does not trust our certificate, speaks nothing newer than
    /// TLS 1.1, or shows no certificate, or one that is not accepted.
    HandshakeFailed<'a>: INFO "net.tls_failed" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, display error: &'a io::Error, value suppressed: u64 }
        "a TLS handshake failed; check that the client trusts our certificate, speaks TLS 1.2 or 1.3, and shows its own if one is asked for";
    /// The client hangs, or the network to it does. Look at both.
    TakesNothing: WARN "net.client_stalled" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, value suppressed: u64 } (within: Duration)
        "dropped a client that took no bytes for {within:?}; check the client and the network to it";
    /// A client goes on asking faster than it may. Slow it down, or allow it more.
    TooManyRequests: WARN "net.rate_limited" metric "framegate_http_requests_rate_limited_total"
        { display peer: SocketAddr, value suppressed: u64 }
        "too many requests; slow the client down or raise dicomweb.limits.requests_per_second";
    /// Nothing to do: the client has gone in the middle of something.
    EndedEarly<'a>: DEBUG "net.ended_early" { display peer: SocketAddr, display error: &'a dyn Display }
        "a connection ended early";
    /// A client asks for a response and does not read it. It should read each response, or cancel it.
    ResponseNotTaken: WARN "net.response_stalled" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, value suppressed: u64 } (within: Duration)
        "dropped a client that took no bytes of a response for {within:?}; it should read each response or cancel it";
    /// A client connects and does not ask. If it is one of yours, look at it.
    RequestLate: INFO "net.request_late" metric "framegate_http_connections_dropped_total"
        { display peer: SocketAddr, value suppressed: u64 } (within: Duration)
        "dropped a client that did not send its request within {within:?}";
    /// Somebody connects who may not. Add the network to `dicomweb.allow` or `console.allow` if it should be let in.
    NetworkRefused<'a>: WARN "net.network_refused" metric "framegate_http_connections_refused_total"
        { display peer: SocketAddr, value suppressed: u64 } (section: &'a str)
        "refused a connection from a network that is not allowed; add it to {section}.allow if it should be";
    /// The listener has as many connections as it may. Find out who holds them, or allow more.
    TooManyConnections: WARN "net.connections_full" metric "framegate_http_connections_refused_total"
        { display peer: SocketAddr, value suppressed: u64, value limit: usize }
        "refused a connection: too many are open; raise dicomweb.limits.connections if these clients are expected";
    /// One address has as many connections as it may. Close some there, or allow more.
    TooManyOfPeer: WARN "net.peer_connections_full" metric "framegate_http_connections_refused_total"
        { display peer: SocketAddr, value suppressed: u64, value limit: usize }
        "refused a connection: too many are open from that address; close some there or raise dicomweb.limits.connections_per_peer";
    /// The service stops, and somebody has not finished in time. Nothing to do, or allow more time.
    DrainOver: WARN "net.drain_over" metric "framegate_http_connections_dropped_total" { value open: usize } (within: Duration)
        "connections were still open after {within:?}; they are dropped";
    /// The system gives no more connections. Most likely file descriptors have run out.
    AcceptFailed<'a>: ERROR "net.accept_failed" metric "framegate_http_accepts_failed_total"
        { display error: &'a io::Error, value suppressed: u64 }
        "cannot accept connections; if file descriptors have run out, raise LimitNOFILE or lower dicomweb.limits.connections";
    /// A fault of framegate: one connection is lost, all others go on. Report it.
    Panicked: ERROR "net.panicked" metric "framegate_http_panics_total" { value suppressed: u64 }
        "a connection ended in a panic; this is a fault of framegate, please report it";
    /// Nothing to do: the peer has gone, and is connected to again when there is something for it.
    PeerEndedEarly<'a>: DEBUG "net.peer_ended_early" { display error: &'a dyn Display }
        "a connection to a peer ended early";
    /// Certificates that were revoked since are still accepted. Fetch the authority's newest list.
    RevocationsOld<'a>: WARN "net.crl_old" { display file: &'a dyn Display }
        "a certificate revocation list is past its next update; it stays in force, but newer revocations are missing: fetch a new one";
    /// Nothing to do.
    RevocationsFresh<'a>: INFO "net.crl_fresh" { display file: &'a dyn Display }
        "the certificate revocation lists are up to date again";
}
