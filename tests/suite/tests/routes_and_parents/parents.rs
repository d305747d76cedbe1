//! Remote parents.

use axum::{Router, routing::any};
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    trace::{SpanId, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use suite_tests::{
    backend::Backend,
    server::{Server, context, send_raw, traceparent},
    telemetry::TestTelemetry,
};
use tower_otel_core::RequestHead;
use tower_otel_propagate::{Propagation, RemoteParent};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::filter::LevelFilter;

use crate::{PARENT, TRACE, ok};

/// Sends a request with a parent. Returns its span and the `traceparent` of outgoing requests.
async fn send_with_parent(server: &Server, who: &str, flags: &str) -> (SpanData, String) {
    let request = format!(
        "GET /context HTTP/1.1\nX-Who: {who}\ntraceparent: 00-{TRACE}-{PARENT}-{flags}\ntracestate: a=b"
    );
    let (head, _open) = send_raw(server.address, &request).await;
    let sent = traceparent(&head)
        .expect("a traceparent is sent")
        .to_owned();
    (server.next_span().await, sent)
}

fn by_who(request: &dyn RequestHead) -> RemoteParent {
    match request.headers().get("x-who").map(|who| who.as_bytes()) {
        Some(b"friend") => RemoteParent::Continue,
        Some(b"stranger") => RemoteParent::Link,
        _ => RemoteParent::Ignore,
    }
}

#[tokio::test]
async fn the_remote_parent_is_continued_linked_or_ignored_per_request() {
    let remote_trace = TraceId::from_hex(TRACE).unwrap();
    let remote_span = SpanId::from_hex(PARENT).unwrap();
    for backend in Backend::ALL {
        let layer = TraceLayer::server().remote_parent(by_who);
        let router = Router::new().route("/context", any(context));
        let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
        for flags in ["01", "00"] {
            let own = |span: &SpanData| {
                let context = &span.span_context;
                format!("00-{}-{}-01", context.trace_id(), context.span_id())
            };

            let (span, sent) = send_with_parent(&server, "friend", flags).await;
            assert_eq!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, remote_span);
            assert!(span.links.links.is_empty());
            assert_eq!(sent, own(&span));

            let (span, sent) = send_with_parent(&server, "stranger", flags).await;
            assert_ne!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, SpanId::INVALID);
            assert!(span.span_context.trace_state().header().is_empty());
            let [link] = span.links.links.as_slice() else {
                panic!("one link, not {:#?}", span.links);
            };
            assert_eq!(link.span_context.trace_id(), remote_trace);
            assert_eq!(link.span_context.span_id(), remote_span);
            assert_eq!(sent, own(&span));

            let (span, sent) = send_with_parent(&server, "nobody", flags).await;
            assert_ne!(span.span_context.trace_id(), remote_trace);
            assert_eq!(span.parent_span_id, SpanId::INVALID);
            assert!(span.links.links.is_empty());
            assert_eq!(sent, own(&span));
        }
    }
}

/// Serves `/context`, with a sampler that follows the parent and else decides by itself.
async fn serve_sampled(backend: Backend, root: Sampler, layer: TraceLayer) -> Server {
    let sampler = Sampler::ParentBased(Box::new(root));
    let telemetry = TestTelemetry::with_sampler_and_filter(sampler, LevelFilter::INFO);
    let router = Router::new().route("/context", any(context));
    Server::with_router(backend, telemetry, layer, router).await
}

/// Sends a request with a parent, and returns whether its span is sampled.
async fn is_sampled(server: &Server, flags: &str) -> bool {
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-{flags}");
    let head = server
        .send(&format!("GET /context HTTP/1.1\n{parent}"))
        .await;
    traceparent(&head).unwrap().ends_with("-01")
}

