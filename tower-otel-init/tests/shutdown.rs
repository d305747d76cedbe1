//! Flushing and shutting down, from one thread and from several.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Barrier;
use std::time::{Duration, Instant};

use collector::{Behavior, Collector, TIMEOUT};
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower_otel_init::{Layers, MetricsExporter, Protocol, Sampler, Telemetry};
use tracing_subscriber::Registry;

fn start(collector: &Collector) -> Telemetry {
    let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .local()
        .unwrap();
    telemetry
}

fn record(telemetry: &Telemetry, spans: usize) {
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    for _ in 0..spans {
        tracer.start("job").end();
    }
}

#[test]
fn two_shutdowns_at_once_both_return_after_the_last_span_is_delivered() {
    for _ in 0..20 {
        let collector = Collector::grpc();
        let telemetry = start(&collector);
        record(&telemetry, 50);
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    barrier.wait();
                    telemetry.shutdown(TIMEOUT).unwrap();
                    assert_eq!(collector.spans(), 50);
                });
            }
        });
    }
}

#[test]
fn a_shutdown_whose_timeout_ends_while_another_one_waits_is_an_error_and_drops_nothing() {
    let collector = Collector::start(false, Behavior::Hangs);
    let telemetry = start(&collector);
    record(&telemetry, 50);
    let barrier = Barrier::new(2);
    let shutdown = |timeout| {
        barrier.wait();
        telemetry.shutdown(timeout).unwrap_err()
    };
    let [first, last] = std::thread::scope(|scope| {
        [Duration::from_millis(100), Duration::from_secs(3)]
            .map(|timeout| scope.spawn(move || shutdown(timeout)))
            .map(|thread| thread.join().unwrap())
    });
    assert_eq!(first.dropped_spans.total(), 0);
    assert!(first.to_string().contains("has not finished"), "{first}");
    assert_eq!(last.dropped_spans.total(), 50);
    assert!(last.to_string().starts_with("50 spans"), "{last}");
    // Later calls return the result of the last one.
    assert_eq!(telemetry.shutdown(TIMEOUT), Err(last));
}

#[cfg(feature = "logs")]
#[test]
fn log_records_are_dropped_when_the_last_timeout_ends_and_not_the_first() {
    use tracing_subscriber::layer::SubscriberExt;

    const LAST: Duration = Duration::from_secs(2);
    let collector = Collector::start(false, Behavior::Hangs);
    let (telemetry, layers) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .metrics(MetricsExporter::None)
        .export_logs(true)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || tracing::info!("hello"));
    let started = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| telemetry.shutdown(Duration::from_millis(300)).unwrap_err());
        let last = scope.spawn(|| telemetry.shutdown(LAST).unwrap_err());
        let first = first.join().unwrap();
        assert_eq!(first.dropped_log_records.total(), 0, "{first}");
        let last = last.join().unwrap();
        assert!(started.elapsed() >= LAST, "{last}");
        // Its export and the shutdown time out together, so either can be the reason.
        assert_eq!(last.dropped_log_records.total(), 1, "{last}");
    });
}

#[test]
fn a_flush_and_a_shutdown_do_not_wait_for_a_collector_that_refuses_connections() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        // The socket is bound but does not listen, so its port refuses connections.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let endpoint = format!("http://{}", socket.local_addr().unwrap());
        let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("users")
            .endpoint(endpoint)
            .protocol(protocol)
            .sampler(Sampler::ratio(1.0))
            .metrics(MetricsExporter::Otlp)
            .local()
            .unwrap();
        for stop in [
            |telemetry: &Telemetry| telemetry.flush(TIMEOUT).is_err(),
            |telemetry: &Telemetry| telemetry.shutdown(TIMEOUT).is_err(),
        ] {
            record(&telemetry, 5);
            let started = Instant::now();
            assert!(stop(&telemetry), "{protocol:?}");
            // The metric exporter of the SDK retries three times, with delays of up to one second in total. A retry until the
            // export times out would take ten seconds.
            let elapsed = started.elapsed();
            assert!(
                elapsed < Duration::from_secs(5),
                "{protocol:?}: {elapsed:?}"
            );
        }
        assert_eq!(telemetry.dropped_spans().export_failed, 10);
    }
}

#[test]
fn a_flush_delivers_what_has_ended_and_recording_continues() {
    let collector = Collector::grpc();
    let telemetry = start(&collector);
    for call in 1..=3 {
        record(&telemetry, 5);
        telemetry.flush(TIMEOUT).unwrap();
        assert_eq!(collector.spans(), call * 5);
    }
    telemetry.shutdown(TIMEOUT).unwrap();
    assert!(telemetry.flush(TIMEOUT).is_err());
}

#[test]
fn a_flush_whose_export_fails_or_hangs_is_an_error() {
    for (behavior, timeout) in [
        (Behavior::Refuses, TIMEOUT),
        (Behavior::Hangs, Duration::from_millis(100)),
    ] {
        let collector = Collector::start(false, behavior);
        let telemetry = start(&collector);
        record(&telemetry, 1);
        let started = Instant::now();
        assert!(telemetry.flush(timeout).is_err(), "{behavior:?}");
        assert!(started.elapsed() < TIMEOUT);
        let _ = telemetry.shutdown(Duration::ZERO);
    }
}

#[cfg(feature = "logs")]
#[test]
fn a_flush_delivers_log_records() {
    use tracing_subscriber::layer::SubscriberExt;
    let collector = Collector::grpc();
    let (telemetry, layers) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .metrics(MetricsExporter::Otlp)
        .export_logs(true)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || tracing::info!("hello"));
    telemetry.flush(TIMEOUT).unwrap();
    assert_eq!(collector.received.lock().unwrap().logs.len(), 1);
}
