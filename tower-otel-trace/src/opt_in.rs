//! Attributes that an option records.

/// An opt-in attribute of the conventions, for [`TraceLayer::opt_in`].
///
/// [`TraceLayer::opt_in`]: crate::TraceLayer::opt_in
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptIn {
    /// `client.port` on a server: the port of `client.address`, if it is known.
    /// [Personal data](crate::TraceLayer::personal_data).
    ClientPort,
    /// `network.local.address` and `network.local.port` on a server: the local address of the connection, from
    /// a [`LocalAddr`](tower_otel_core::LocalAddr) in the extensions. With axum:
    ///
    /// ```
    /// use axum::{Router, extract::{ConnectInfo, Request, connect_info::Connected}};
    /// use axum::serve::IncomingStream;
    /// use tokio::net::TcpListener;
    /// use tower::util::MapRequestLayer;
    /// use tower_otel_trace::{LocalAddr, OptIn, PeerAddr, TraceLayer};
    ///
    /// #[derive(Clone)]
    /// struct Ends(PeerAddr, Option<LocalAddr>);
    ///
    /// impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    ///     fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
    ///         let local = stream.io().local_addr().ok();
    ///         Self(PeerAddr(*stream.remote_addr()), local.map(LocalAddr))
    ///     }
    /// }
    ///
    /// fn add_addresses(mut request: Request) -> Request {
    ///     let extensions = request.extensions_mut();
    ///     if let Some(ConnectInfo(Ends(peer, local))) = extensions.remove() {
    ///         extensions.insert(peer);
    ///         local.map(|local| extensions.insert(local));
    ///     }
    ///     request
    /// }
    ///
    /// let app: Router = Router::new()
    ///     .layer(TraceLayer::server().opt_in([OptIn::NetworkLocal]))
    ///     .layer(MapRequestLayer::new(add_addresses));
    /// let service = app.into_make_service_with_connect_info::<Ends>();
    /// ```
    NetworkLocal,
    /// `network.transport`: `udp` for HTTP/3, else `tcp`. Omitted if the address of the peer is
    /// not known, for example on a Unix socket.
    NetworkTransport,
    /// `url.scheme` on a client: `http`, `https`, `ws` or `wss`. A server always records it.
    UrlScheme,
    /// `user_agent.original` on a client, if the request has the header. A header that `reqwest::Client` adds later is not
    /// recorded. A server always records it.
    /// [Personal data](crate::TraceLayer::personal_data).
    UserAgent,
    /// `user_agent.synthetic.type`: `bot` or `test` for the
    /// [user agents](tower_otel_semconv::synthetic_type) that OpenTelemetry's other instrumentations
    /// recognize.
    UserAgentSynthetic,
}

/// A set of opt-in attributes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OptIns(u8);

impl OptIns {
    pub(crate) fn add(&mut self, attributes: impl IntoIterator<Item = OptIn>) {
        for attribute in attributes {
            self.0 |= Self::bit(attribute);
        }
    }

    pub(crate) const fn contains(self, attribute: OptIn) -> bool {
        self.0 & Self::bit(attribute) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn bit(attribute: OptIn) -> u8 {
        1 << attribute as u8
    }
}
