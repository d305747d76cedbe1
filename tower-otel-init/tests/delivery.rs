//! Every span is delivered or counted as dropped, on every kind of runtime, over both protocols.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use collector::{Behavior, Collector, TIMEOUT, until};
use tokio::runtime::{Builder as RuntimeBuilder, Runtime};
use tower::ServiceExt;
use tower_otel_init::{
    Layers, MetricsExporter, Protocol, Sampler, Telemetry, TelemetryBuilder, TraceLayer,
};
use tracing_subscriber::Registry;

const REQUESTS: usize = 10_000;

fn current_thread() -> Runtime {
    RuntimeBuilder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn multi_thread() -> Runtime {
    RuntimeBuilder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn builder(collector: &Collector, protocol: Protocol) -> TelemetryBuilder {
    Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .protocol(protocol)
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
}

fn start(builder: TelemetryBuilder) -> Telemetry {
    let (telemetry, _): (_, Layers<Registry>) = builder.local().unwrap();
    telemetry
}

fn app(telemetry: &Telemetry) -> Router {
    let provider = telemetry.tracer_provider().unwrap();
    Router::new()
        .route("/users/{id}", get(|| async { "user" }))
        .layer(TraceLayer::server().tracer_provider(provider))
}

/// Sends requests from tasks on every worker.
fn send_requests(runtime: &Runtime, app: &Router, requests: usize) {
    const TASKS: usize = 4;
    runtime.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                let app = app.clone();
                tokio::spawn(async move {
                    for _ in 0..requests / TASKS {
                        let request = Request::get("/users/7").body(Body::empty()).unwrap();
                        let response = app.clone().oneshot(request).await.unwrap();
                        assert_eq!(response.status(), 200);
                        axum::body::to_bytes(response.into_body(), 100)
                            .await
                            .unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

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
fn spans_dropped_by_a_full_queue_are_counted() {
    for runtime in [current_thread, multi_thread] {
        for (collector, protocol) in [
            (Collector::grpc(), Protocol::Grpc),
            (Collector::http(), Protocol::HttpProtobuf),
        ] {
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(16));
            // The collector cannot respond before all requests have been sent.
            let held = collector.received.lock().unwrap();
            send_requests(&runtime(), &app(&telemetry), REQUESTS);
            drop(held);
            let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
            assert!(dropped.queue_full > 0, "{dropped:?}");
            assert_eq!((dropped.export_failed, dropped.shutdown), (0, 0));
            assert_eq!(collector.spans() as u64 + dropped.total(), REQUESTS as u64);
        }
    }
}

#[test]
fn requests_succeed_while_the_collector_is_down_and_spans_are_delivered_again_after() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let mut collector = Collector::start(http, Behavior::Accepts);
        let telemetry = start(
            builder(&collector, protocol)
                .queue_size(256)
                .batch_size(64)
                .schedule_delay(Duration::from_millis(5)),
        );
        let (app, runtime) = (app(&telemetry), multi_thread());
        send_requests(&runtime, &app, 200);
        collector.await_spans(1);

        collector.kill();
        let mut sent = 200;
        // Every request succeeds during the outage.
        until("a failed export", || {
            send_requests(&runtime, &app, 400);
            sent += 400;
            telemetry.dropped_spans().export_failed > 0
        });
        let before = collector.spans();

        collector.run(http, Behavior::Accepts);
        until("the collector's return", || {
            send_requests(&runtime, &app, 4);
            sent += 4;
            collector.spans() > before
        });
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        // A batch is counted as dropped if the collector stored it and stopped before it responded.
        let known = collector.spans() + dropped.total() as usize;
        assert!(
            (sent..=sent + 64).contains(&known),
            "{protocol:?}: {known} of {sent}: {dropped:?}"
        );
    }
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
fn spans_of_failed_exports_are_counted_and_requests_succeed() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Refuses);
        let telemetry = start(builder(&collector, protocol));
        send_requests(&current_thread(), &app(&telemetry), 100);
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        assert_eq!((dropped.export_failed, dropped.total()), (100, 100));
    }
}

#[test]
fn spans_rejected_by_partial_success_are_counted() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Rejects);
        let telemetry = start(builder(&collector, protocol).batch_size(10));
        send_requests(&current_thread(), &app(&telemetry), 100);
        let dropped = telemetry.shutdown(TIMEOUT).unwrap_err().dropped_spans;
        assert!(dropped.rejected >= 10, "{protocol:?}: {dropped:?}");
        assert_eq!(dropped.rejected, dropped.total());
        assert_eq!(collector.spans() as u64 + dropped.rejected, 100);
    }
}

