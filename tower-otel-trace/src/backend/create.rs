//! Creates `tracing` spans with the attributes of requests.

use tower_otel_core::Kind;
use tracing::{Dispatch, Span, field::Value};

#[cfg(feature = "recorder-layer")]
use super::{field_values::address_value, repeated_fields::RepeatedFields};
use super::{
    field_values::{FieldValues, MAX_ADDRESSES, MAX_INTS},
    fields::{
        HTTP_CLIENT_FIELD_COUNT, HTTP_CLIENT_INTS, HTTP_CLIENT_LATE_FIELDS, HTTP_CLIENT_TEXTS,
        HTTP_SERVER_ADDRESSES, HTTP_SERVER_FIELD_COUNT, HTTP_SERVER_INTS, HTTP_SERVER_LATE_FIELDS,
        HTTP_SERVER_TEXTS, MAX_FIELDS, SpanCallsite, otel,
    },
};
use crate::{
    attributes::{self, AttributeSink},
    request::{RequestAttributes, ResolvedAttributes},
};

/// Creates the `tracing` span of a request, in the current context.
#[inline]
pub(super) fn resolved(
    request: &RequestAttributes<'_, '_>,
    resolved: &ResolvedAttributes<'_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    if callsite.is_default_server() {
        default_server(request, resolved, callsite, subscriber)
    } else if callsite.is_default_client() {
        default_client(request, resolved, callsite, subscriber)
    } else {
        other(request, resolved, callsite, subscriber)
    }
}

/// Creates a span whose attributes need no option, so that the place of each value is known at compile time.
#[inline(never)]
fn default_server(
    request: &RequestAttributes<'_, '_>,
    resolved: &ResolvedAttributes<'_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    let mut values =
        FieldValues::<HTTP_SERVER_TEXTS, HTTP_SERVER_INTS, HTTP_SERVER_ADDRESSES>::new();
    let mut fields: [Option<&dyn Value>; HTTP_SERVER_FIELD_COUNT] = Default::default();
    let known = fields.get_mut(HTTP_SERVER_LATE_FIELDS..);
    let mut sink = values.sink(known.unwrap_or_default());
    sink.text(otel::NAME, Some(resolved.name.as_str()));
    sink.static_text(otel::KIND, Some("server"));
    attributes::http_server_repeated(request, resolved, &mut sink);
    let query = resolved.query.as_deref();
    attributes::http_server_default(request, query, || request.user_agent(), &mut sink);
    let values = callsite.metadata.fields().value_set_all(&fields);
    Span::new_with(callsite.metadata, &values, subscriber)
}

/// Creates a client's span like [`default_server`].
#[inline(never)]
fn default_client(
    request: &RequestAttributes<'_, '_>,
    resolved: &ResolvedAttributes<'_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    let mut values = FieldValues::<HTTP_CLIENT_TEXTS, HTTP_CLIENT_INTS, 0>::new();
    let mut fields: [Option<&dyn Value>; HTTP_CLIENT_FIELD_COUNT] = Default::default();
    let known = fields.get_mut(HTTP_CLIENT_LATE_FIELDS..);
    let mut sink = values.sink(known.unwrap_or_default());
    sink.text(otel::NAME, Some(resolved.name.as_str()));
    sink.static_text(otel::KIND, Some("client"));
    attributes::http_client_default(request, resolved, &mut sink);
    let values = callsite.metadata.fields().value_set_all(&fields);
    Span::new_with(callsite.metadata, &values, subscriber)
}

#[inline(never)]
fn other(
    request: &RequestAttributes<'_, '_>,
    resolved: &ResolvedAttributes<'_>,
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    let mut values = FieldValues::<MAX_FIELDS, MAX_INTS, MAX_ADDRESSES>::new();
    let mut fields = [const { None }; MAX_FIELDS];
    let known = fields.get_mut(callsite.late_fields..);
    let mut sink = values.sink(known.unwrap_or_default());
    sink.text(otel::NAME, Some(resolved.name.as_str()));
    let kind = match request.kind() {
        Kind::Server => "server",
        Kind::Client => "client",
    };
    sink.static_text(otel::KIND, Some(kind));
    attributes::visit(request, resolved, &mut sink);
    let fields = fields.get(..callsite.fields.len()).unwrap_or_default();
    let values = callsite.metadata.fields().value_set_all(fields);
    Span::new_with(callsite.metadata, &values, subscriber)
}

/// Creates the span of a server's request from the fields that similar requests have in common.
#[cfg(feature = "recorder-layer")]
#[inline(always)]
pub(super) fn similar(
    request: &RequestAttributes<'_, '_>,
    repeated: &RepeatedFields,
    (query, user_agent): (Option<&str>, Option<&str>),
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    match callsite.is_default_server() {
        true => similar_default(request, repeated, (query, user_agent), callsite, subscriber),
        false => similar_optional(request, repeated, (query, user_agent), callsite, subscriber),
    }
}

/// Creates a span whose attributes need no option. The fields are in the order of
/// [`http_server_default`](attributes::http_server_default). The array is filled directly, because a sink stores
/// each value and then a reference to it.
#[cfg(feature = "recorder-layer")]
#[inline(never)]
fn similar_default(
    request: &RequestAttributes<'_, '_>,
    repeated: &RepeatedFields,
    (query, user_agent): (Option<&str>, Option<&str>),
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    let path = request.path();
    let (client, peer) = request.client_and_peer();
    let client_address = client.map(|client| address_value(client.address));
    let peer_address = peer.map(|peer| address_value(peer.address));
    let peer_port = peer.and_then(|peer| peer.port).map(i64::from);
    let [name, kind, method, route, scheme, server, port, version] = repeated.values();
    let fields: [Option<&dyn Value>; HTTP_SERVER_FIELD_COUNT] = [
        None,
        None,
        None,
        name,
        kind,
        method,
        route,
        scheme,
        server,
        port,
        version,
        Some(&path),
        Some(&query),
        Some(&client_address),
        Some(&peer_address),
        Some(&peer_port),
        Some(&user_agent),
    ];
    let values = callsite.metadata.fields().value_set_all(&fields);
    Span::new_with(callsite.metadata, &values, subscriber)
}