#[tokio::test]
async fn a_stranger_cannot_switch_recording_if_its_trace_is_linked_or_ignored() {
    for backend in Backend::ALL {
        for (root, is_recorded) in [(Sampler::AlwaysOn, true), (Sampler::AlwaysOff, false)] {
            for (remote_parent, follows) in [
                (RemoteParent::Continue, true),
                (RemoteParent::Link, false),
                (RemoteParent::Ignore, false),
            ] {
                let layer = TraceLayer::server().remote_parent(move |_| remote_parent);
                let server = serve_sampled(backend, root.clone(), layer).await;
                for (flags, is_sampled_by_caller) in [("00", false), ("01", true)] {
                    let expected = if follows {
                        is_sampled_by_caller
                    } else {
                        is_recorded
                    };
                    let sampled = is_sampled(&server, flags).await;
                    assert_eq!(sampled, expected, "{backend:?} {remote_parent:?} {flags}");
                }
            }
        }
    }
}

#[tokio::test]
async fn baggage_is_read_only_if_the_remote_parent_is_continued() {
    async fn tenant_header() -> [(&'static str, String); 1] {
        let tenant = Context::map_current(|current| current.baggage().get("tenant").cloned());
        [("x-tenant", tenant.map_or_else(String::new, Into::into))]
    }
    for backend in Backend::ALL {
        let layer = TraceLayer::server()
            .remote_parent(by_who)
            .propagator(Propagation::w3c().read_baggage());
        let router = Router::new().route("/", any(tenant_header));
        let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
        for (who, known) in [("friend", "7"), ("stranger", ""), ("nobody", "")] {
            let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
            let request = format!("GET / HTTP/1.1\nX-Who: {who}\nbaggage: tenant=7\n{parent}");
            let head = server.send(&request).await;
            let tenant = head.lines().find_map(|line| line.strip_prefix("x-tenant:"));
            assert_eq!(tenant.map(str::trim), Some(known), "{who}");
            server.next_span().await;
        }
    }
}

#[tokio::test]
async fn an_ignored_parent_is_ignored_inside_another_span_too() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = |layer| backend.layer(telemetry.source(), layer);
        let router = Router::new()
            .route("/context", any(context))
            .layer(layer(TraceLayer::server().remote_parent(by_who)))
            .layer(layer(TraceLayer::server()));
        let server = Server::serve_router(backend, telemetry, router).await;
        let parent = format!("traceparent: 00-{TRACE}-{PARENT}-01");
        let request = format!("GET /context HTTP/1.1\n{parent}");
        let (head, _open) = send_raw(server.address, &request).await;
        server
            .telemetry
            .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
            .await;
        let spans = server.telemetry.spans();
        let [inner, outer] = spans.as_slice() else {
            panic!("two spans, not {spans:#?}");
        };
        assert_eq!(outer.parent_span_id, SpanId::from_hex(PARENT).unwrap());
        assert_eq!(inner.parent_span_id, SpanId::INVALID);
        let (inner, outer) = (&inner.span_context, &outer.span_context);
        assert_ne!(inner.trace_id(), outer.trace_id());
        let own = format!("00-{}-{}-01", inner.trace_id(), inner.span_id());
        assert_eq!(traceparent(&head), Some(own.as_str()));
    }
}

#[tokio::test]
async fn a_malformed_traceparent_is_neither_continued_nor_linked() {
    for backend in Backend::ALL {
        for remote_parent in [RemoteParent::Continue, RemoteParent::Link] {
            let layer = TraceLayer::server().remote_parent(move |_| remote_parent);
            let router = Router::new().route("/", any(ok));
            let server = Server::with_router(backend, TestTelemetry::new(), layer, router).await;
            for header in [
                format!("traceparent: 00-{TRACE}-{PARENT}"),
                format!("traceparent: ff-{TRACE}-{PARENT}-01"),
                format!("traceparent: 00-{}-{PARENT}-01", TRACE.to_uppercase()),
                format!("traceparent: 00-{:032}-{PARENT}-01", 0),
                format!("traceparent: 00-{TRACE}-{PARENT}-01\ntraceparent: 00-{TRACE}-{PARENT}-01"),
                "tracestate: a=b".to_owned(),
            ] {
                let span = server.span_of(&format!("GET / HTTP/1.1\n{header}")).await;
                assert_eq!(span.parent_span_id, SpanId::INVALID, "{header}");
                assert!(span.links.links.is_empty(), "{header}");
                assert_ne!(
                    span.span_context.trace_id(),
                    TraceId::from_hex(TRACE).unwrap()
                );
            }
        }
    }
}
