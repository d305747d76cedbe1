//! Every span is delivered or counted, on every kind of runtime, over both protocols.
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
use tokio::runtime::{Builder as Runtime, Runtime as Started};
use tower::ServiceExt;
use tower_otel_init::{Builder, Layers, MetricsExporter, Protocol, Sampler, Telemetry};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::Registry;

const REQUESTS: usize = 10_000;

fn current_thread() -> Started {
    Runtime::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Started {
    Runtime::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

fn builder(collector: &Collector, protocol: Protocol) -> Builder {
    Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .protocol(protocol)
        .sampler(Sampler::AlwaysOn)
        .metrics(MetricsExporter::None)
}

fn start(builder: Builder) -> Telemetry {
    let (telemetry, _): (_, Layers<Registry>) = builder.local().unwrap();
    telemetry
}

fn app(telemetry: &Telemetry) -> Router {
    let provider = telemetry.tracer_provider().unwrap();
    Router::new()
        .route("/users/{id}", get(|| async { "user" }))
        .layer(TraceLayer::server().tracer_provider(provider))
}

/// From tasks on every worker.
fn ask(runtime: &Started, app: &Router, requests: usize) {
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
fn all_spans_arrive_where_the_queue_has_room() {
    for runtime in [current_thread, multi_thread] {
        for (collector, protocol) in [
            (Collector::grpc(), Protocol::Grpc),
            (Collector::http(), Protocol::HttpProtobuf),
        ] {
            let runtime = runtime();
            // Made on the runtime, and shut down there: it is blocked meanwhile.
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
fn a_shutdown_that_has_all_the_time_there_is_ends_when_all_is_delivered() {
    let collector = Collector::grpc();
    let telemetry = start(builder(&collector, Protocol::Grpc));
    ask(&current_thread(), &app(&telemetry), 100);
    telemetry.shutdown(Duration::MAX).unwrap();
    assert_eq!(collector.spans(), 100);
}

#[test]
fn dropping_the_guard_delivers() {
    for runtime in [current_thread, multi_thread] {
        let collector = Collector::grpc();
        let telemetry = start(builder(&collector, Protocol::Grpc));
        ask(&runtime(), &app(&telemetry), 100);
        drop(telemetry);
        assert_eq!(collector.spans(), 100);
    }
}

#[test]
fn without_any_runtime_spans_arrive_too() {
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
        ask(&runtime, &app, 64);
        collector.await_spans(round * 64 - 31);
        telemetry.tracer_provider().unwrap().force_flush().unwrap();
    }
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(collector.spans(), 20 * 64);
}

#[test]
fn what_a_small_queue_refuses_is_counted() {
    for runtime in [current_thread, multi_thread] {
        for (collector, protocol) in [
            (Collector::grpc(), Protocol::Grpc),
            (Collector::http(), Protocol::HttpProtobuf),
        ] {
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(16));
            ask(&runtime(), &app(&telemetry), REQUESTS);
            let lost = telemetry.shutdown(TIMEOUT).unwrap_err().dropped;
            assert!(lost.queue_full > 0, "{lost:?}");
            assert_eq!((lost.export_failed, lost.shutdown), (0, 0));
            assert_eq!(collector.spans() as u64 + lost.total(), REQUESTS as u64);
        }
    }
}

#[test]
fn a_killed_collector_costs_no_request_and_is_found_again() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let mut collector = Collector::start(http, Behavior::Accepts);
        let telemetry = start(
            builder(&collector, protocol)
                .queue_size(256)
                .batch_size(64)
                .schedule_delay(Duration::from_millis(5)),
        );
        let (app, runtime) = (app(&telemetry), multi_thread());
        ask(&runtime, &app, 200);
        collector.await_spans(1);

        collector.kill();
        let mut asked = 200;
        // Every request is answered meanwhile.
        until("a failed export", || {
            ask(&runtime, &app, 400);
            asked += 400;
            telemetry.dropped_spans().export_failed > 0
        });
        let before = collector.spans();

        collector.run(http, Behavior::Accepts);
        until("the collector's return", || {
            ask(&runtime, &app, 4);
            asked += 4;
            collector.spans() > before
        });
        let lost = telemetry.shutdown(TIMEOUT).unwrap_err().dropped;
        // A batch that was taken by a collector which died before it said so counts as lost.
        let known = collector.spans() + lost.total() as usize;
        assert!(
            (asked..=asked + 64).contains(&known),
            "{protocol}: {known} of {asked}: {lost:?}"
        );
    }
}

#[test]
fn spans_of_tracing_have_a_scope_with_its_version_and_schema() {
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
fn a_collector_that_refuses_is_counted_and_costs_no_request() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Refuses);
        let telemetry = start(builder(&collector, protocol));
        ask(&current_thread(), &app(&telemetry), 100);
        let lost = telemetry.shutdown(TIMEOUT).unwrap_err().dropped;
        assert_eq!((lost.export_failed, lost.total()), (100, 100));
    }
}

