//! `OTEL_BSP_*`, `OTEL_BLRP_*`, `OTEL_METRIC_EXPORT_INTERVAL`.

use super::*;

#[test]
fn otel_bsp_and_the_metric_interval() {
    let config = without_warnings(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "7"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "8"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "9"),
    ]);
    assert_eq!(
        (config.span_batch.queue_size, config.span_batch.batch_size),
        (100, 100)
    );
    assert_eq!(config.span_batch.schedule_delay, Duration::from_millis(7));
    assert_eq!(config.span_batch.export_timeout, Duration::from_millis(8));
    assert_eq!(config.metric_interval, Duration::from_millis(9));
    for (name, used) in [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30000"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60000"),
    ] {
        for invalid in ["0", "many", "-1"] {
            assert_eq!(with_warning(&[(name, invalid)]).1.fallback, used, "{name}");
        }
    }
    let batch = ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096");
    assert_eq!(with_warning(&[batch]).1.fallback, "512");
}

#[test]
fn otel_blrp() {
    let batch = without_warnings(&[]).log_batch;
    assert_eq!(batch.schedule_delay, Duration::from_secs(1));
    assert_eq!((batch.queue_size, batch.batch_size), (2048, 512));
    let batch = without_warnings(&[
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "7"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "8"),
    ])
    .log_batch;
    assert_eq!((batch.queue_size, batch.batch_size), (100, 10));
    assert_eq!(batch.schedule_delay, Duration::from_millis(7));
    assert_eq!(batch.export_timeout, Duration::from_millis(8));
    for (name, used) in [
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "2048"),
        ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "512"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "1000"),
        ("OTEL_BLRP_EXPORT_TIMEOUT", "30000"),
    ] {
        for invalid in ["0", "many", "-1"] {
            assert_eq!(with_warning(&[(name, invalid)]).1.fallback, used, "{name}");
        }
    }
}

#[test]
fn a_queue_of_log_records_is_bounded_because_it_is_allocated_at_the_start() {
    let name = "OTEL_BLRP_MAX_QUEUE_SIZE";
    let batch = without_warnings(&[(name, "1048576")]).log_batch;
    assert_eq!(batch.queue_size, 1 << 20);
    let (config, warning) = with_warning(&[(name, "1048577")]);
    assert_eq!(config.log_batch.queue_size, 2048);
    let text = warning.to_string();
    assert!(text.contains("from 1 to 1048576"), "{text}");
}
