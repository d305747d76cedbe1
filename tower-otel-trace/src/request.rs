//! The values of the attributes that are known when a span starts.

use std::{borrow::Cow, fmt};

#[cfg(feature = "recorder")]
use http::HeaderValue;
use tower_otel_core::{Attempts, Kind, LocalAddr, RequestInfo, Target};
use tower_otel_semconv::{self as semconv, Endpoint, protocol_version, rpc, span_name, transport};

#[cfg(feature = "recorder")]
use crate::template_key::TemplateKey;
use crate::{
    opt_in::OptIn,
    protocol::Protocol,
    span_name_cache,
    state::Config,
    text_limit::{cut, cut_string},
};

/// The values of a request's attributes, according to the configuration of the layer.
///
/// They are resolved when they are used, so that an unrecorded span does not resolve them. Unknown values are `None`,
/// never empty. Texts are cut at the [limit](crate::text_limit).
pub struct RequestAttributes<'r, 'a> {
    config: &'r Config,
    info: &'r RequestInfo<'a>,
    protocol: Protocol,
    route: Option<&'r str>,
    known_method: Option<&'a str>,
    /// The method, if it is both a standard one and known.
    standard_method: Option<&'static str>,
    resend_count: Option<u32>,
}

/// The name of a span, and attributes that are computed from the request.
#[derive(Debug)]
pub(crate) struct ResolvedAttributes<'v> {
    pub(crate) name: SpanName<'v>,
    /// The query, with sensitive values redacted.
    pub(crate) query: Option<Cow<'v, str>>,
    /// The URL, without credentials and with sensitive values redacted.
    pub(crate) url: Option<String>,
    /// The host and port of the server.
    pub(crate) server: Option<(Cow<'v, str>, Option<u16>)>,
}

/// The name of a span.
#[derive(Debug)]
pub(crate) enum SpanName<'v> {
    /// A static or cached name, and its route.
    Static(&'static str, Option<&'static str>),
    /// A name that is built for this span.
    Text(Cow<'v, str>),
}

impl SpanName<'_> {
    /// Returns the route, as a part of a cached name.
    pub(crate) const fn static_route(&self) -> Option<&'static str> {
        match self {
            Self::Static(_, route) => *route,
            Self::Text(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Static(name, _) => name,
            Self::Text(name) => name,
        }
    }

    pub(crate) fn into_cow(self) -> Cow<'static, str> {
        match self {
            Self::Static(name, _) => Cow::Borrowed(name),
            Self::Text(name) => Cow::Owned(name.into_owned()),
        }
    }
}