#[test]
fn what_a_collector_rejects_of_a_batch_is_counted() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        let collector = Collector::start(http, Behavior::Rejects);
        let telemetry = start(builder(&collector, protocol).batch_size(10));
        ask(&current_thread(), &app(&telemetry), 100);
        let lost = telemetry.shutdown(TIMEOUT).unwrap_err().dropped;
        assert!(lost.rejected >= 10, "{protocol}: {lost:?}");
        assert_eq!(lost.rejected, lost.total());
        assert_eq!(collector.spans() as u64 + lost.rejected, 100);
    }
}

#[test]
fn without_any_runtime_a_collector_that_hangs_does_not_hold_up_a_drop() {
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    let stuck = |http, protocol| {
        let collector = Collector::start(http, Behavior::Hangs);
        let builder = builder(&collector, protocol).metrics(MetricsExporter::Otlp);
        #[cfg(feature = "logs")]
        let builder = builder.logs(tower_otel_init::LogsExporter::Otlp);
        let telemetry = start(builder);
        let tracer = telemetry.tracer_provider().unwrap().tracer("");
        tracer.start("job").end();
        let started = Instant::now();
        drop(telemetry);
        started.elapsed()
    };
    std::thread::scope(|scope| {
        let all = [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)]
            .map(|(http, protocol)| scope.spawn(move || stuck(http, protocol)));
        for one in all {
            let took = one.join().unwrap();
            // A drop waits for five seconds, whatever there is to deliver.
            assert!(took < Duration::from_secs(9), "{took:?}");
        }
    });
}

#[test]
fn a_collector_that_hangs_holds_up_neither_requests_nor_shutdown() {
    for (http, protocol) in [(false, Protocol::Grpc), (true, Protocol::HttpProtobuf)] {
        for runtime in [current_thread, multi_thread] {
            let collector = Collector::start(http, Behavior::Hangs);
            let telemetry = start(builder(&collector, protocol).queue_size(64).batch_size(32));
            let runtime = runtime();
            ask(&runtime, &app(&telemetry), 400);
            let started = Instant::now();
            let shutdown = async { telemetry.shutdown(Duration::from_millis(300)) };
            let lost = runtime.block_on(shutdown).unwrap_err().dropped;
            assert!(
                started.elapsed() < Duration::from_secs(3),
                "{:?}",
                started.elapsed()
            );
            assert_eq!(lost.total(), 400, "{lost:?}");
        }
    }
}

#[test]
fn headers_and_resource_are_sent() {
    for (collector, protocol) in [
        (Collector::grpc(), Protocol::Grpc),
        (Collector::http(), Protocol::HttpProtobuf),
    ] {
        let telemetry = start(
            builder(&collector, protocol)
                .header("Authorization", "Bearer s3cret")
                .service_name("named")
                .service_version("1.2.3"),
        );
        ask(&current_thread(), &app(&telemetry), 4);
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
fn metrics_are_pushed_and_lost_spans_are_one_of_them() {
    use tower_otel_metrics::{MetricsLayer, Names};
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
    for name in ["http.server.request.duration", "otel_spans_dropped"] {
        assert!(
            metrics.iter().any(|own| own == name),
            "{name} in {metrics:?}"
        );
    }
}

#[cfg(feature = "logs")]
#[test]
fn log_records_are_sent_with_the_trace_they_belong_to() {
    use tracing_subscriber::layer::SubscriberExt;
    let collector = Collector::grpc();
    let logs = tower_otel_init::LogsExporter::Otlp;
    let (telemetry, layers) = builder(&collector, Protocol::Grpc)
        .logs(logs)
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
fn every_log_record_arrives_or_is_counted() {
    use tracing_subscriber::layer::SubscriberExt;
    for behavior in [
        Behavior::Accepts,
        Behavior::Rejects,
        Behavior::Refuses,
        Behavior::Hangs,
    ] {
        let collector = Collector::start(false, behavior);
        let logs = tower_otel_init::LogsExporter::Otlp;
        let (telemetry, layers) = builder(&collector, Protocol::Grpc)
            .traces(tower_otel_init::TracesExporter::None)
            .logs(logs)
            .local()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(layers);
        tracing::subscriber::with_default(subscriber, || {
            for number in 0..5_000 {
                tracing::info!(number, "hello");
            }
        });
        let patience = match behavior {
            Behavior::Hangs => Duration::from_millis(300),
            _ => TIMEOUT,
        };
        let _ = telemetry.shutdown(patience);
        let lost = telemetry.dropped_log_records();
        let arrived = collector.received.lock().unwrap().logs.len() as u64;
        assert_eq!(arrived + lost.total(), 5_000, "{lost:?}");
        assert_eq!(lost.rejected > 0, behavior == Behavior::Rejects, "{lost:?}");
        if behavior == Behavior::Hangs {
            // The export that hangs may have been given up by now, or not.
            assert!(lost.export_failed + lost.shutdown > 0, "{lost:?}");
        } else {
            assert_eq!(
                lost.export_failed > 0,
                behavior == Behavior::Refuses,
                "{lost:?}"
            );
            assert_eq!(lost.shutdown, 0, "{lost:?}");
        }
    }
}
