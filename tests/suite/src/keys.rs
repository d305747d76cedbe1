//! The attribute keys of the conventions, and checks that apply to every span.

use std::collections::BTreeSet;

use opentelemetry::{
    Array, KeyValue, Value,
    trace::{SpanKind, Status},
};
use opentelemetry_sdk::trace::SpanData;
use opentelemetry_semantic_conventions::attribute as published;
use tower_otel_trace::OptIn;

use crate::{backend::Backend, telemetry::SCOPE};

/// Checks the rules for every span: known keys, value types, status and scope.
pub fn assert_valid_span(span: &SpanData, backend: Backend) {
    let is_call = |attribute: &KeyValue| attribute.key.as_str() == published::RPC_SYSTEM_NAME;
    let known = match span.attributes.iter().any(is_call) {
        true => GRPC_KEYS,
        false => known_keys(&span.span_kind),
    };
    let mut seen = BTreeSet::new();
    for KeyValue { key, value, .. } in &span.attributes {
        let key = key.as_str();
        assert!(seen.insert(key), "{key} is duplicated");
        if let Some(header) = header_of(key) {
            assert_eq!(header, header.to_ascii_lowercase());
            assert!(
                matches!(value, Value::Array(Array::String(_))),
                "{key}: {value:?}"
            );
            continue;
        }
        if callsite_keys(backend).contains(&key) {
            continue;
        }
        assert!(
            known.contains(&key),
            "{key} is not in the conventions for {:?}",
            span.span_kind
        );
        let number = key.ends_with(".port")
            || key.ends_with(".size")
            || key == published::HTTP_RESPONSE_STATUS_CODE
            || key.ends_with("_count");
        match value {
            Value::I64(_) => assert!(number, "{key} is not a number: {value:?}"),
            Value::String(text) => {
                assert!(!number, "{key} is a number: {value:?}");
                assert!(
                    !text.as_str().is_empty(),
                    "{key} is empty instead of absent"
                );
            }
            other => panic!("{key}: {other:?}"),
        }
    }
    assert!(
        matches!(span.status, Status::Unset) || span.status == Status::error(""),
        "neither unset nor an error without a description: {:?}",
        span.status
    );
    assert_eq!(
        span.status != Status::Unset,
        seen.contains(published::ERROR_TYPE),
        "error.type is present exactly if the status is an error"
    );
    let scope = &span.instrumentation_scope;
    let name = match backend {
        // The scope that the application passes to the exporter of `tracing` spans.
        Backend::Tracing | Backend::TracingRecorder | Backend::TracingRecord => SCOPE,
        Backend::Tracer | Backend::Recorder => "tower-otel-trace",
    };
    assert_eq!(scope.name(), name);
    assert!(scope.version().is_some_and(|version| !version.is_empty()));
    assert_eq!(
        scope.schema_url(),
        Some("https://opentelemetry.io/schemas/1.45.0")
    );
}

/// Returns the header name of a key for a header or trailer.
fn header_of(key: &str) -> Option<&str> {
    [
        published::HTTP_REQUEST_HEADER,
        published::HTTP_RESPONSE_HEADER,
        "rpc.request.header",
        "rpc.response.header",
        "rpc.response.trailer",
    ]
    .iter()
    .find_map(|prefix| key.strip_prefix(prefix)?.strip_prefix('.'))
}

/// Returns the keys that the exporter of `tracing` spans adds to every span.
fn callsite_keys(backend: Backend) -> &'static [&'static str] {
    const RECORDER: &[&str] = &[
        published::CODE_FILE_PATH,
        published::CODE_LINE_NUMBER,
        "target",
    ];
    const TRACING_OPENTELEMETRY: &[&str] = &[
        published::CODE_FILE_PATH,
        published::CODE_LINE_NUMBER,
        published::THREAD_ID,
        published::THREAD_NAME,
        "code.module.name",
        "target",
        "busy_ns",
        "idle_ns",
    ];
    match backend {
        Backend::Tracing => TRACING_OPENTELEMETRY,
        Backend::TracingRecorder | Backend::TracingRecord => RECORDER,
        Backend::Tracer | Backend::Recorder => &[],
    }
}

