//! Requests that are too large are divided.

use collector::faulty::{FaultyCollector, Reply};
use tower_otel_recorder::Recorder;

use crate::{
    protocols::{counts, over_both},
    support::{LONG, build, record},
};

#[test]
fn a_resource_of_a_megabyte_and_long_spans_are_sent_in_requests_of_less_than_four() {
    use opentelemetry::{
        KeyValue,
        trace::{Span, Tracer, TracerProvider},
    };
    use opentelemetry_sdk::Resource;

    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|_| Reply::Limit(4 * 1024 * 1024));
        let exporter = protocol
            .exporter(collector.address)
            .gzip(gzip)
            .timeout(LONG);
        let long = KeyValue::new("long", "x".repeat(1 << 20));
        let resource = Resource::builder_empty().with_attribute(long).build();
        let builder = Recorder::builder(exporter).resource(resource);
        let builder = builder.text_length(usize::MAX).record_bytes(usize::MAX);
        let recorder = build(builder.batch_bytes(usize::MAX));
        let tracer = recorder.tracer_provider().tracer("test");
        for size in [10, 500_000, 1_000_000, 2_000_000, 3_500_000, 100] {
            let mut span = tracer.span_builder("long").start(&tracer);
            span.set_attribute(KeyValue::new("text", "y".repeat(size)));
            span.end();
        }
        let result = recorder.flush(LONG);
        // One span and the resource are more than the limit.
        assert!(result.is_err());
        assert_eq!(counts(&recorder), [5, 0, 1, 0]);
        let seen = collector.seen();
        assert_eq!(seen.accepted, 5);
        assert!((4..=6).contains(&seen.requests), "{seen:?}");
    });
}

#[test]
fn a_collector_that_refuses_every_size_gets_few_requests_and_its_reason_is_returned() {
    for reply in [Reply::Limit(0), Reply::Error(8, 413, None)] {
        over_both(|protocol, gzip| {
            let reply = reply.clone();
            let collector = FaultyCollector::start(move |_| reply.clone());
            let exporter = protocol.exporter(collector.address).gzip(gzip);
            let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(1024));
            record(&recorder, 512);
            let error = recorder.flush(LONG).unwrap_err().to_string();
            assert!(error.contains("status"), "{error}");
            assert!(!error.contains("single span"), "{error}");
            assert_eq!(counts(&recorder), [0, 0, 512, 0]);
            // Ten until a single span is refused, and one for its neighbor.
            assert_eq!(collector.seen().requests, 11, "{protocol:?}");
        });
    }
}

#[test]
fn a_collector_that_accepts_one_request_and_refuses_the_others_gets_a_bounded_number() {
    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|request| match request {
            10 => Reply::Accept,
            _ => Reply::Error(8, 413, None),
        });
        let exporter = protocol.exporter(collector.address).gzip(gzip);
        let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(1024));
        record(&recorder, 512);
        assert!(recorder.flush(LONG).is_err());
        assert_eq!(counts(&recorder), [1, 0, 511, 0]);
        assert_eq!(collector.seen().requests, 65, "{protocol:?}");
    });
}
