//! The client, scheme and host of a request that passed through proxies.

use std::borrow::Cow;

use crate::endpoint::Endpoint;

/// The client, scheme and host of a request that trusted proxies forwarded.
///
/// Returned by [`TrustedProxies::resolve`](crate::TrustedProxies::resolve). Default: all fields are `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded<'a> {
    /// The client: the first hop that is not a trusted proxy, or the peer if nothing is forwarded. If every hop is trusted,
    /// it is the farthest one.
    ///
    /// `None` if a trusted proxy hides the address, if the address is invalid, if both header families are read and their
    /// clients differ, or if the peer is unknown.
    pub client: Option<Endpoint>,
    /// The scheme of the client's request: `http`, `https`, `ws` or `wss`. `None` if no trusted proxy forwards one of these.
    pub proto: Option<&'static str>,
    /// The host of the client's request, as written. [`HostPort::parse`](crate::HostPort::parse) accepts it. `None` if no
    /// valid host is forwarded.
    pub host: Option<Cow<'a, str>>,
}