/// All opt-in attributes.
pub const OPT_INS: [OptIn; 6] = [
    OptIn::ClientPort,
    OptIn::NetworkLocal,
    OptIn::NetworkTransport,
    OptIn::UrlScheme,
    OptIn::UserAgent,
    OptIn::UserAgentSynthetic,
];

/// Keys of the conventions that no option records. A layer does not know the size of a message with
/// its head, and the protocol is always `http`.
pub const NOT_RECORDED: [&str; 3] = [
    published::HTTP_REQUEST_SIZE,
    published::HTTP_RESPONSE_SIZE,
    published::NETWORK_PROTOCOL_NAME,
];

/// The keys of the conventions for the span of a gRPC call. The last one is the key of the status since
/// version 1.45.0.
pub const GRPC_KEYS: &[&str] = &[
    published::ERROR_TYPE,
    published::NETWORK_PEER_ADDRESS,
    published::NETWORK_PEER_PORT,
    published::RPC_METHOD,
    published::RPC_METHOD_ORIGINAL,
    published::RPC_RESPONSE_STATUS_CODE,
    published::RPC_SYSTEM_NAME,
    published::SERVER_ADDRESS,
    published::SERVER_PORT,
    "rpc.status_code",
];

/// Returns the keys of the conventions for an HTTP span of this kind.
pub fn known_keys(kind: &SpanKind) -> &'static [&'static str] {
    match kind {
        SpanKind::Server => &[
            published::CLIENT_ADDRESS,
            published::CLIENT_PORT,
            published::ERROR_TYPE,
            published::HTTP_REQUEST_BODY_SIZE,
            published::HTTP_REQUEST_METHOD,
            published::HTTP_REQUEST_METHOD_ORIGINAL,
            published::HTTP_REQUEST_SIZE,
            published::HTTP_RESPONSE_BODY_SIZE,
            published::HTTP_RESPONSE_SIZE,
            published::HTTP_RESPONSE_STATUS_CODE,
            published::HTTP_ROUTE,
            published::NETWORK_LOCAL_ADDRESS,
            published::NETWORK_LOCAL_PORT,
            published::NETWORK_PEER_ADDRESS,
            published::NETWORK_PEER_PORT,
            published::NETWORK_PROTOCOL_NAME,
            published::NETWORK_PROTOCOL_VERSION,
            published::NETWORK_TRANSPORT,
            published::SERVER_ADDRESS,
            published::SERVER_PORT,
            published::URL_PATH,
            published::URL_QUERY,
            published::URL_SCHEME,
            published::USER_AGENT_ORIGINAL,
            published::USER_AGENT_SYNTHETIC_TYPE,
        ],
        SpanKind::Client => &[
            published::ERROR_TYPE,
            published::HTTP_REQUEST_BODY_SIZE,
            published::HTTP_REQUEST_METHOD,
            published::HTTP_REQUEST_METHOD_ORIGINAL,
            published::HTTP_REQUEST_RESEND_COUNT,
            published::HTTP_REQUEST_SIZE,
            published::HTTP_RESPONSE_BODY_SIZE,
            published::HTTP_RESPONSE_SIZE,
            published::HTTP_RESPONSE_STATUS_CODE,
            published::NETWORK_PEER_ADDRESS,
            published::NETWORK_PEER_PORT,
            published::NETWORK_PROTOCOL_NAME,
            published::NETWORK_PROTOCOL_VERSION,
            published::NETWORK_TRANSPORT,
            published::SERVER_ADDRESS,
            published::SERVER_PORT,
            published::URL_FULL,
            published::URL_SCHEME,
            published::URL_TEMPLATE,
            published::USER_AGENT_ORIGINAL,
            published::USER_AGENT_SYNTHETIC_TYPE,
        ],
        other => panic!("not an HTTP span: {other:?}"),
    }
}
