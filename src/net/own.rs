//! Connections of ours to listeners of ours, by which the service tries itself. A listener knows them by the
//! address and port that they come from, which are told here before the connection is begun and belong to us for
//! as long as it is open. So nobody else passes for us, another process of this machine neither.
//!
//! What a listener lets such a connection off is what the configuration holds ready for others: the networks that
//! are let in, the connections and requests that one address may have, and the client certificate. None of it gives
//! a right to anything.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpSocket, TcpStream};

/// The connections of ours that are open. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct OwnConnections {
    from: Arc<Mutex<HashSet<SocketAddr>>>,
}

/// Says whose a connection is until it is dropped: once it was accepted, and before the connection itself.
#[derive(Debug)]
pub struct Known {
    own: OwnConnections,
    from: SocketAddr,
}

impl OwnConnections {
    /// Connects to a listener of ours that is bound to `listener`; one that is bound to every address is reached
    /// through loopback.
    ///
    /// # Errors
    /// When the kernel refuses, or nobody listens.
    pub async fn connect(&self, listener: SocketAddr) -> io::Result<(TcpStream, Known)> {
        let to = reached(listener);
        let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        let mut from = to;
        from.set_port(0);
        socket.bind(from)?;
        let from = canonical(socket.local_addr()?);
        self.known().insert(from);
        let known = Known { own: self.clone(), from };
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok((stream, known))
    }

    /// Whether a connection that was accepted from `peer` is one of ours.
    pub fn holds(&self, peer: SocketAddr) -> bool {
        self.known().contains(&canonical(peer))
    }

    fn known(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        // Nothing that runs under this lock can panic half way through a change.
        self.from.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        self.own.known().remove(&self.from);
    }
}

/// Where a listener is reached from this machine.
fn reached(listener: SocketAddr) -> SocketAddr {
    let mut to = listener;
    match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => to.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => to.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    to
}

/// An IPv4 address that arrived on an IPv6 socket is one; scopes and flows do not tell connections apart.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn only_what_was_told_before_is_ours_and_only_while_it_is_open() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let own = OwnConnections::default();
        let (stream, known) = own.clone().connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        assert!(peer.ip().is_loopback() && own.holds(peer));
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), peer.port());
        assert!(own.holds(mapped));
        assert!(!OwnConnections::default().holds(peer));

        let to = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listener.local_addr().unwrap().port());
        let _other = TcpStream::connect(to).await.unwrap();
        let (_, stranger) = listener.accept().await.unwrap();
        assert!(!own.holds(stranger), "another process of this machine is not us");
        drop(known);
        assert!(!own.holds(peer));
    }

    #[tokio::test]
    async fn a_listener_that_is_not_there_leaves_nothing_behind() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let own = OwnConnections::default();
        assert!(own.connect(address).await.is_err());
        assert!(own.known().is_empty());
    }

    #[test]
    fn every_address_is_reached_through_loopback_of_its_family() {
        for (listener, to) in [
            ("0.0.0.0:104", "127.0.0.1:104"),
            ("[::]:104", "[::1]:104"),
            ("192.0.2.1:104", "192.0.2.1:104"),
            ("[2001:db8::1]:104", "[2001:db8::1]:104"),
        ] {
            assert_eq!(reached(listener.parse().unwrap()), to.parse().unwrap());
        }
    }
}
