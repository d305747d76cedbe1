//! Shutdown waits for the export, and every span is counted whatever the outcome.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod support;

use std::time::Duration;

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use tower_otel_recorder::Recorder;

use crate::support::{LONG, Memory, build, record, start, wait_until};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn two_shutdowns_at_once_both_wait_for_the_export() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()));
    record(&recorder, 3);
    std::thread::scope(|scope| {
        let shut_down = || {
            let result = recorder.shutdown(LONG);
            (result, memory.spans().len())
        };
        let first = scope.spawn(shut_down);
        // Only the shutdown causes an export.
        memory.wait_for_export();
        let second = scope.spawn(shut_down);
        // The second one cannot be observed while it waits. Without waiting it would be finished by now.
        std::thread::sleep(Duration::from_millis(100));
        assert!(!first.is_finished() && !second.is_finished());
        memory.open();
        for thread in [first, second] {
            let (result, exported) = thread.join().unwrap();
            assert!(result.is_ok(), "{result:?}");
            assert_eq!(exported, 3);
        }
    });
    let again = recorder.shutdown(LONG);
    assert!(matches!(again, Err(OTelSdkError::AlreadyShutdown)));
}

#[derive(Debug)]
struct FailsAtShutdown(Memory);

impl SpanExporter for FailsAtShutdown {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.export(batch).await
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("no connection".to_owned()))
    }
}

#[test]
fn two_shutdowns_at_once_both_return_the_failure() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(FailsAtShutdown(memory.clone())));
    record(&recorder, 1);
    std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| recorder.shutdown(LONG)));
        memory.wait_for_export();
        std::thread::sleep(Duration::from_millis(100));
        memory.open();
        for thread in threads {
            let result = thread.join().unwrap();
            assert!(
                matches!(&result, Err(OTelSdkError::InternalFailure(text)) if text.contains("no connection")),
                "{result:?}"
            );
        }
    });
}

#[test]
fn a_shutdown_that_times_out_counts_the_spans_it_leaves() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()).batch_size(4));
    record(&recorder, 4);
    memory.wait_for_export();
    // The exporter has four. The export thread gets six at once, and takes four of them first.
    record(&recorder, 6);
    let result = recorder.shutdown(SHORT);
    assert!(
        matches!(result, Err(OTelSdkError::Timeout(_))),
        "{result:?}"
    );
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.failed, counts.dropped), (0, 4, 6));
    // What the exporter does afterwards does not change the counts, and it gets nothing more.
    memory.open();
    wait_until("the export", || memory.spans().len() >= 4);
    wait_until("the end of the thread", || {
        matches!(recorder.shutdown(LONG), Err(OTelSdkError::AlreadyShutdown))
    });
    assert_eq!(recorder.counts(), counts);
    assert_eq!(memory.spans().len(), 4);
}

#[test]
fn a_shutdown_that_times_out_leaves_the_spans_to_one_that_still_waits() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()));
    record(&recorder, 5);
    std::thread::scope(|scope| {
        let patient = scope.spawn(|| recorder.shutdown(LONG));
        memory.wait_for_export();
        let result = recorder.shutdown(SHORT);
        assert!(
            matches!(result, Err(OTelSdkError::Timeout(_))),
            "{result:?}"
        );
        memory.open();
        patient.join().unwrap().unwrap();
    });
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.failed, counts.dropped), (5, 0, 0));
}

#[test]
fn dropping_a_recorder_after_a_shutdown_that_timed_out_does_not_wait() {
    let memory = Memory::new(false);
    let recorder = build(Recorder::builder(memory.clone()));
    record(&recorder, 1);
    recorder.shutdown(SHORT).unwrap_err();
    let start = std::time::Instant::now();
    drop(recorder);
    assert!(start.elapsed() < Duration::from_secs(4));
    memory.open();
}

#[test]
fn a_span_that_outlives_the_recorder_is_not_exported() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let span = start(&recorder, "test");
    drop(recorder);
    drop(span);
    assert_eq!(memory.spans().len(), 0);
}

#[derive(Debug)]
struct DropsWithTheThread(std::sync::mpsc::Sender<()>);

impl SpanExporter for DropsWithTheThread {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}

impl Drop for DropsWithTheThread {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn the_exporter_is_dropped_after_the_shutdown() {
    let (sender, dropped) = std::sync::mpsc::channel();
    let recorder = build(Recorder::builder(DropsWithTheThread(sender)));
    record(&recorder, 1);
    recorder.shutdown(LONG).unwrap();
    dropped.recv_timeout(LONG).unwrap();
}
