//! The `tracing` callsites of spans, and the fields that each declares.
//!
//! `tracing` drops values of fields that a span has not declared. Each list has the fields that are set later, then
//! `otel.name` and `otel.kind`, then the keys of [`attributes`](crate::attributes) in the order of the visit. A test
//! compares them.
//!
//! tracing-opentelemetry reserves memory for every declared field. So separate callsites declare the fields that need an
//! option.

use std::ptr;

use tower_otel_core::Kind as HttpKind;
use tower_otel_semconv::attribute::*;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing_core::{
    Kind, Level, Metadata,
    callsite::{DefaultCallsite, Identifier},
    field::FieldSet,
};

use crate::{protocol::Protocol, request::RequestAttributes};

/// The target of spans and events, for filters.
pub(crate) const TARGET: &str = "tower_otel_trace";

/// The fields that tracing-opentelemetry reads in addition to the attributes of a span.
pub(crate) mod otel {
    pub(crate) const NAME: &str = "otel.name";
    pub(crate) const KIND: &str = "otel.kind";
    pub(crate) const STATUS_CODE: &str = "otel.status_code";
}

/// The maximum number of fields of a callsite.
pub(crate) const MAX_FIELDS: usize = 28;

const HTTP_SERVER_FIELDS: &[&str] = &[
    HTTP_RESPONSE_STATUS_CODE,
    otel::STATUS_CODE,
    ERROR_TYPE,
    otel::NAME,
    otel::KIND,
    HTTP_REQUEST_METHOD,
    HTTP_ROUTE,
    URL_SCHEME,
    SERVER_ADDRESS,
    SERVER_PORT,
    NETWORK_PROTOCOL_VERSION,
    URL_PATH,
    URL_QUERY,
    CLIENT_ADDRESS,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    USER_AGENT_ORIGINAL,
];

const HTTP_SERVER_OPTIONAL_FIELDS: &[&str] = &[
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_REQUEST_BODY_SIZE,
    USER_AGENT_SYNTHETIC_TYPE,
    CLIENT_PORT,
    NETWORK_TRANSPORT,
    NETWORK_LOCAL_ADDRESS,
    NETWORK_LOCAL_PORT,
    HTTP_RESPONSE_BODY_SIZE,
];

const HTTP_SERVER_ALL_FIELDS: &[&str] = &join::<
    { HTTP_SERVER_FIELDS.len() + HTTP_SERVER_OPTIONAL_FIELDS.len() },
>(HTTP_SERVER_FIELDS, HTTP_SERVER_OPTIONAL_FIELDS);

const HTTP_CLIENT_FIELDS: &[&str] = &[
    HTTP_RESPONSE_STATUS_CODE,
    NETWORK_PROTOCOL_VERSION,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
    otel::STATUS_CODE,
    ERROR_TYPE,
    otel::NAME,
    otel::KIND,
    HTTP_REQUEST_METHOD,
    URL_FULL,
    SERVER_ADDRESS,
    SERVER_PORT,
    URL_TEMPLATE,
    HTTP_REQUEST_RESEND_COUNT,
];

const HTTP_CLIENT_OPTIONAL_FIELDS: &[&str] = &[
    HTTP_REQUEST_METHOD_ORIGINAL,
    HTTP_REQUEST_BODY_SIZE,
    USER_AGENT_SYNTHETIC_TYPE,
    URL_SCHEME,
    USER_AGENT_ORIGINAL,
    NETWORK_TRANSPORT,
    HTTP_RESPONSE_BODY_SIZE,
];

const HTTP_CLIENT_ALL_FIELDS: &[&str] = &join::<
    { HTTP_CLIENT_FIELDS.len() + HTTP_CLIENT_OPTIONAL_FIELDS.len() },
>(HTTP_CLIENT_FIELDS, HTTP_CLIENT_OPTIONAL_FIELDS);

const GRPC_FIELDS: &[&str] = &[
    otel::STATUS_CODE,
    ERROR_TYPE,
    RPC_RESPONSE_STATUS_CODE,
    RPC_STATUS_CODE,
    otel::NAME,
    otel::KIND,
    RPC_SYSTEM_NAME,
    SERVER_ADDRESS,
    SERVER_PORT,
    RPC_METHOD,
    RPC_METHOD_ORIGINAL,
    NETWORK_PEER_ADDRESS,
    NETWORK_PEER_PORT,
];

