//! The option that adds the ids of the server span to the response.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use axum::{Router, response::IntoResponse, routing::get};
use http::StatusCode;
use opentelemetry_sdk::trace::{Sampler, SpanData};
use suite_tests::{
    backend::Backend,
    server::{Server, send_raw},
    telemetry::TestTelemetry,
};
use tower_otel_core::{Filter, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::RemoteParent;
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::LevelFilter;

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

async fn timed() -> impl IntoResponse {
    [("server-timing", "db;dur=53")]
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "ok" }))
        .route("/timed", get(timed))
        .route(
            "/fails",
            get(|| async { StatusCode::INTERNAL_SERVER_ERROR }),
        )
        .route("/empty", get(|| async { StatusCode::NO_CONTENT }))
}

async fn serve(backend: Backend, layer: TraceLayer) -> Server {
    Server::with_router(backend, TestTelemetry::new(), layer, router()).await
}

/// Returns the values of `Server-Timing` in a head.
fn timings(head: &str) -> Vec<&str> {
    let lines = head.lines();
    lines
        .filter_map(|line| line.strip_prefix("server-timing: "))
        .collect()
}

fn timing_of(span: &SpanData) -> String {
    let ids = &span.span_context;
    format!(
        "traceparent;desc=\"00-{}-{}-{:02x}\"",
        ids.trace_id(),
        ids.span_id(),
        ids.trace_flags()
    )
}

#[tokio::test]
async fn a_response_has_the_ids_of_its_span_and_keeps_the_timings_of_the_handler() {
    for backend in Backend::ALL {
        let server = serve(backend, TraceLayer::server().server_timing()).await;
        for (request, own) in [
            ("GET / HTTP/1.1", &[][..]),
            ("HEAD / HTTP/1.1", &[]),
            ("GET /timed HTTP/1.1", &["db;dur=53"]),
            ("GET /fails HTTP/1.1", &[]),
            ("GET /empty HTTP/1.1", &[]),
        ] {
            for parent in ["", &format!("\n{PARENT}")] {
                let head = server.send(&format!("{request}{parent}")).await;
                let timing = timing_of(&server.next_span().await);
                let mut expected = own.to_vec();
                expected.push(&timing);
                assert_eq!(timings(&head), expected, "{backend:?} {request}");
            }
        }
    }
}

#[tokio::test]
async fn without_the_option_a_response_is_not_changed() {
    for backend in Backend::ALL {
        let server = serve(backend, TraceLayer::server()).await;
        let head = server.send(&format!("GET /timed HTTP/1.1\n{PARENT}")).await;
        assert_eq!(timings(&head), ["db;dur=53"]);
    }
}

#[tokio::test]
async fn a_caller_whose_trace_is_not_continued_is_told_nothing() {
    for backend in Backend::ALL {
        for (decision, is_told) in [
            (RemoteParent::Continue, true),
            (RemoteParent::Link, false),
            (RemoteParent::Ignore, false),
        ] {
            let layer = TraceLayer::server().remote_parent(move |_| decision);
            let server = serve(backend, layer.server_timing()).await;
            // Without and with a trace context in the request.
            for parent in ["", &format!("\n{PARENT}")] {
                let head = server.send(&format!("GET / HTTP/1.1{parent}")).await;
                assert_eq!(timings(&head).len(), usize::from(is_told), "{decision:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_request_without_a_span_has_no_ids() {
    for backend in Backend::ALL {
        let layer = TraceLayer::server().filter(Filter::skip_paths(["/"]));
        let server = serve(backend, layer.server_timing()).await;
        let head = server.send(&format!("GET / HTTP/1.1\n{PARENT}")).await;
        assert_eq!(timings(&head), [""; 0], "{backend:?}");
    }
}

#[tokio::test]
async fn an_unsampled_trace_has_ids_with_its_flag() {
    for backend in Backend::ALL {
        let telemetry =
            TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOff, LevelFilter::INFO);
        let layer = TraceLayer::server().server_timing();
        let server = Server::with_router(backend, telemetry, layer, router()).await;
        let (head, _open) = send_raw(server.address, "GET / HTTP/1.1").await;
        let [timing] = timings(&head)[..] else {
            panic!("{backend:?}: {head}");
        };
        assert!(timing.starts_with("traceparent;desc=\"00-"), "{timing}");
        assert!(timing.ends_with("-00\""), "{timing}");
    }
}

#[tokio::test]
async fn joined_layers_send_the_ids_once() {
    let telemetry = TestTelemetry::new();
    let layer = TraceLayer::server()
        .tracer_provider(telemetry.provider())
        .server_timing();
    let router = router().layer(observe((layer, MetricsLayer::server())));
    let server = Server::serve_router(Backend::ALL[0], telemetry, router).await;
    let head = server.send("GET / HTTP/1.1").await;
    assert_eq!(timings(&head).len(), 1, "{head}");
}
