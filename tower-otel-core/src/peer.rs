//! The addresses at the two ends of a connection.

use std::net::SocketAddr;

use http::Extensions;

/// The socket address of the peer, as an extension.
///
/// A server puts it into its requests, a connector into its responses, where the library in
/// between does not. axum's `ConnectInfo<SocketAddr>` is understood as well, with the feature
/// `connect-info`, and so are the `HttpInfo` of hyper-util's connector, with `hyper-util`, and
/// the `TcpConnectInfo` of tonic's server, with `tonic`.
///
/// ```
/// use std::net::SocketAddr;
/// use tower_otel_core::PeerAddr;
///
/// let from: SocketAddr = "192.0.2.7:4711".parse()?;
/// let request = http::Request::get("/").extension(PeerAddr(from)).body(())?;
/// assert_eq!(PeerAddr::of(request.extensions()), Some(from));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

impl PeerAddr {
    /// The address of the peer, if somebody has left it.
    pub fn of(extensions: &Extensions) -> Option<SocketAddr> {
        let own = extensions.get::<Self>().map(|peer| peer.0);
        own.or_else(|| crate::adapt::peer(extensions))
    }
}

/// The socket address at this end of the connection, as an extension of a server's requests.
///
/// No library leaves it there by itself. The address that a listener is bound to is not it where
/// that is `0.0.0.0` or `::`, and is not taken for it.
///
/// ```
/// use std::net::SocketAddr;
/// use tower_otel_core::LocalAddr;
///
/// let here: SocketAddr = "192.0.2.80:8080".parse()?;
/// let request = http::Request::get("/").extension(LocalAddr(here)).body(())?;
/// assert_eq!(LocalAddr::of(request.extensions()), Some(here));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddr(pub SocketAddr);

impl LocalAddr {
    /// The address at this end, if somebody has left it.
    pub fn of(extensions: &Extensions) -> Option<SocketAddr> {
        let local = extensions.get::<Self>()?.0;
        Some(local).filter(|local| !local.ip().is_unspecified())
    }
}