/// Omits the target, because its query may contain a secret.
impl fmt::Debug for RequestAttributes<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestAttributes")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl<'r, 'a> RequestAttributes<'r, 'a> {
    #[inline(always)]
    pub(crate) fn new(
        config: &'r Config,
        info: &'r RequestInfo<'a>,
        protocol: Protocol,
        route: Option<&'r str>,
    ) -> Self {
        let kind = config.kind;
        let resend_count = match kind {
            Kind::Server => None,
            Kind::Client => info.extensions().and_then(Attempts::begin),
        };
        let methods = config.http.methods();
        let standard_method = methods.standard_name(info.method());
        let known_method = match standard_method {
            Some(name) => Some(name),
            None => methods.name(info.method()),
        };
        Self {
            config,
            info,
            protocol,
            route: route.map(cut),
            known_method,
            standard_method,
            resend_count,
        }
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.config.kind
    }

    #[inline]
    fn target(&self) -> Target<'a> {
        self.info.target(self.config.kind)
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) const fn config(&self) -> &'r Config {
        self.config
    }

    /// Resolves the name and the attributes that are computed from the request.
    #[inline(always)]
    pub(crate) fn resolve(&self) -> ResolvedAttributes<'_> {
        self.resolve_with_span_name(self.name())
    }

    /// Resolves the attributes that are computed from the request.
    #[inline(always)]
    pub(crate) fn resolve_with_span_name<'v>(
        &'v self,
        name: SpanName<'v>,
    ) -> ResolvedAttributes<'v> {
        ResolvedAttributes {
            name,
            query: self.query(),
            url: self.url(),
            server: self.info.server(self.config.kind, &self.config.http),
        }
    }

    /// Returns the name of the span: `{method} {route}`, or `{method}` without a route. For a gRPC call, returns its
    /// method, or `grpc` if the path contains none.
    #[inline(always)]
    pub(crate) fn name(&self) -> SpanName<'_> {
        if self.protocol == Protocol::Grpc {
            return SpanName::Text(Cow::Borrowed(rpc::span_name(self.grpc_method())));
        }
        let Some((method, route)) = self.method_and_route() else {
            return match self.standard_method() {
                Some(method) => SpanName::Static(method, None),
                None => SpanName::Text(span_name(self.known_method, None)),
            };
        };
        match span_name_cache::get(&method, route) {
            Some(name) => SpanName::Static(name, name.get(method.len() + 1..)),
            None => SpanName::Text(span_name(self.known_method, Some(route))),
        }
    }

    /// Returns the parts of the name `{method} {route}`, or `None` for another name.
    #[inline(always)]
    pub(crate) fn method_and_route(&self) -> Option<(Cow<'a, str>, &str)> {
        let route = self.route().filter(|route| !route.is_empty())?;
        (self.protocol == Protocol::Http).then(|| (span_name(self.known_method, None), route))
    }

    /// Returns the method, if it is both a standard one and known.
    #[inline]
    pub(crate) const fn standard_method(&self) -> Option<&'static str> {
        self.standard_method
    }

    pub(crate) fn method(&self) -> &str {
        self.known_method.unwrap_or(semconv::OTHER)
    }

    pub(crate) fn method_original(&self) -> Option<&str> {
        match self.known_method {
            Some(_) => None,
            None => Some(cut(self.info.method().as_str())),
        }
    }

    #[inline]
    pub(crate) fn route(&self) -> Option<&str> {
        self.route
    }

    /// Returns the number of earlier attempts, or `None` for the first attempt.
    pub(crate) const fn resend_count(&self) -> Option<u32> {
        self.resend_count
    }

    #[inline]
    pub(crate) fn path(&self) -> Option<&str> {
        Some(cut(self.target().path)).filter(|path| !path.is_empty())
    }

    /// Returns the key of the span's template, or `None` if the span cannot have one.
    #[cfg(feature = "recorder")]
    #[inline(always)]
    pub(crate) fn template_key(&self) -> Option<TemplateKey<'_>> {
        if self.protocol == Protocol::Grpc || self.config.kind == Kind::Client {
            return None;
        }
        let target = self.target();
        if target.authority.is_some() || target.scheme.is_some() {
            return None;
        }
        let host = self.info.known_headers().host;
        Some(TemplateKey {
            method: self.standard_method?,
            route: self.route,
            scheme: self.config.http.untrusting_scheme()?,
            version: self.info.version(),
            host: host.map(HeaderValue::as_bytes).unwrap_or_default(),
        })
    }

    #[inline(always)]
    pub(crate) fn query(&self) -> Option<Cow<'_, str>> {
        if self.protocol == Protocol::Grpc || self.config.kind == Kind::Client {
            return None;
        }
        let query = self.target().query.filter(|query| !query.is_empty())?;
        Some(self.redacted(query))
    }

    #[inline(never)]
    fn redacted(&self, query: &'a str) -> Cow<'a, str> {
        match self.config.sensitive_keys.query(cut(query)) {
            Cow::Borrowed(query) => Cow::Borrowed(query),
            Cow::Owned(redacted) => Cow::Owned(cut_string(redacted)),
        }
    }

    #[inline]
    pub(crate) fn server_scheme(&self) -> &'static str {
        self.info.server_scheme(&self.config.http)
    }

    /// Returns the scheme of a client's request, if it was opted in.
    pub(crate) fn client_scheme(&self) -> Option<&'static str> {
        let scheme = self
            .target()
            .scheme
            .filter(|_| self.is_opted_in(OptIn::UrlScheme));
        semconv::known_scheme(scheme?)
    }

    #[inline]
    pub(crate) fn url(&self) -> Option<String> {
        if self.protocol == Protocol::Grpc || self.config.kind == Kind::Server {
            return None;
        }
        let url = self.config.sensitive_keys.url(&self.target());
        url.map(cut_string)
    }

    /// Returns the client behind the trusted proxies.
    #[inline]
    pub(crate) fn client(&self) -> Option<Endpoint> {
        if !self.config.personal_data {
            return None;
        }
        self.info.client(&self.config.http)
    }

    /// Returns the client behind the trusted proxies, and the peer of a server's connection.
    #[inline(always)]
    pub(crate) fn client_and_peer(&self) -> (Option<Endpoint>, Option<Endpoint>) {
        if !self.config.personal_data {
            return (None, None);
        }
        let peer = self.info.peer();
        if peer.is_none() && self.config.http.untrusting_scheme().is_some() {
            return (None, None);
        }
        let client = self.info.client(&self.config.http);
        (client, peer.map(Endpoint::from))
    }

    pub(crate) fn client_port(&self) -> Option<u16> {
        self.client()
            .filter(|_| self.is_opted_in(OptIn::ClientPort))?
            .port
    }

    /// Returns the peer of a server's connection.
    #[inline]
    pub(crate) fn peer(&self) -> Option<Endpoint> {
        if self.config.kind == Kind::Client || !self.config.personal_data {
            return None;
        }
        self.info.peer().map(Endpoint::from)
    }

    /// Returns the local address of a server's connection.
    pub(crate) fn local(&self) -> Option<Endpoint> {
        let extensions = self.info.extensions();
        let extensions = extensions.filter(|_| self.is_opted_in(OptIn::NetworkLocal))?;
        LocalAddr::of(extensions).map(Endpoint::from)
    }

    /// Returns the transport of a server's connection. For a client it is known only with the response.
    pub(crate) fn transport(&self) -> Option<&'static str> {
        if !self.is_opted_in(OptIn::NetworkTransport) {
            return None;
        }
        self.info.peer()?;
        transport(self.info.version())
    }

    /// Returns the size of the request body, if it is recorded and known.
    pub(crate) fn body_size(&self) -> Option<i64> {
        if !self.config.body_sizes {
            return None;
        }
        i64::try_from(semconv::content_length(self.info.headers())?).ok()
    }

    #[inline]
    pub(crate) fn protocol_version(&self) -> Option<&'static str> {
        protocol_version(self.info.version())
    }

    #[inline(always)]
    pub(crate) fn user_agent(&self) -> Option<&str> {
        let is_recorded = match self.config.kind {
            Kind::Server => true,
            Kind::Client => self.is_opted_in(OptIn::UserAgent),
        };
        if !is_recorded || !self.config.personal_data {
            return None;
        }
        self.user_agent_header()
    }

    pub(crate) fn synthetic_type(&self) -> Option<&'static str> {
        if !self.is_opted_in(OptIn::UserAgentSynthetic) {
            return None;
        }
        semconv::synthetic_type(self.user_agent_header()?)
    }

    #[inline(always)]
    fn user_agent_header(&self) -> Option<&str> {
        let agent = self.info.known_headers().user_agent?;
        let agent = agent.to_str().ok().map(cut);
        agent.filter(|agent| !agent.is_empty())
    }

    /// Returns whether attributes are recorded that need an option or an unknown method.
    pub(crate) const fn has_optional_attributes(&self) -> bool {
        self.config.body_sizes || !self.config.opt_ins.is_empty() || self.known_method.is_none()
    }

    fn is_opted_in(&self, attribute: OptIn) -> bool {
        self.config.opt_ins.contains(attribute)
    }

    /// Returns the method of a gRPC call, if the path contains one.
    pub(crate) fn grpc_method(&self) -> Option<&str> {
        rpc::method(self.path()?)
    }

    /// Returns `rpc.method` if it is known at the start. On a client it is known. On a server it is not known until the
    /// response, because any client can send any path.
    pub(crate) fn rpc_method(&self) -> Option<&str> {
        match (self.grpc_method(), self.config.kind) {
            (None, _) => Some(semconv::OTHER),
            (Some(_), Kind::Server) => None,
            (method, Kind::Client) => method,
        }
    }

    /// Returns `rpc.method_original`, if the path contains no method.
    pub(crate) fn rpc_method_original(&self) -> Option<&str> {
        match self.grpc_method() {
            None => self.path().map(|path| path.trim_start_matches('/')),
            Some(_) => None,
        }
    }
}
