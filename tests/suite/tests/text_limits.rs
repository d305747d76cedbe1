//! Texts that clients send: every span backend records at most 4096 characters of each text.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::convert::Infallible;

use http::{HeaderName, Method, Request, Response, Version};
use opentelemetry::{Array, Value, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    telemetry::{TestTelemetry, text},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::Route;
use tower_otel_trace::{OptIn, RemoteParent, TraceLayer};

/// The maximum number of recorded characters of a text.
const LIMIT: usize = 4096;

/// A number of characters that is larger than the limit.
const LONG: usize = 25_000;

fn header() -> HeaderName {
    HeaderName::from_static("x-tenant")
}

/// Returns the span of a request, which is served with a long header.
async fn span_of(backend: Backend, layer: TraceLayer, request: Request<String>) -> SpanData {
    let telemetry = TestTelemetry::new();
    let layer = layer
        .capture_request_headers([header()])
        .capture_response_headers([header()])
        .opt_in([OptIn::UserAgent, OptIn::UserAgentSynthetic]);
    let layer = backend.layer(telemetry.source(), layer);
    let service = layer.layer(service_fn(async |_: Request<String>| {
        let response = Response::builder().header(header(), "r".repeat(LONG));
        Ok::<_, Infallible>(response.body(String::new()).unwrap())
    }));
    drop(service.oneshot(request).await.unwrap());
    let mut spans = telemetry.spans();
    assert_eq!(spans.len(), 1);
    spans.remove(0)
}

/// Returns a request whose parts are long. It has several lines of one header.
fn request(method: &str, target: &str) -> Request<String> {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(target)
        .header("user-agent", format!("Googlebot {}", "u".repeat(LONG)));
    for _ in 0..20 {
        request = request.header(header(), "h".repeat(LIMIT / 4));
    }
    request.body(String::new()).unwrap()
}

fn count(text: &str) -> usize {
    text.chars().count()
}

/// Returns the number of characters of a value.
fn characters(value: &Value) -> usize {
    match value {
        Value::Array(Array::String(texts)) => texts.iter().map(|text| count(text.as_str())).sum(),
        value => count(&value.as_str()),
    }
}

/// Checks that no text is longer than the limit, and that the texts of the keys `cut` have the length of the limit.
fn assert_cut(span: &SpanData, cut: &[&str], case: &str) {
    for attribute in &span.attributes {
        let (key, length) = (attribute.key.as_str(), characters(&attribute.value));
        assert!(length <= LIMIT, "{key} of {case} has {length} characters");
        assert!(
            length == LIMIT || !cut.contains(&key),
            "{key} of {case}: {length}"
        );
    }
    for key in cut {
        let mut keys = span
            .attributes
            .iter()
            .map(|attribute| attribute.key.as_str());
        assert!(
            keys.any(|other| other == *key),
            "{case} has no {key}: {span:#?}"
        );
    }
    // The name has a method before its route.
    assert!(count(&span.name) <= LIMIT + 16, "the name of {case}");
}

const HEADERS: [&str; 2] = [
    "http.request.header.x-tenant",
    "http.response.header.x-tenant",
];

#[tokio::test]
async fn a_server_records_4096_characters_of_each_text() {
    let path = format!("/{}", "p".repeat(LONG));
    let (method, query) = ("X".repeat(LONG), "a=b&sig=secret&".repeat(LONG / 16));
    // The host is short: these tests cover the other parts of a request.
    let target = format!("http://api.example{path}?{query}");
    for backend in Backend::ALL {
        let case = format!("{backend:?}");
        let span = span_of(backend, TraceLayer::server(), request(&method, &target)).await;
        let cut = [
            "http.request.method_original",
            "url.path",
            "url.query",
            "user_agent.original",
        ];
        assert_cut(&span, &[&cut[..], &HEADERS].concat(), &case);
        assert_eq!(
            text(&span, "user_agent.synthetic.type").as_deref(),
            Some("bot")
        );
        let query = text(&span, "url.query").unwrap();
        assert!(
            query.starts_with("a=b&sig=REDACTED&") && !query.contains("secret"),
            "{case}"
        );

        let layer = TraceLayer::server()
            .route(|request| Some(Route::from(request.target().path.to_owned())));
        let span = span_of(backend, layer, request("GET", &target)).await;
        assert_cut(&span, &["http.route"], &case);
    }
}

#[tokio::test]
async fn a_client_records_4096_characters_of_each_text() {
    let target = format!("https://api.example/{}?sig=secret", "p".repeat(LONG));
    for backend in Backend::ALL {
        let case = format!("{backend:?}");
        let mut request = request("GET", &target);
        let route = Route::from(target.clone());
        request.extensions_mut().insert(route);
        let span = span_of(backend, TraceLayer::client(), request).await;
        let cut = ["url.full", "url.template", "user_agent.original"];
        assert_cut(&span, &[&cut[..], &HEADERS].concat(), &case);
    }
}

#[tokio::test]
async fn a_grpc_call_records_4096_characters_of_each_text() {
    let method = format!("/shop.Cart/{}", "m".repeat(LONG));
    let other = format!("/{}", "m".repeat(LONG));
    for backend in Backend::ALL {
        for kind in [SpanKind::Server, SpanKind::Client] {
            for (target, key) in [(&method, "rpc.method"), (&other, "rpc.method_original")] {
                let case = format!("{backend:?}, {kind:?}, {key}");
                let layer = match kind {
                    SpanKind::Server => TraceLayer::server(),
                    _ => TraceLayer::client(),
                };
                let mut request = request("POST", &format!("http://api.example{target}"));
                *request.version_mut() = Version::HTTP_2;
                let headers = request.headers_mut();
                headers.insert("content-type", "application/grpc".parse().unwrap());
                let span = span_of(backend, layer.grpc(), request).await;
                let length = text(&span, key).map(|text| count(&text));
                assert!(
                    length.is_some_and(|length| length >= LIMIT - 1),
                    "{case}: {length:?}"
                );
                assert_cut(&span, &[], &case);
            }
        }
    }
}

#[tokio::test]
async fn a_text_is_cut_between_characters() {
    let path = format!("/{}", "\u{e9}".repeat(LIMIT));
    let expected: String = path.chars().take(LIMIT).collect();
    for backend in Backend::ALL {
        let span = span_of(backend, TraceLayer::server(), request("GET", &path)).await;
        assert_eq!(
            text(&span, "url.path").as_deref(),
            Some(&*expected),
            "{backend:?}"
        );
    }
}

#[tokio::test]
async fn a_span_and_a_link_have_512_characters_of_a_tracestate() {
    let members = (10..42).map(|n| format!("k{n}={}", "v".repeat(256)));
    let state = members.collect::<Vec<_>>().join(",");
    let expected = format!("k10={}", "v".repeat(256));
    for backend in Backend::ALL {
        for links in [false, true] {
            let mut request = request("GET", "/");
            let headers = request.headers_mut();
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            headers.insert("traceparent", parent.parse().unwrap());
            headers.insert("tracestate", state.parse().unwrap());
            let layer = TraceLayer::server().remote_parent(move |_| match links {
                true => RemoteParent::Link,
                false => RemoteParent::Continue,
            });
            let span = span_of(backend, layer, request).await;
            let context = match links {
                true => &span.links.links[0].span_context,
                false => &span.span_context,
            };
            assert_eq!(context.trace_state().header(), expected, "{backend:?}");
        }
    }
}
