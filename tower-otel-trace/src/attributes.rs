//! The list of span attributes. Every span backend visits it.
//!
//! A new attribute needs a constant and a rule in `tower-otel-semconv`, and a line here. If it is known when the span starts,
//! its key is also in the list of [`tracing` fields](crate::backend::fields).

use std::net::IpAddr;

use tower_otel_core::Kind;
use tower_otel_semconv::{Endpoint, attribute, rpc};

use crate::{
    protocol::Protocol,
    request::{RequestAttributes, ResolvedAttributes},
};

/// Receives the attributes of a span one by one. It is called for every attribute of the list in the same
/// order, with `None` for an unknown value.
pub(crate) trait AttributeSink<'v> {
    /// Adds a text attribute.
    fn text(&mut self, key: &'static str, value: Option<&'v str>);

    /// Adds a text that is often the same in many requests.
    #[inline]
    fn repeated_text(&mut self, key: &'static str, value: Option<&'v str>) {
        self.text(key, value);
    }

    /// Adds a static text.
    fn static_text(&mut self, key: &'static str, value: Option<&'static str>);

    /// Adds an integer attribute.
    fn int(&mut self, key: &'static str, value: Option<i64>);

    /// Adds an IP address.
    fn address(&mut self, key: &'static str, value: Option<IpAddr>);
}

/// Visits the attributes that are known when the span starts.
///
/// The attributes that the conventions require for samplers come first.
#[inline(always)]
pub(crate) fn visit<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    match (request.protocol(), request.kind()) {
        (Protocol::Http, Kind::Server) => {
            http_server_repeated(request, resolved, sink);
            let user_agent = || request.user_agent();
            http_server_own(request, resolved.query.as_deref(), user_agent, sink);
        }
        (Protocol::Http, Kind::Client) => http_client(request, resolved, sink),
        (Protocol::Grpc, _) => grpc(request, resolved, sink),
    }
}

/// Visits the attributes that requests of one route have in common.
#[inline(always)]
pub(crate) fn http_server_repeated<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    method(request, sink);
    match resolved.name.static_route() {
        Some(route) => sink.static_text(attribute::HTTP_ROUTE, Some(route)),
        None => sink.text(attribute::HTTP_ROUTE, request.route()),
    }
    sink.static_text(attribute::URL_SCHEME, Some(request.server_scheme()));
    server(resolved, sink);
    sink.static_text(
        attribute::NETWORK_PROTOCOL_VERSION,
        request.protocol_version(),
    );
}

/// Visits the attributes that may differ for each request.
#[inline(always)]
pub(crate) fn http_server_own<'v>(
    request: &'v RequestAttributes<'_, '_>,
    query: Option<&'v str>,
    user_agent: impl FnOnce() -> Option<&'v str>,
    sink: &mut impl AttributeSink<'v>,
) {
    http_server_default(request, query, user_agent, sink);
    if request.has_optional_attributes() {
        http_server_optional(request, sink);
    }
}

/// Visits the attributes that may differ for each request and need no option.
#[inline(always)]
pub(crate) fn http_server_default<'v>(
    request: &'v RequestAttributes<'_, '_>,
    query: Option<&'v str>,
    user_agent: impl FnOnce() -> Option<&'v str>,
    sink: &mut impl AttributeSink<'v>,
) {
    sink.text(attribute::URL_PATH, request.path());
    sink.text(attribute::URL_QUERY, query);
    let (client, peer_of_connection) = request.client_and_peer();
    sink.address(
        attribute::CLIENT_ADDRESS,
        client.map(|client| client.address),
    );
    peer(sink, peer_of_connection);
    sink.repeated_text(attribute::USER_AGENT_ORIGINAL, user_agent());
}

/// Visits the attributes that need an option, or an unknown method.
#[cold]
fn http_server_optional<'v>(
    request: &'v RequestAttributes<'_, '_>,
    sink: &mut impl AttributeSink<'v>,
) {
    optional(request, sink);
    sink.int(attribute::CLIENT_PORT, request.client_port().map(i64::from));
    sink.static_text(attribute::NETWORK_TRANSPORT, request.transport());
    let local = request.local();
    let address = local.map(|local| local.address);
    sink.address(attribute::NETWORK_LOCAL_ADDRESS, address);
    let port = local.and_then(|local| local.port);
    sink.int(attribute::NETWORK_LOCAL_PORT, port.map(i64::from));
}

#[inline]
fn http_client<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    http_client_default(request, resolved, sink);
    if request.has_optional_attributes() {
        optional(request, sink);
        sink.static_text(attribute::URL_SCHEME, request.client_scheme());
        sink.repeated_text(attribute::USER_AGENT_ORIGINAL, request.user_agent());
    }
}

/// Visits the attributes of a client's request that need no option.
#[inline(always)]
pub(crate) fn http_client_default<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    method(request, sink);
    sink.text(attribute::URL_FULL, resolved.url.as_deref());
    server(resolved, sink);
    match resolved.name.static_route() {
        Some(template) => sink.static_text(attribute::URL_TEMPLATE, Some(template)),
        None => sink.text(attribute::URL_TEMPLATE, request.route()),
    }
    sink.int(
        attribute::HTTP_REQUEST_RESEND_COUNT,
        request.resend_count().map(i64::from),
    );
}

fn grpc<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    sink.static_text(attribute::RPC_SYSTEM_NAME, Some(rpc::SYSTEM));
    server(resolved, sink);
    sink.repeated_text(attribute::RPC_METHOD, request.rpc_method());
    sink.text(
        attribute::RPC_METHOD_ORIGINAL,
        request.rpc_method_original(),
    );
    peer(sink, request.peer());
}

/// Visits the optional attributes that servers and clients have in common.
#[cold]
fn optional<'v>(request: &'v RequestAttributes<'_, '_>, sink: &mut impl AttributeSink<'v>) {
    sink.text(
        attribute::HTTP_REQUEST_METHOD_ORIGINAL,
        request.method_original(),
    );
    sink.int(attribute::HTTP_REQUEST_BODY_SIZE, request.body_size());
    sink.static_text(
        attribute::USER_AGENT_SYNTHETIC_TYPE,
        request.synthetic_type(),
    );
}

#[inline(always)]
fn method<'v>(request: &'v RequestAttributes<'_, '_>, sink: &mut impl AttributeSink<'v>) {
    match request.standard_method() {
        Some(method) => sink.static_text(attribute::HTTP_REQUEST_METHOD, Some(method)),
        None => sink.text(attribute::HTTP_REQUEST_METHOD, Some(request.method())),
    }
}

#[inline(always)]
fn server<'v>(resolved: &'v ResolvedAttributes<'_>, sink: &mut impl AttributeSink<'v>) {
    let server = resolved.server.as_ref();
    sink.repeated_text(attribute::SERVER_ADDRESS, server.map(|(host, _)| &**host));
    let port = server.and_then(|(_, port)| *port);
    sink.int(attribute::SERVER_PORT, port.map(i64::from));
}

#[inline(always)]
fn peer<'v>(sink: &mut impl AttributeSink<'v>, peer: Option<Endpoint>) {
    let address = peer.map(|peer| peer.address);
    sink.address(attribute::NETWORK_PEER_ADDRESS, address);
    let port = peer.and_then(|peer| peer.port);
    sink.int(attribute::NETWORK_PEER_PORT, port.map(i64::from));
}