#[cfg(feature = "recorder-layer")]
#[cold]
fn similar_optional(
    request: &RequestAttributes<'_, '_>,
    repeated: &RepeatedFields,
    (query, user_agent): (Option<&str>, Option<&str>),
    callsite: &'static SpanCallsite,
    subscriber: &Dispatch,
) -> Span {
    let mut values = FieldValues::<MAX_FIELDS, MAX_INTS, MAX_ADDRESSES>::new();
    let mut fields = [const { None }; MAX_FIELDS];
    let known = fields.get_mut(callsite.late_fields..).unwrap_or_default();
    let repeated = repeated.values();
    if let Some((first, others)) = known.split_at_mut_checked(repeated.len()) {
        first.copy_from_slice(&repeated);
        let sink = &mut values.sink(others);
        attributes::http_server_own(request, query, || user_agent, sink);
    }
    let fields = fields.get(..callsite.fields.len()).unwrap_or_default();
    let values = callsite.metadata.fields().value_set_all(fields);
    Span::new_with(callsite.metadata, &values, subscriber)
}

#[cfg(all(test, feature = "recorder-layer"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{
        fmt::{Debug, Write},
        net::SocketAddr,
        sync::{Arc, Mutex},
    };

    use tower_otel_core::{LocalAddr, PeerAddr, RequestInfo, Route};
    use tracing::{
        Subscriber,
        field::{Field, Visit},
        span::{Attributes, Id},
    };
    use tracing_subscriber::{
        Layer,
        layer::{Context, SubscriberExt},
    };

    use super::*;
    use crate::{opt_in::OptIn, protocol::Protocol, state::Config};

    /// Writes the names and values of the fields of new spans, one field a line.
    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<String>>);

    struct FieldText<'a>(&'a mut String);

    impl<S: Subscriber> Layer<S> for Fields {
        fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
            attributes.record(&mut FieldText(&mut self.0.lock().unwrap()));
        }
    }

    impl Visit for FieldText<'_> {
        fn record_str(&mut self, field: &Field, value: &str) {
            writeln!(self.0, "{} text {value}", field.name()).unwrap();
        }

        fn record_i64(&mut self, field: &Field, value: i64) {
            writeln!(self.0, "{} integer {value}", field.name()).unwrap();
        }

        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            writeln!(self.0, "{} other {value:?}", field.name()).unwrap();
        }
    }

    fn fields_of(create: impl FnOnce(&Dispatch) -> Span) -> String {
        let fields = Fields::default();
        let subscriber = tracing_subscriber::registry().with(fields.clone());
        drop(create(&Dispatch::new(subscriber)));
        fields.0.lock().unwrap().clone()
    }

    /// Calls `check` with the attributes of a request that has all values.
    fn with_attributes(kind: Kind, has_optional: bool, check: impl Fn(&RequestAttributes<'_, '_>)) {
        let mut config = Config::new(kind);
        if has_optional {
            config.body_sizes = true;
            config.opt_ins.add([OptIn::NetworkLocal, OptIn::UserAgent]);
        }
        let address = SocketAddr::from(([192, 0, 2, 7], 80));
        let request = http::Request::get("http://shop.example:8080/users/7?page=2")
            .header("host", "shop.example:8080")
            .header("user-agent", "curl/8")
            .header("content-length", "3")
            .extension(PeerAddr(address))
            .extension(LocalAddr(address))
            .extension(Route::from("/users/{id}"));
        let request = request.body(()).unwrap();
        let info = RequestInfo::new(&request);
        let route = info.route(kind, &config.http);
        check(&RequestAttributes::new(
            &config,
            &info,
            Protocol::Http,
            route,
        ));
    }

    #[test]
    fn the_span_of_a_similar_request_has_the_same_fields() {
        for has_optional in [false, true] {
            with_attributes(Kind::Server, has_optional, |request| {
                let callsite = SpanCallsite::of(request);
                let resolved = request.resolve();
                let repeated = RepeatedFields::of(request, &resolved).unwrap();
                let first = fields_of(|subscriber| {
                    super::resolved(request, &resolved, callsite, subscriber)
                });
                let texts = (resolved.query.as_deref(), request.user_agent());
                let second = fields_of(|subscriber| {
                    similar(request, &repeated, texts, callsite, subscriber)
                });
                let known = if has_optional { 16 } else { 14 };
                assert!(first.lines().count() >= known, "{first}");
                assert_eq!(first, second);
            });
        }
    }

    #[test]
    fn a_default_client_span_has_the_same_fields_as_any_other_span() {
        with_attributes(Kind::Client, false, |request| {
            let callsite = SpanCallsite::of(request);
            let resolved = request.resolve();
            let default = fields_of(|subscriber| {
                assert!(callsite.is_default_client());
                super::resolved(request, &resolved, callsite, subscriber)
            });
            let any = fields_of(|subscriber| other(request, &resolved, callsite, subscriber));
            assert!(default.contains("url.full text"), "{default}");
            assert_eq!(default, any);
        });
    }
}