/// Joins two lists at compile time.
#[allow(
    clippy::indexing_slicing,
    reason = "out of bounds, it does not compile"
)]
const fn join<const N: usize>(
    first: &[&'static str],
    second: &[&'static str],
) -> [&'static str; N] {
    let mut joined = [""; N];
    let mut at = 0;
    while at < N {
        joined[at] = if at < first.len() {
            first[at]
        } else {
            second[at - first.len()]
        };
        at += 1;
    }
    joined
}

static HTTP_SERVER: DefaultCallsite = DefaultCallsite::new(&HTTP_SERVER_METADATA);
static HTTP_SERVER_METADATA: Metadata<'static> =
    metadata("HTTP server", HTTP_SERVER_FIELDS, &HTTP_SERVER);

static HTTP_SERVER_ALL: DefaultCallsite = DefaultCallsite::new(&HTTP_SERVER_ALL_METADATA);
static HTTP_SERVER_ALL_METADATA: Metadata<'static> =
    metadata("HTTP server", HTTP_SERVER_ALL_FIELDS, &HTTP_SERVER_ALL);

static HTTP_CLIENT: DefaultCallsite = DefaultCallsite::new(&HTTP_CLIENT_METADATA);
static HTTP_CLIENT_METADATA: Metadata<'static> =
    metadata("HTTP client", HTTP_CLIENT_FIELDS, &HTTP_CLIENT);

static HTTP_CLIENT_ALL: DefaultCallsite = DefaultCallsite::new(&HTTP_CLIENT_ALL_METADATA);
static HTTP_CLIENT_ALL_METADATA: Metadata<'static> =
    metadata("HTTP client", HTTP_CLIENT_ALL_FIELDS, &HTTP_CLIENT_ALL);

static GRPC: DefaultCallsite = DefaultCallsite::new(&GRPC_METADATA);
static GRPC_METADATA: Metadata<'static> = metadata("gRPC", GRPC_FIELDS, &GRPC);

const fn metadata(
    name: &'static str,
    fields: &'static [&'static str],
    callsite: &'static DefaultCallsite,
) -> Metadata<'static> {
    Metadata::new(
        name,
        TARGET,
        Level::INFO,
        Some(file!()),
        None,
        Some(module_path!()),
        FieldSet::new(fields, Identifier(callsite)),
        Kind::SPAN,
    )
}

/// A callsite, and the names of its fields.
#[derive(Debug)]
pub(crate) struct SpanCallsite {
    callsite: &'static DefaultCallsite,
    pub(crate) metadata: &'static Metadata<'static>,
    pub(crate) fields: &'static [&'static str],
    /// The number of fields before `otel.name`.
    pub(crate) late_fields: usize,
}

pub(super) const HTTP_SERVER_LATE_FIELDS: usize = 3;

/// The number of fields of a [default span of a server](SpanCallsite::is_default_server), and of the values of each type.
pub(super) const HTTP_SERVER_FIELD_COUNT: usize = HTTP_SERVER_FIELDS.len();
pub(super) const HTTP_SERVER_TEXTS: usize = 10;
pub(super) const HTTP_SERVER_INTS: usize = 2;
pub(super) const HTTP_SERVER_ADDRESSES: usize = 2;

/// The number of fields of a [default span of a client](SpanCallsite::is_default_client), and of the values of each type.
pub(super) const HTTP_CLIENT_FIELD_COUNT: usize = HTTP_CLIENT_FIELDS.len();
pub(super) const HTTP_CLIENT_TEXTS: usize = 6;
pub(super) const HTTP_CLIENT_INTS: usize = 2;

static GRPC_SPAN: SpanCallsite = SpanCallsite {
    callsite: &GRPC,
    metadata: &GRPC_METADATA,
    fields: GRPC_FIELDS,
    late_fields: 4,
};

static HTTP_SERVER_SPAN: SpanCallsite = SpanCallsite {
    callsite: &HTTP_SERVER,
    metadata: &HTTP_SERVER_METADATA,
    fields: HTTP_SERVER_FIELDS,
    late_fields: HTTP_SERVER_LATE_FIELDS,
};

static HTTP_SERVER_ALL_SPAN: SpanCallsite = SpanCallsite {
    callsite: &HTTP_SERVER_ALL,
    metadata: &HTTP_SERVER_ALL_METADATA,
    fields: HTTP_SERVER_ALL_FIELDS,
    late_fields: HTTP_SERVER_LATE_FIELDS,
};

static HTTP_CLIENT_SPAN: SpanCallsite = SpanCallsite {
    callsite: &HTTP_CLIENT,
    metadata: &HTTP_CLIENT_METADATA,
    fields: HTTP_CLIENT_FIELDS,
    late_fields: HTTP_CLIENT_LATE_FIELDS,
};

static HTTP_CLIENT_ALL_SPAN: SpanCallsite = SpanCallsite {
    callsite: &HTTP_CLIENT_ALL,
    metadata: &HTTP_CLIENT_ALL_METADATA,
    fields: HTTP_CLIENT_ALL_FIELDS,
    late_fields: HTTP_CLIENT_LATE_FIELDS,
};

pub(super) const HTTP_CLIENT_LATE_FIELDS: usize = 6;

