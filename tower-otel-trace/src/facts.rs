//! What is known of an exchange when it starts, by the rules of the conventions.

use std::{borrow::Cow, cell::OnceCell, fmt, net::IpAddr};

use http::{HeaderValue, header};
use tower_otel_core::{Attempts, Kind, LocalAddr, RequestHead, Route, Target};
use tower_otel_semconv::{
    self as semconv, Endpoint, Forwarded, content_length, protocol, rpc, span_name, synthetic_type,
};

use crate::{OptIn, config::Config, names};

/// Which conventions a span follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Grpc,
}

/// Attributes of a span at its start. What is not known is absent, never empty.
///
/// They are made when they are asked for, so that a backend pays for those it takes.
#[doc(hidden)]
pub struct Facts<'a> {
    config: &'a Config,
    request: &'a dyn RequestHead,
    protocol: Protocol,
    target: Target<'a>,
    route: Option<&'a Route>,
    peer: Option<Endpoint>,
    forwarded: Forwarded<'a>,
    resend_count: Option<u32>,
    // The one that is known, of those of the request.
    method: Option<&'a str>,
    kept: OnceCell<Option<(&'static str, Option<&'static str>)>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(
        config: &'a Config,
        request: &'a dyn RequestHead,
        protocol: Protocol,
        route: Option<&'a Route>,
    ) -> Self {
        let (peer, forwarded, resend_count) = match config.kind {
            Kind::Server => {
                let peer = request.peer().map(Endpoint::from);
                let forwarded = config.proxies.resolve(request.headers(), peer);
                (peer, forwarded, None)
            }
            Kind::Client => {
                let attempts = request.extensions().and_then(Attempts::begin);
                (None, Forwarded::default(), attempts)
            }
        };
        Self {
            config,
            request,
            protocol,
            target: match config.kind {
                Kind::Server => tower_otel_core::received_target(request),
                Kind::Client => request.target(),
            },
            route,
            peer,
            forwarded,
            resend_count,
            method: config.methods.name(request.method()),
            kept: OnceCell::new(),
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.config.kind
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) const fn config(&self) -> &Config {
        self.config
    }

    /// `{method} {route}`, or as much of it as there is; of a gRPC call its method.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self.protocol {
            Protocol::Http => match self.kept_name() {
                Some(name) => Cow::Borrowed(name),
                None => span_name(self.method, self.route()),
            },
            Protocol::Grpc => Cow::Borrowed(rpc::span_name(self.called())),
        }
    }

    /// The name, if it need not be made for this span alone.
    pub(crate) fn kept_name(&self) -> Option<&'static str> {
        self.kept().map(|(name, _)| name)
    }

    /// The route, as a part of the name that is kept.
    pub(crate) fn kept_route(&self) -> Option<&'static str> {
        self.kept()?.1
    }

    /// The name, and the route in it.
    fn kept(&self) -> Option<(&'static str, Option<&'static str>)> {
        *self.kept.get_or_init(|| {
            let route = self.route().filter(|route| !route.is_empty());
            match (self.protocol, route) {
                (Protocol::Http, Some(route)) => {
                    let method = span_name(self.method, None);
                    let name = names::kept(&method, route)?;
                    Some((name, name.get(method.len() + 1..)))
                }
                (Protocol::Http, None) => Some((self.standard_method()?, None)),
                (Protocol::Grpc, _) => None,
            }
        })
    }

    /// The name of a gRPC call, which is not made of attributes.
    #[cfg(feature = "record")]
    pub(crate) fn called_name(&self) -> Option<&str> {
        (self.protocol == Protocol::Grpc).then(|| rpc::span_name(self.called()))
    }

    /// The method, if it is one of RFC 9110 and its companions, and known here.
    pub(crate) fn standard_method(&self) -> Option<&'static str> {
        self.method?;
        semconv::standard_method(self.request.method())
    }

    pub(crate) fn method(&self) -> &str {
        self.method.unwrap_or(semconv::OTHER)
    }

    pub(crate) fn method_original(&self) -> Option<&str> {
        match self.method {
            Some(_) => None,
            None => Some(self.request.method().as_str()),
        }
    }

    pub(crate) fn route(&self) -> Option<&str> {
        self.route.map(Route::as_str)
    }

    /// How many attempts there were before this one, if any.
    pub(crate) fn resend_count(&self) -> Option<u32> {
        self.resend_count
    }

    pub(crate) fn path(&self) -> Option<&str> {
        Some(self.target.path).filter(|path| !path.is_empty())
    }

    pub(crate) fn query(&self) -> Option<Cow<'_, str>> {
        let query = self.target.query.filter(|query| !query.is_empty())?;
        Some(self.config.sensitive.query(query))
    }

    pub(crate) fn scheme(&self) -> &'static str {
        let connection = self.config.https.then_some("https");
        semconv::server_scheme(&self.forwarded, connection, &self.target)
    }

    /// `url.scheme` of a client, whose URL says it too.
    pub(crate) fn client_scheme(&self) -> Option<&'static str> {
        let scheme = self.target.scheme.filter(|_| self.wants(OptIn::UrlScheme));
        semconv::known_scheme(scheme?)
    }

    /// `url.full`, without credentials.
    pub(crate) fn url(&self) -> Option<String> {
        self.config.sensitive.url(&self.target)
    }

    /// What names the server, before it is read, and the scheme whose port is meant where none is
    /// written. A server is not told what its client dialled.
    pub(crate) fn server_text(&self) -> Option<(&[u8], Option<&str>)> {
        let headers = self.request.headers();
        match self.config.kind {
            Kind::Server => {
                let text = semconv::server::named_on_server(&self.forwarded, &self.target, headers);
                text.map(|text| (text, None))
            }
            Kind::Client => {
                let text = semconv::server::named_on_client(&self.target, headers);
                text.map(|text| (text, self.target.scheme))
            }
        }
    }

    /// Who asked, behind the proxies that are trusted.
    fn client(&self) -> Option<Endpoint> {
        self.forwarded.client.filter(|_| self.config.personal_data)
    }

    pub(crate) fn client_address(&self) -> Option<IpAddr> {
        self.client().map(|client| client.address)
    }

    pub(crate) fn client_port(&self) -> Option<u16> {
        self.client()
            .filter(|_| self.wants(OptIn::ClientPort))?
            .port
    }

    /// The other end of the connection.
    pub(crate) fn peer(&self) -> Option<Endpoint> {
        self.peer.filter(|_| self.config.personal_data)
    }

    /// This end of the connection.
    pub(crate) fn local(&self) -> Option<Endpoint> {
        let extensions = self.request.extensions();
        let extensions = extensions.filter(|_| self.wants(OptIn::NetworkLocal))?;
        LocalAddr::of(extensions).map(Endpoint::from)
    }

    /// What the connection of a server's peer is made of. A client learns that with the response.
    pub(crate) fn transport(&self) -> Option<&'static str> {
        self.peer.filter(|_| self.wants(OptIn::NetworkTransport))?;
        protocol::transport(self.request.version())
    }

    /// The size of the request's body, if that is asked for and known.
    pub(crate) fn body_size(&self) -> Option<i64> {
        if !self.config.body_sizes {
            return None;
        }
        i64::try_from(content_length(self.request.headers())?).ok()
    }

    pub(crate) fn protocol_version(&self) -> Option<&'static str> {
        protocol::version(self.request.version())
    }

    pub(crate) fn user_agent(&self) -> Option<&str> {
        self.user_agent_header()?.to_str().ok()
    }

    /// The same, where it is not known yet whether it is text.
    pub(crate) fn user_agent_header(&self) -> Option<&HeaderValue> {
        let wanted = match self.config.kind {
            Kind::Server => true,
            Kind::Client => self.wants(OptIn::UserAgent),
        };
        (wanted && self.config.personal_data)
            .then(|| self.agent())
            .flatten()
    }

    pub(crate) fn synthetic_type(&self) -> Option<&'static str> {
        if !self.wants(OptIn::UserAgentSynthetic) {
            return None;
        }
        synthetic_type(self.agent()?.to_str().ok()?)
    }

    fn agent(&self) -> Option<&HeaderValue> {
        let agent = self.request.headers().get(header::USER_AGENT)?;
        Some(agent).filter(|agent| !agent.is_empty())
    }

    /// Whether there may be attributes that are recorded only where somebody asked for them, or of
    /// a method that is not known.
    pub(crate) fn has_rare_ones(&self) -> bool {
        self.config.body_sizes || !self.config.opt_ins.is_empty() || self.method.is_none()
    }

    fn wants(&self, attribute: OptIn) -> bool {
        self.config.opt_ins.has(attribute)
    }
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}
