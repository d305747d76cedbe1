//! Sampling, propagation and the scope of spans.

use axum::{Router, routing::any};
use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{
    backend::Backend,
    sampler::RecordingSampler,
    server::{Server, app, context, traceparent},
    table::{Int, Str, assert_attributes},
    telemetry::{SCOPE, TestTelemetry},
};
use tower_otel_core::Filter;
use tower_otel_trace::TraceLayer;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

use crate::everything;

#[tokio::test]
async fn samplers_get_the_name_and_the_attributes_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let server = Server::with_router(backend, telemetry, TraceLayer::server(), app()).await;
        server
            .span_of(
                "PURGE /users/7?sig=s3cr3t HTTP/1.1\nHost: api.example:8443\nUser-Agent: a browser",
            )
            .await;
        let inputs = sampler.inputs();
        let [input] = inputs.as_slice() else {
            panic!("one decision, not {inputs:#?}");
        };
        assert_eq!(input.name, "HTTP /users/{id}");
        assert_eq!(input.kind, SpanKind::Server);
        assert_attributes(
            &input.attributes,
            &[
                ("http.request.method", Str("_OTHER")),
                ("http.route", Str("/users/{id}")),
                ("url.path", Str("/users/7")),
                ("url.query", Str("sig=REDACTED")),
                ("url.scheme", Str("http")),
                ("server.address", Str("api.example")),
                ("server.port", Int(8443)),
                ("client.address", Str("127.0.0.1")),
                ("user_agent.original", Str("a browser")),
            ],
        );
    }
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Returns a request with a parent. Its response has the trace headers of outgoing requests.
fn request_with_parent(flags: &str) -> String {
    format!("GET /context HTTP/1.1\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\ntracestate: a=b")
}

#[tokio::test]
async fn a_span_is_a_child_of_the_traceparent_of_the_request() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.send(&request_with_parent("01")).await;
        let span = server.next_span().await;
        assert_eq!(
            span.span_context.trace_id(),
            TraceId::from_hex(TRACE).unwrap()
        );
        assert_eq!(span.parent_span_id, SpanId::from_hex(PARENT).unwrap());
        assert!(span.parent_span_is_remote);
        let own = format!("00-{TRACE}-{}-01", span.span_context.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
        assert!(head.contains("tracestate: a=b"), "{head}");
    }
}

#[tokio::test]
async fn an_unsampled_span_is_propagated() {
    for backend in Backend::ALL {
        for (sampler, flags) in [
            (Sampler::AlwaysOff, "01"),
            (Sampler::ParentBased(Box::new(Sampler::AlwaysOn)), "00"),
        ] {
            let telemetry = TestTelemetry::with_sampler_and_filter(sampler, LevelFilter::INFO);
            let server = Server::with_router(backend, telemetry, TraceLayer::server(), app()).await;
            let head = server.send(&request_with_parent(flags)).await;
            let header = traceparent(&head).expect("a traceparent is sent");
            assert!(header.starts_with(&format!("00-{TRACE}-")), "{header}");
            assert!(header.ends_with("-00"), "{header}");
            assert!(!header.contains(PARENT), "{header}");
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.telemetry.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_request_excluded_by_the_filter_propagates_its_parent() {
    for backend in Backend::ALL {
        for filter in [
            Filter::skip_paths(["/context"]),
            Filter::skip_routes(["/context"]),
            Filter::new(|_| false),
        ] {
            let layer = TraceLayer::server().filter(filter);
            let server = Server::start(backend, layer).await;
            let head = server.send(&request_with_parent("01")).await;
            let parent = format!("00-{TRACE}-{PARENT}-01");
            assert_eq!(traceparent(&head), Some(parent.as_str()));
            assert!(head.contains("tracestate: a=b"), "{head}");
            assert_eq!(server.telemetry.spans(), []);
        }
    }
}

#[tokio::test]
async fn a_span_disabled_by_a_tracing_filter_propagates_its_parent() {
    let hidden = || {
        filter_fn(|metadata| {
            metadata.target() != "tower_otel_trace" && *metadata.level() <= Level::INFO
        })
    };
    let telemetry = TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    let server =
        Server::with_router(Backend::Tracing, telemetry, TraceLayer::server(), app()).await;
    let head = server.send(&request_with_parent("01")).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(traceparent(&head), Some(parent.as_str()));
    assert!(head.contains("tracestate: a=b"), "{head}");
    assert_eq!(server.telemetry.spans(), []);

    // The tracer backend does not use tracing, so its span is recorded.
    let telemetry = TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    let server = Server::with_router(Backend::Tracer, telemetry, TraceLayer::server(), app()).await;
    server.send(&request_with_parent("01")).await;
    assert_eq!(server.next_span().await.name, "GET /context");
}

#[tokio::test]
async fn a_request_without_a_parent_starts_a_trace() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let head = server.send("GET /context HTTP/1.1").await;
        let span = server.next_span().await;
        assert_eq!(span.parent_span_id, SpanId::INVALID);
        let own = &span.span_context;
        let own = format!("00-{}-{}-01", own.trace_id(), own.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
    }
}

#[tokio::test]
async fn the_scope_has_a_name_a_version_and_the_schema() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        let scope = server.span_of("GET / HTTP/1.1").await.instrumentation_scope;
        let (name, version) = match backend {
            Backend::Tracer | Backend::Recorder => ("tower-otel-trace", "0.1.0"),
            // The scope of the application, as in the documentation.
            Backend::Tracing | Backend::TracingRecorder | Backend::TracingRecord => {
                (SCOPE, env!("CARGO_PKG_VERSION"))
            }
        };
        assert_eq!((scope.name(), scope.version()), (name, Some(version)));
        let schema = "https://opentelemetry.io/schemas/1.45.0";
        assert_eq!(scope.schema_url(), Some(schema));
    }
}

#[tokio::test]
async fn recorded_keys_are_exactly_those_of_the_conventions() {
    use std::collections::BTreeSet;
    use suite_tests::keys::{NOT_RECORDED, known_keys};

    let mut recorded = BTreeSet::new();
    for backend in Backend::ALL {
        let server = Server::with_connection_addresses(backend, everything()).await;
        // Unknown keys are found by `assert_valid_span`, which checks each span.
        for request in [
            "PURGE /users/7?a=b HTTP/1.1\nHost: a:81\nUser-Agent: Googlebot\nContent-Length: 1\n\nc",
            "GET /status/500 HTTP/1.1\nForwarded: for=\"192.0.2.1:4711\"",
        ] {
            let span = server.span_of(request).await;
            recorded.extend(
                span.attributes
                    .into_iter()
                    .map(|attribute| attribute.key.to_string()),
            );
        }
    }
    let missing: Vec<_> = known_keys(&SpanKind::Server)
        .iter()
        .filter(|key| !recorded.contains(**key))
        .collect();
    assert_eq!(missing, NOT_RECORDED.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_context_handler_has_no_context_without_a_layer() {
    // The tests above depend on this: without a layer, no trace headers are sent.
    let router = Router::new().route("/context", any(context));
    let server = Server::serve_router(Backend::Tracer, TestTelemetry::new(), router).await;
    let head = server.send(&request_with_parent("01")).await;
    assert_eq!(traceparent(&head), None);
}
