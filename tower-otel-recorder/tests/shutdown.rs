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
        let first = scope.spawn(|| {
            let result = recorder.shutdown(LONG);
            (result, memory.spans().len())
        });
        // Only the shutdown causes an export.
        memory.wait_for_export();
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            memory.open();
        });
        // If this thread is late, the shutdown is over.
        let second = recorder.shutdown(LONG);
        assert!(
            matches!(second, Ok(()) | Err(OTelSdkError::AlreadyShutdown)),
            "{second:?}"
        );
        assert_eq!(memory.spans().len(), 3);
        let (first, exported) = first.join().unwrap();
        assert!(first.is_ok(), "{first:?}");
        assert_eq!(exported, 3);
    });
    let again = recorder.shutdown(LONG);
    assert!(matches!(again, Err(OTelSdkError::AlreadyShutdown)));
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

/// An exporter that takes some time and stores the timeout of its shutdown.
#[derive(Debug)]
struct Slow(std::sync::mpsc::Sender<Duration>);

const EXPORT: Duration = Duration::from_millis(50);

impl SpanExporter for Slow {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let start = std::time::Instant::now();
        while start.elapsed() < EXPORT {
            std::thread::yield_now();
        }
        Ok(())
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let _ = self.0.send(timeout);
        Ok(())
    }
}

#[test]
fn the_shutdown_of_the_exporter_gets_the_time_that_its_export_leaves() {
    let (sender, timeout) = std::sync::mpsc::channel();
    let recorder = build(Recorder::builder(Slow(sender)));
    record(&recorder, 1);
    recorder.shutdown(LONG).unwrap();
    let timeout = timeout.recv_timeout(LONG).unwrap();
    assert!(timeout <= LONG - EXPORT, "{timeout:?}");
}
