//! Trace context that a service passes on, with every exporter of spans.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use axum::routing::get;
use collector::Collector;
use opentelemetry::trace::TraceContextExt;
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_otel_init::{
    MetricsExporter, PropagateLayer, Sampler, Telemetry, TelemetryBuilder, TraceLayer,
    TracesExporter,
};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Calls another service, and returns the headers that it received.
async fn call() -> HeaderMap {
    assert!(
        opentelemetry::Context::current()
            .span()
            .span_context()
            .is_valid()
    );
    let other = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    });
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(other);
    let request = Request::get("http://other/").body(Body::empty()).unwrap();
    client.oneshot(request).await.unwrap().headers().clone()
}

/// Returns `traceparent` and `tracestate` of the request that a service sends while it serves one.
fn passed_on(builder: TelemetryBuilder, received: &[(&str, &str)]) -> (String, String) {
    let (_telemetry, layers) = builder.metrics(MetricsExporter::None).local().unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    let app = Router::new()
        .route("/", get(|| async { (call().await, "") }))
        .layer(TraceLayer::server());
    let mut request = Request::get("/");
    for (name, value) in received {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let served = app.oneshot(request).with_subscriber(subscriber);
    let response = runtime.block_on(served).unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    };
    let state = header("tracestate").unwrap_or_default();
    (header("traceparent").unwrap(), state)
}

/// Received `traceparent` and `tracestate`; the flags and the `tracestate` that are passed on with an own span id.
const CASES: [(&str, &str, &str, &str); 5] = [
    ("-01", "", "01", ""),
    ("-00", "", "00", ""),
    ("-03", "a=1,b@c=2", "03", "a=1,b@c=2"),
    ("-02", "a=1", "02", "a=1"),
    ("-ff", "", "03", ""),
];

#[test]
fn trace_context_is_passed_on_in_full_with_every_exporter() {
    let collector = Collector::grpc();
    for exporter in [
        TracesExporter::Otlp,
        TracesExporter::None,
        TracesExporter::Console,
    ] {
        let builder = || {
            let builder = Telemetry::builder("users").traces(exporter);
            builder.endpoint(collector.endpoint())
        };
        let by_parent = || builder().sampler(Sampler::ParentBasedRatio(0.1));
        for (flags, state, sent_flags, sent_state) in CASES {
            let traceparent = format!("00-{TRACE}-{PARENT}{flags}");
            let mut received = vec![("traceparent", &*traceparent)];
            if !state.is_empty() {
                received.push(("tracestate", state));
            }
            let (sent, sent_with) = passed_on(by_parent(), &received);
            let parts: Vec<_> = sent.split('-').collect();
            let [version, trace, span, passed_flags] = parts[..] else {
                panic!("{sent}");
            };
            assert_eq!((version, trace), ("00", TRACE), "{exporter:?}");
            assert_ne!(span, PARENT, "{exporter:?}");
            assert_eq!(passed_flags, sent_flags, "{exporter:?} {flags}");
            assert_eq!(sent_with, sent_state, "{exporter:?}");
        }
        for (sampler, flags) in [(Sampler::AlwaysOn, "-01"), (Sampler::AlwaysOff, "-00")] {
            let (sent, _) = passed_on(builder().sampler(sampler), &[]);
            assert!(sent.ends_with(flags), "{exporter:?} {sent}");
            assert!(!sent.contains("0000000000000000"), "{exporter:?} {sent}");
        }
    }
}

#[test]
fn spans_without_an_exporter_are_not_counted_as_lost() {
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::None)
        .sampler(Sampler::AlwaysOn)
        .metrics(MetricsExporter::None)
        .queue_size(1);
    let (telemetry, layers) = builder.local().unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..10_000 {
            tracing::info_span!("work").in_scope(|| {});
        }
    });
    telemetry.shutdown(collector::TIMEOUT).unwrap();
    assert_eq!(telemetry.dropped_spans().total(), 0);
}