impl SpanCallsite {
    /// Returns the callsite of a request's span.
    pub(crate) fn of(request: &RequestAttributes<'_, '_>) -> &'static Self {
        let has_optional = request.has_optional_attributes();
        match (request.protocol(), request.kind(), has_optional) {
            (Protocol::Grpc, _, _) => &GRPC_SPAN,
            (_, HttpKind::Server, false) => &HTTP_SERVER_SPAN,
            (_, HttpKind::Server, true) => &HTTP_SERVER_ALL_SPAN,
            (_, HttpKind::Client, false) => &HTTP_CLIENT_SPAN,
            (_, HttpKind::Client, true) => &HTTP_CLIENT_ALL_SPAN,
        }
    }

    /// Returns whether these are the fields of an HTTP server's span, without optional ones.
    #[inline]
    pub(super) fn is_default_server(&self) -> bool {
        ptr::eq(self.metadata, &raw const HTTP_SERVER_METADATA)
    }

    /// Returns whether these are the fields of an HTTP client's span, without optional ones.
    #[inline]
    pub(super) fn is_default_client(&self) -> bool {
        ptr::eq(self.metadata, &raw const HTTP_CLIENT_METADATA)
    }

    /// Returns whether the current subscriber records spans of this callsite.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        // As in the macros of `tracing`, for applications that disable levels at compile time.
        if STATIC_MAX_LEVEL < LevelFilter::INFO {
            return false;
        }
        let interest = self.callsite.interest();
        interest.is_always()
            || !interest.is_never()
                && tracing::dispatcher::get_default(|current| current.enabled(self.metadata))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use tower_otel_core::{LocalAddr, PeerAddr, RequestInfo};

    use super::{
        super::field_values::{MAX_ADDRESSES, MAX_INTS},
        *,
    };
    use crate::{
        attributes::{self, AttributeSink},
        opt_in::OptIn,
        state::Config,
    };

    /// Collects the keys in the order of the visit, and counts the values of each type.
    #[derive(Default)]
    struct Keys {
        keys: Vec<&'static str>,
        texts: usize,
        ints: usize,
        addresses: usize,
    }

    impl<'v> AttributeSink<'v> for Keys {
        fn text(&mut self, key: &'static str, _value: Option<&'v str>) {
            self.keys.push(key);
            self.texts += 1;
        }

        fn static_text(&mut self, key: &'static str, _value: Option<&'static str>) {
            self.keys.push(key);
            self.texts += 1;
        }

        fn int(&mut self, key: &'static str, _value: Option<i64>) {
            self.keys.push(key);
            self.ints += 1;
        }

        fn address(&mut self, key: &'static str, _value: Option<IpAddr>) {
            self.keys.push(key);
            self.addresses += 1;
        }
    }

    fn assert_fields_are_visited(kind: HttpKind, protocol: Protocol, has_optional: bool) {
        let mut config = Config::new(kind);
        config.grpc = (protocol == Protocol::Grpc).then_some(RPC_STATUS_CODE);
        if has_optional {
            config.body_sizes = true;
            config.opt_ins.add([OptIn::NetworkLocal, OptIn::UserAgent]);
        }
        let address = SocketAddr::from(([192, 0, 2, 7], 80));
        let mut request = http::Request::new(());
        request.extensions_mut().insert(PeerAddr(address));
        request.extensions_mut().insert(LocalAddr(address));
        let info = RequestInfo::new(&request);
        let request =
            RequestAttributes::new(&config, &info, protocol, info.route(kind, &config.http));
        let callsite = SpanCallsite::of(&request);
        let mut keys = Keys::default();
        attributes::visit(&request, &request.resolve(), &mut keys);

        let declared = callsite
            .fields
            .get(callsite.late_fields..)
            .unwrap_or_default();
        let expected = [&[otel::NAME, otel::KIND], &*keys.keys].concat();
        assert!(declared.starts_with(&expected), "{declared:?} {expected:?}");
        assert!(callsite.fields.len() <= MAX_FIELDS);
        assert!(keys.ints <= MAX_INTS && keys.addresses <= MAX_ADDRESSES);
        if callsite.is_default_server() {
            let texts = [otel::NAME, otel::KIND].len() + keys.texts;
            let counts = (texts, keys.ints, keys.addresses);
            assert_eq!(
                counts,
                (HTTP_SERVER_TEXTS, HTTP_SERVER_INTS, HTTP_SERVER_ADDRESSES)
            );
        }
        if callsite.is_default_client() {
            let texts = [otel::NAME, otel::KIND].len() + keys.texts;
            let counts = (texts, keys.ints, keys.addresses);
            assert_eq!(counts, (HTTP_CLIENT_TEXTS, HTTP_CLIENT_INTS, 0));
        }
    }

    #[test]
    fn the_fields_of_each_callsite_are_in_the_order_of_the_visit() {
        for kind in [HttpKind::Server, HttpKind::Client] {
            for has_optional in [false, true] {
                assert_fields_are_visited(kind, Protocol::Http, has_optional);
            }
            assert_fields_are_visited(kind, Protocol::Grpc, false);
        }
    }
}
