//! The attributes of spans, in one list that every span backend visits.
//!
//! An attribute takes a constant and a rule in `tower-otel-semconv`, a line here, and its key in the
//! list of [`tracing` fields](crate::backend::fields) if it is known when the span starts.

use std::net::IpAddr;

use tower_otel_core::Kind;
use tower_otel_semconv::{Endpoint, attribute, rpc};

use crate::{
    protocol::Protocol,
    request::{RequestAttributes, ResolvedAttributes},
};

/// Takes the attributes of a span one by one.
pub(crate) trait AttributeSink<'v> {
    /// A text.
    fn text(&mut self, key: &'static str, value: &'v str);

    /// A text that is likely to be the same in many requests.
    fn repeated_text(&mut self, key: &'static str, value: &'v str) {
        self.text(key, value);
    }

    /// A text that lives as long as the process.
    fn static_text(&mut self, key: &'static str, value: &'static str);

    /// A number.
    fn int(&mut self, key: &'static str, value: i64);

    /// An IP address.
    fn address(&mut self, key: &'static str, value: IpAddr);
}

/// Visits the attributes that are known when the span starts. Unknown ones are left out.
///
/// The attributes that the conventions want samplers to see come first.
#[inline]
pub(crate) fn visit<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    match (request.protocol(), request.kind()) {
        (Protocol::Http, Kind::Server) => http_server(request, resolved, sink),
        (Protocol::Http, Kind::Client) => http_client(request, resolved, sink),
        (Protocol::Grpc, _) => grpc(request, resolved, sink),
    }
}

#[inline]
fn http_server<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    method(request, sink);
    match resolved.name.static_route() {
        Some(route) => sink.static_text(attribute::HTTP_ROUTE, route),
        None => text(sink, attribute::HTTP_ROUTE, request.route()),
    }
    text(sink, attribute::URL_PATH, request.path());
    text(sink, attribute::URL_QUERY, resolved.query.as_deref());
    sink.static_text(attribute::URL_SCHEME, request.server_scheme());
    server(resolved, sink);
    if let Some(client) = request.client() {
        sink.address(attribute::CLIENT_ADDRESS, client.address);
    }
    peer(sink, request.peer());
    static_text(
        sink,
        attribute::NETWORK_PROTOCOL_VERSION,
        request.protocol_version(),
    );
    if let Some(agent) = request.user_agent() {
        sink.repeated_text(attribute::USER_AGENT_ORIGINAL, agent);
    }
    if request.has_optional_attributes() {
        optional(request, sink);
        int(sink, attribute::CLIENT_PORT, request.client_port());
        static_text(sink, attribute::NETWORK_TRANSPORT, request.transport());
        if let Some(local) = request.local() {
            sink.address(attribute::NETWORK_LOCAL_ADDRESS, local.address);
            int(sink, attribute::NETWORK_LOCAL_PORT, local.port);
        }
    }
}

#[inline]
fn http_client<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    method(request, sink);
    text(sink, attribute::URL_FULL, resolved.url.as_deref());
    server(resolved, sink);
    match resolved.name.static_route() {
        Some(template) => sink.static_text(attribute::URL_TEMPLATE, template),
        None => text(sink, attribute::URL_TEMPLATE, request.route()),
    }
    int(
        sink,
        attribute::HTTP_REQUEST_RESEND_COUNT,
        request.resend_count(),
    );
    if request.has_optional_attributes() {
        optional(request, sink);
        static_text(sink, attribute::URL_SCHEME, request.client_scheme());
        if let Some(agent) = request.user_agent() {
            sink.repeated_text(attribute::USER_AGENT_ORIGINAL, agent);
        }
    }
}

fn grpc<'v>(
    request: &'v RequestAttributes<'_, '_>,
    resolved: &'v ResolvedAttributes<'_>,
    sink: &mut impl AttributeSink<'v>,
) {
    sink.static_text(attribute::RPC_SYSTEM_NAME, rpc::SYSTEM);
    server(resolved, sink);
    if let Some(method) = request.rpc_method() {
        sink.repeated_text(attribute::RPC_METHOD, method);
    }
    text(
        sink,
        attribute::RPC_METHOD_ORIGINAL,
        request.rpc_method_original(),
    );
    peer(sink, request.peer());
}

/// Attributes of servers and clients that are recorded by an option, or for an unknown method.
#[cold]
fn optional<'v>(request: &'v RequestAttributes<'_, '_>, sink: &mut impl AttributeSink<'v>) {
    text(
        sink,
        attribute::HTTP_REQUEST_METHOD_ORIGINAL,
        request.method_original(),
    );
    int(sink, attribute::HTTP_REQUEST_BODY_SIZE, request.body_size());
    static_text(
        sink,
        attribute::USER_AGENT_SYNTHETIC_TYPE,
        request.synthetic_type(),
    );
}

#[inline]
fn method<'v>(request: &'v RequestAttributes<'_, '_>, sink: &mut impl AttributeSink<'v>) {
    match request.standard_method() {
        Some(method) => sink.static_text(attribute::HTTP_REQUEST_METHOD, method),
        None => sink.text(attribute::HTTP_REQUEST_METHOD, request.method()),
    }
}

#[inline]
fn server<'v>(resolved: &'v ResolvedAttributes<'_>, sink: &mut impl AttributeSink<'v>) {
    if let Some((host, port)) = &resolved.server {
        sink.repeated_text(attribute::SERVER_ADDRESS, host);
        int(sink, attribute::SERVER_PORT, *port);
    }
}

#[inline]
fn peer<'v>(sink: &mut impl AttributeSink<'v>, peer: Option<Endpoint>) {
    if let Some(peer) = peer {
        sink.address(attribute::NETWORK_PEER_ADDRESS, peer.address);
        int(sink, attribute::NETWORK_PEER_PORT, peer.port);
    }
}

#[inline]
fn text<'v>(sink: &mut impl AttributeSink<'v>, key: &'static str, value: Option<&'v str>) {
    if let Some(value) = value {
        sink.text(key, value);
    }
}

#[inline]
fn static_text<'v>(
    sink: &mut impl AttributeSink<'v>,
    key: &'static str,
    value: Option<&'static str>,
) {
    if let Some(value) = value {
        sink.static_text(key, value);
    }
}

#[inline]
fn int<'v>(sink: &mut impl AttributeSink<'v>, key: &'static str, value: Option<impl Into<i64>>) {
    if let Some(value) = value {
        sink.int(key, value.into());
    }
}
