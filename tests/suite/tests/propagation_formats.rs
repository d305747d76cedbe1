//! Propagation from a client to a server with custom propagators and with baggage.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use opentelemetry::{
    Context, KeyValue, TraceFlags,
    baggage::BaggageExt,
    context::FutureExt,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::SpanData;
use suite_tests::telemetry::TestTelemetry;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::Hosts;
use tower_otel_propagate::{BaggagePolicy, PropagateLayer, Propagation, RemoteParent};
use tower_otel_trace::TraceLayer;

/// A propagator with trace id and span id in one header, similar to B3.
#[derive(Clone, Copy, Debug)]
struct B3;

impl TextMapPropagator for B3 {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span().span_context().clone();
        injector.set("b3", format!("{}-{}", span.trace_id(), span.span_id()));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let ids = extractor.get("b3").and_then(|value| value.split_once('-'));
        let Some((trace, span)) = ids else {
            return cx.clone();
        };
        cx.with_remote_span_context(SpanContext::new(
            u128::from_str_radix(trace, 16).unwrap().into(),
            u64::from_str_radix(span, 16).unwrap().into(),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        ))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

/// Sends a request through a client's layers and a server's layer. Returns the names of its headers
/// and the tenant in the baggage of the server's handler.
async fn exchange(propagate: PropagateLayer, server: TraceLayer) -> (Vec<String>, Option<String>) {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let handler = service_fn(move |request: Request<Empty<Bytes>>| {
        let names = request.headers().keys().map(ToString::to_string).collect();
        let tenant = Context::current()
            .baggage()
            .get("tenant")
            .map(ToString::to_string);
        sender.send((names, tenant)).unwrap();
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(propagate);
    // Client and server are separate processes: the client's context is not current in the server.
    let server = service_fn(move |request| {
        let server = server.layer(handler.clone());
        async { server.oneshot(request).with_context(Context::new()).await }
    });
    let request = Request::get("http://inside/").body(Empty::new()).unwrap();
    let cx = Context::current().with_baggage([KeyValue::new("tenant", "7")]);
    let response = client.service(server).oneshot(request).with_context(cx);
    drop(response.await.unwrap());
    receiver.recv().await.unwrap()
}

fn spans(telemetry: &TestTelemetry) -> (SpanData, SpanData) {
    let spans = telemetry.spans();
    assert_eq!(spans.len(), 2);
    let of = |kind: SpanKind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    (of(SpanKind::Client).clone(), of(SpanKind::Server).clone())
}

#[tokio::test]
async fn a_custom_propagator_connects_client_and_server_spans() {
    let telemetry = TestTelemetry::new();
    let (headers, _) = exchange(
        PropagateLayer::new().propagator(B3),
        TraceLayer::server().propagator(B3),
    )
    .await;
    assert_eq!(headers, ["b3"]);
    let (client, server) = spans(&telemetry);
    assert_eq!(server.parent_span_id, client.span_context.span_id());
    assert!(server.parent_span_is_remote);
}

#[tokio::test]
async fn remote_parent_link_works_with_a_custom_propagator() {
    let telemetry = TestTelemetry::new();
    exchange(
        PropagateLayer::new().propagator(B3),
        TraceLayer::server()
            .propagator(B3)
            .remote_parent(|_| RemoteParent::Link),
    )
    .await;
    let (client, server) = spans(&telemetry);
    assert_ne!(
        server.span_context.trace_id(),
        client.span_context.trace_id()
    );
    let link = &server.links.links[0].span_context;
    assert_eq!(link.span_id(), client.span_context.span_id());
}

#[tokio::test]
async fn baggage_arrives_only_if_client_and_server_enable_it() {
    let policy = BaggagePolicy::default()
        .keys(["tenant"])
        .hosts(Hosts::new(["inside"]));
    let sending = || PropagateLayer::new().baggage(policy.clone());
    let reading = || TraceLayer::server().propagator(Propagation::w3c().read_baggage());
    let _telemetry = TestTelemetry::new();

    let (headers, tenant) = exchange(sending(), reading()).await;
    assert_eq!(headers, ["traceparent", "baggage"]);
    assert_eq!(tenant.as_deref(), Some("7"));

    let (headers, tenant) = exchange(PropagateLayer::new(), reading()).await;
    assert_eq!((headers, tenant), (vec!["traceparent".to_owned()], None));

    let (_, tenant) = exchange(sending(), TraceLayer::server()).await;
    assert_eq!(tenant, None);

    let ignoring = reading().remote_parent(|_| RemoteParent::Ignore);
    let (_, tenant) = exchange(sending(), ignoring).await;
    assert_eq!(tenant, None, "baggage of an ignored parent");
}
