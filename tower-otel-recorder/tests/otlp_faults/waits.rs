//! An exporter waits for no collector longer than its timeout.

use std::time::{Duration, Instant};

use collector::faulty::{FaultyCollector, Reply};
use tower_otel_recorder::Recorder;

use crate::{
    protocols::{counts, over_both, unused_address},
    support::{LONG, build, record, wait_until},
};

#[test]
fn a_collector_that_asks_for_an_hour_is_not_waited_for() {
    over_both(|protocol, gzip| {
        let collector = FaultyCollector::start(|_| Reply::RetryIn(3600));
        let exporter = protocol.exporter(collector.address).gzip(gzip);
        let recorder = build(Recorder::builder(exporter.timeout(LONG)));
        record(&recorder, 10);
        let started = Instant::now();
        let error = recorder.flush(LONG).unwrap_err().to_string();
        assert!(started.elapsed() < LONG / 2, "{protocol:?}: {error}");
        assert!(error.contains("longer than the timeout"), "{error}");
        assert_eq!(counts(&recorder), [0, 0, 10, 0]);
        assert_eq!(collector.seen().requests, 1);
    });
}

#[test]
fn a_shutdown_does_not_wait_for_retries_longer_than_its_timeout() {
    let replies = [
        Reply::Stall,
        Reply::Error(14, 503, None),
        Reply::RetryIn(15),
    ];
    for reply in replies {
        over_both(|protocol, gzip| {
            let reply = reply.clone();
            let collector = FaultyCollector::start(move |_| reply.clone());
            let exporter = protocol.exporter(collector.address).gzip(gzip);
            let recorder = build(Recorder::builder(exporter.timeout(LONG)).batch_size(10));
            record(&recorder, 10);
            wait_until("a request", || collector.seen().requests > 0);
            let started = Instant::now();
            let result = recorder.shutdown(Duration::from_millis(300));
            assert!(result.is_err(), "{protocol:?}");
            assert!(started.elapsed() < LONG / 4, "{:?}", started.elapsed());
            assert_eq!(counts(&recorder), [0, 0, 10, 0]);
        });
    }
}

#[test]
fn a_collector_that_is_replaced_gets_what_the_first_one_did_not() {
    over_both(|protocol, gzip| {
        let address = unused_address();
        let exporter = protocol.exporter(address).gzip(gzip).timeout(LONG);
        // A full batch is exported without a flush, which would not wait for a collector.
        let recorder = build(Recorder::builder(exporter).batch_size(10));
        record(&recorder, 10);
        // Nobody listens yet, or another process does.
        let first = FaultyCollector::start_at(address, |_| Reply::Stall);
        wait_until("a request", || first.seen().requests > 0);
        drop(first);
        let second = FaultyCollector::start_at(address, |_| Reply::Accept);
        wait_until("the export", || counts(&recorder) == [10, 0, 0, 0]);
        assert_eq!(second.seen().accepted, 10);
    });
}

#[test]
fn a_flush_and_a_shutdown_do_not_wait_for_a_collector_that_refuses_connections() {
    over_both(|protocol, gzip| {
        let address = unused_address();
        let exporter = protocol.exporter(address).gzip(gzip).timeout(LONG);
        let recorder = build(Recorder::builder(exporter).batch_size(10));
        // Several batches, of which one waits for its next attempt.
        record(&recorder, 25);
        wait_until("an export", || recorder.counts().exporting > 0);
        for stop in [Recorder::flush, Recorder::shutdown] {
            let started = Instant::now();
            let error = stop(&recorder, LONG).unwrap_err().to_string();
            assert!(started.elapsed() < LONG / 4, "{error}");
            assert!(error.contains("refused"), "{error}");
            // Nothing is recorded after the shutdown.
            record(&recorder, 5);
        }
        assert_eq!(counts(&recorder), [0, 0, 30, 0]);
    });
}
