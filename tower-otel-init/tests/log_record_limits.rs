//! Long texts in log lines neither prevent the delivery of other log records nor take unbounded memory.
#![cfg(all(feature = "grpc", feature = "logs"))]
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use collector::{Behavior, Collector, TIMEOUT};
use tower_otel_init::{MetricsExporter, Protocol, Telemetry, TracesExporter};
use tracing_subscriber::layer::SubscriberExt;

/// Runs `log` with a subscriber that exports log records to a collector.
fn export_logs(collector: &Collector, log: impl FnOnce()) -> Telemetry {
    let (telemetry, layers) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .protocol(Protocol::Grpc)
        .traces(TracesExporter::None)
        .metrics(MetricsExporter::None)
        .export_logs(true)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, log);
    telemetry
}

#[test]
fn log_records_beside_long_ones_arrive_at_a_collector_with_a_limit_of_4_mib() {
    let uri = "x".repeat(60_000);
    let collector = Collector::grpc();
    let telemetry = export_logs(&collector, || {
        for number in 0..512 {
            match number < 70 {
                true => tracing::info!(%uri, "request"),
                false => tracing::info!(number, "honest"),
            }
        }
    });
    let result = telemetry.shutdown(TIMEOUT);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(collector.received.lock().unwrap().logs.len(), 512);
}

#[test]
fn a_batch_of_more_than_4_mib_is_split() {
    let text = "x".repeat(4_000);
    let collector = Collector::grpc();
    let telemetry = export_logs(&collector, || {
        for _ in 0..400 {
            tracing::info!(a = %text, b = %text, c = %text, d = %text, e = %text, f = %text, "long");
        }
    });
    let result = telemetry.shutdown(TIMEOUT);
    assert!(result.is_ok(), "{result:?}");
    let received = collector.received.lock().unwrap();
    assert_eq!(received.logs.len(), 400);
    let attributes = received.logs.iter().map(|log| log.attributes.len());
    assert_eq!(attributes.sum::<usize>(), 400 * 6);
}

#[test]
fn a_hanging_collector_and_long_log_lines_take_bounded_memory_and_each_loss_is_counted() {
    const LINES: u64 = 4_000;
    const MAX_BYTES: u64 = 18 << 20;
    let text = "x".repeat(60_000);
    let one = || tracing::info!(uri = %text, "request");
    let four = || tracing::info!(a = %text, b = %text, c = %text, d = %text, "request");
    for log in [&one as &dyn Fn(), &four] {
        let collector = Collector::start(false, Behavior::Hangs);
        let mut memory = 0;
        let telemetry = export_logs(&collector, || {
            let measured = allocation_counter::measure(|| (0..LINES).for_each(|_| log()));
            memory = measured.bytes_max;
        });
        println!("at most {memory} bytes");
        assert!(memory < MAX_BYTES, "{memory} bytes");
        let _ = telemetry.shutdown(Duration::from_millis(300));
        let dropped = telemetry.dropped_log_records();
        assert!(dropped.queue_full > 0, "{dropped:?}");
        assert_eq!(dropped.total(), LINES, "{dropped:?}");
    }
}
