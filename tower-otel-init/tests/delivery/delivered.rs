//! All spans are delivered.

use std::time::Duration;

use axum::{body::Body, http::Request};
use collector::{Collector, TIMEOUT};
use tower::ServiceExt;
use tower_otel_init::Protocol;

use crate::service::{REQUESTS, app, builder, current_thread, multi_thread, send_requests, start};

#[test]
fn all_spans_are_delivered_if_the_queue_has_room() {
    for runtime in [current_thread, multi_thread] {
        for (collector, protocol) in [
            (Collector::grpc(), Protocol::Grpc),
            (Collector::http(), Protocol::HttpProtobuf),
        ] {
            let runtime = runtime();
            // Started and shut down on the runtime, which the shutdown blocks.
            runtime.block_on(async {
                let telemetry = start(builder(&collector, protocol).queue_size(REQUESTS));
                let app = app(&telemetry);
                for _ in 0..REQUESTS {
                    let request = Request::get("/users/7").body(Body::empty()).unwrap();
                    let response = app.clone().oneshot(request).await.unwrap();
                    axum::body::to_bytes(response.into_body(), 100)
                        .await
                        .unwrap();
                }
                telemetry.shutdown(TIMEOUT).unwrap();
                assert_eq!(telemetry.dropped_spans().total(), 0);
            });
            assert_eq!(collector.spans(), REQUESTS);
        }
    }
}

#[test]
fn a_shutdown_with_the_longest_timeout_returns_once_everything_is_delivered() {
    let collector = Collector::grpc();
    let telemetry = start(builder(&collector, Protocol::Grpc));
    send_requests(&current_thread(), &app(&telemetry), 100);
    telemetry.shutdown(Duration::MAX).unwrap();
    assert_eq!(collector.spans(), 100);
}

#[test]
fn dropping_telemetry_delivers_all_spans() {
    for runtime in [current_thread, multi_thread] {
        let collector = Collector::grpc();
        let telemetry = start(builder(&collector, Protocol::Grpc));
        send_requests(&runtime(), &app(&telemetry), 100);
        drop(telemetry);
        assert_eq!(collector.spans(), 100);
    }
}

#[test]
fn spans_are_delivered_without_any_runtime() {
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    for (collector, protocol) in [
        (Collector::grpc(), Protocol::Grpc),
        (Collector::http(), Protocol::HttpProtobuf),
    ] {
        let telemetry = start(builder(&collector, protocol));
        let tracer = telemetry.tracer_provider().unwrap().tracer("");
        tracer.start("job").end();
        telemetry.shutdown(TIMEOUT).unwrap();
        assert_eq!(collector.spans(), 1);
    }
}

#[test]
fn a_small_queue_has_room_again_after_each_export() {
    let collector = Collector::grpc();
    let telemetry = start(
        builder(&collector, Protocol::Grpc)
            .queue_size(64)
            .batch_size(32),
    );
    let (app, runtime) = (app(&telemetry), current_thread());
    for round in 1..=20 {
        send_requests(&runtime, &app, 64);
        collector.await_spans(round * 64 - 31);
        telemetry.flush(TIMEOUT).unwrap();
    }
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(collector.spans(), 20 * 64);
}

#[test]
fn tracing_spans_have_an_instrumentation_scope_with_version_and_schema_url() {
    use tracing_subscriber::layer::SubscriberExt;
    let collector = Collector::grpc();
    let (telemetry, layers) = builder(&collector, Protocol::Grpc).local().unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("work").in_scope(|| {});
    });
    telemetry.shutdown(TIMEOUT).unwrap();
    let scopes = &collector.received.lock().unwrap().scopes;
    let [[name, version, schema]] = &scopes[..] else {
        panic!("{scopes:?}");
    };
    assert_eq!(name, "tower-otel-init");
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert!(schema.contains("/schemas/"), "{schema}");
}

#[test]
fn headers_and_resource_attributes_are_sent() {
    for (collector, protocol) in [
        (Collector::grpc(), Protocol::Grpc),
        (Collector::http(), Protocol::HttpProtobuf),
    ] {
        let telemetry = start(
            builder(&collector, protocol)
                .header("Authorization", "Bearer s3cret")
                .resource_attribute("service.name", "named")
                .resource_attribute("service.version", "1.2.3"),
        );
        send_requests(&current_thread(), &app(&telemetry), 4);
        assert!(!format!("{telemetry:?}").contains("s3cret"));
        telemetry.shutdown(TIMEOUT).unwrap();
        let received = collector.received.lock().unwrap();
        let authorization = ("authorization".to_owned(), "Bearer s3cret".to_owned());
        assert!(
            received.headers.contains(&authorization),
            "{:?}",
            received.headers
        );
        let resource = format!("{:?}", received.resources);
        for part in [
            r#"("service.name", StringValue("named"))"#,
            r#"("service.version", StringValue("1.2.3"))"#,
            r#"("service.instance.id", "#,
            r#"("host.name", "#,
            r#"("process.pid", IntValue("#,
            r#"("telemetry.sdk.version", "#,
        ] {
            assert!(resource.contains(part), "{part} in {resource}");
        }
    }
}