#[test]
fn a_drop_without_any_runtime_is_not_blocked_by_a_hanging_collector() {
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    let drop_time = |http, protocol| {
        let collector = Collector::start(http, Behavior::Hangs);
        let builder = builder(&collector, protocol).metrics(MetricsExporter::Otlp);
        #[cfg(feature = "logs")]
        let builder = builder.export_logs(true);
        let telemetry = start(builder);
        let tracer = telemetry.tracer_provider().unwrap().tracer("");
        tracer.start("job").end();
        let started = Instant::now();
        drop(telemetry);
        started.elapsed()
    };
    std::thread::scope(|scope| {
        let all = [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)]
            .map(|(http, protocol)| scope.spawn(move || drop_time(http, protocol)));
        for one in all {
            let elapsed = one.join().unwrap();
            // A drop times out after five seconds.
            assert!(elapsed < Duration::from_secs(9), "{elapsed:?}");
        }
    });
}

#[test]
fn a_hanging_collector_blocks_neither_requests_nor_shutdown() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        for runtime in [current_thread, multi_thread] {
            let collector = Collector::start(http, Behavior::Hangs);
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(32));
            let runtime = runtime();
            send_requests(&runtime, &app(&telemetry), 400);
            let started = Instant::now();
            let shutdown = async { telemetry.shutdown(Duration::from_millis(300)) };
            let dropped = runtime.block_on(shutdown).unwrap_err().dropped_spans;
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{:?}",
                started.elapsed()
            );
            assert_eq!(dropped.total(), 400, "{dropped:?}");
        }
    }
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

#[test]
fn pushed_metrics_include_the_counters_of_lost_spans() {
    use tower_otel_init::{MetricsLayer, Names};
    let collector = Collector::grpc();
    let telemetry = start(builder(&collector, Protocol::Grpc).metrics(MetricsExporter::Otlp));
    let layer = MetricsLayer::server()
        .names(Names::Conventions)
        .meter_provider(telemetry.meter_provider().unwrap());
    let app = Router::new().route("/", get(|| async {})).layer(layer);
    current_thread().block_on(async {
        app.oneshot(Request::get("/").body(Body::empty()).unwrap())
            .await
            .unwrap();
    });
    telemetry.shutdown(TIMEOUT).unwrap();
    let metrics = &collector.received.lock().unwrap().metrics;
    for name in [
        "http.server.request.duration",
        "otel.sdk.processor.span.processed",
        "otel.sdk.exporter.span.exported",
    ] {
        assert!(
            metrics.iter().any(|metric| metric == name),
            "{name} in {metrics:?}"
        );
    }
}

#[cfg(feature = "logs")]
#[test]
fn log_records_have_the_trace_and_span_id_of_their_span() {
    use tracing_subscriber::layer::SubscriberExt;
    let collector = Collector::grpc();
    let (telemetry, layers) = builder(&collector, Protocol::Grpc)
        .export_logs(true)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("work").in_scope(|| tracing::info!("hello"));
    });
    telemetry.shutdown(TIMEOUT).unwrap();
    let received = collector.received.lock().unwrap();
    assert_eq!(received.logs[0].trace_id, received.spans[0].trace_id);
    assert_eq!(received.logs[0].span_id, received.spans[0].span_id);
}

#[cfg(feature = "logs")]
#[test]
fn every_log_record_is_delivered_or_counted() {
    use tracing_subscriber::layer::SubscriberExt;
    for mood in [
        Behavior::Accepts,
        Behavior::Rejects,
        Behavior::Refuses,
        Behavior::Hangs,
    ] {
        let collector = Collector::start(false, mood);
        let (telemetry, layers) = builder(&collector, Protocol::Grpc)
            .traces(tower_otel_init::TracesExporter::None)
            .export_logs(true)
            .local()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(layers);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..5_000 {
                tracing::info!(number, "hello");
            }
        });
        let timeout = match mood {
            Behavior::Hangs => Duration::from_millis(300),
            _ => TIMEOUT,
        };
        let _ = telemetry.shutdown(timeout);
        let dropped = telemetry.dropped_log_records();
        let delivered = collector.received.lock().unwrap().logs.len() as u64;
        assert_eq!(delivered + dropped.total(), 5_000, "{dropped:?}");
        assert_eq!(
            dropped.rejected > 0,
            mood == Behavior::Rejects,
            "{dropped:?}"
        );
        if mood == Behavior::Hangs {
            // The hanging export may have timed out already.
            assert!(dropped.export_failed + dropped.shutdown > 0, "{dropped:?}");
        } else {
            assert_eq!(
                dropped.export_failed > 0,
                mood == Behavior::Refuses,
                "{dropped:?}"
            );
            assert_eq!(dropped.shutdown, 0, "{dropped:?}");
        }
    }
}
