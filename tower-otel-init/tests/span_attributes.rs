//! Exported spans have the attributes of the conventions and of the application, but no attributes of the callsite or the thread.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::panic)]

use axum::http;
use collector::{Collector, TIMEOUT};
use tower::{Layer, Service, service_fn};
use tower_otel_init::{MetricsExporter, Sampler, Telemetry, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

#[tracing::instrument]
async fn price(item: u64) {
    tracing::info!(item, "The event has a target, the span has none.");
}

#[test]
fn exported_spans_have_no_attributes_of_the_callsite_or_the_thread() {
    let collector = Collector::grpc();
    let (telemetry, layers) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.build().unwrap();
    tracing::subscriber::with_default(subscriber, || {
        runtime.block_on(async {
            let mut service = TraceLayer::server().layer(service_fn(async |_| {
                price(7).await;
                Ok::<_, std::convert::Infallible>(http::Response::new(String::new()))
            }));
            let request = http::Request::new(String::new());
            drop(service.call(request).await);
        });
    });
    telemetry.shutdown(TIMEOUT).unwrap();
    let received = collector.received.lock().unwrap();
    let names: Vec<_> = received.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["price", "GET"]);
    for span in &received.spans {
        for attribute in &span.attributes {
            let key = &*attribute.key;
            let prefix = key.split('.').next().unwrap();
            let is_foreign = ["busy_ns", "idle_ns", "target", "code", "thread"].contains(&prefix);
            assert!(!is_foreign, "{}: {key}", span.name);
        }
    }
}
