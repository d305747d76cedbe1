//! The addresses of the two ends of a connection.

use std::net::SocketAddr;

use http::Extensions;

use crate::foreign;

/// An extension with the socket address of the peer.
///
/// A server inserts it into requests, a client's connector into responses. It is not needed if a library provides the
/// address: axum as `ConnectInfo<SocketAddr>` (feature `connect-info`), hyper-util as `HttpInfo` (feature `hyper-util`),
/// tonic as `TcpConnectInfo` (feature `tonic`).
///
/// ```
/// use std::net::SocketAddr;
/// use tower_otel_core::PeerAddr;
///
/// let peer: SocketAddr = "192.0.2.7:4711".parse()?;
/// let request = http::Request::get("/").extension(PeerAddr(peer)).body(())?;
/// assert_eq!(PeerAddr::of(request.extensions()), Some(peer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// Returns the address of the peer from this extension, else from that of a supported library. Returns `None` if there
    /// is neither.
    pub fn of(extensions: &Extensions) -> Option<SocketAddr> {
        let own = extensions.get::<Self>().map(|peer| peer.0);
        own.or_else(|| foreign::peer(extensions))
    }
}

/// A request extension with the local socket address of a server's connection.
///
/// The server inserts it; no library does. Unspecified addresses (`0.0.0.0`, `::`), to which listeners are often bound, are
/// ignored.
///
/// ```
/// use std::net::SocketAddr;
/// use tower_otel_core::LocalAddr;
///
/// let local: SocketAddr = "192.0.2.80:8080".parse()?;
/// let request = http::Request::get("/").extension(LocalAddr(local)).body(())?;
/// assert_eq!(LocalAddr::of(request.extensions()), Some(local));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddr(pub SocketAddr);

impl LocalAddr {
    /// Returns the local address of the connection from this extension, or `None` if it is missing or unspecified.
    #[doc(hidden)]
    pub fn of(extensions: &Extensions) -> Option<SocketAddr> {
        let local = extensions.get::<Self>()?.0;
        Some(local).filter(|local| !local.ip().is_unspecified())
    }
}
