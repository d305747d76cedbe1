//! Log records have the ids of their span, and are delivered or counted.

use std::time::Duration;

use collector::{Behavior, Collector, TIMEOUT};
use tower_otel_init::Protocol;

use crate::service::builder;

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
