//! The cases of forks: the parent, and the actions of its child.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    env,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use collector::{Behavior, Collector};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler as SdkSampler, SpanData, SpanExporter},
};
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tower_otel_recorder::{Recorder, RecorderBuilder};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::process::in_fork;

const LONG: Duration = Duration::from_secs(30);

/// The number of spans that end before the fork. The same number ends after it.
const SPANS: u64 = 10;

/// A number of spans that is larger than the queue.
const TOO_MANY: u64 = 200;

#[derive(Debug, Default)]
struct Exporter(Arc<AtomicU64>);

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.fetch_add(batch.len() as u64, Relaxed);
        Ok(())
    }
}

fn builder(exported: &Arc<AtomicU64>) -> RecorderBuilder {
    Recorder::builder(Exporter(Arc::clone(exported)))
        .sampler_without_attributes(SdkSampler::AlwaysOn)
        .queue_size(64)
}

fn record(provider: &impl TracerProvider, spans: u64) {
    let tracer = provider.tracer("fork");
    for _ in 0..spans {
        drop(tracer.start("span"));
    }
}

fn is_error_of_a_fork(result: OTelSdkResult) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains("exports nothing in its fork"), "{error}");
}

/// Forks while spans wait in the queue of a recorder.
fn recorder(action: &str) {
    let exported = Arc::default();
    let recorder = builder(&exported).delay(LONG).build().unwrap();
    let provider = recorder.tracer_provider();
    let mut own = Some(recorder);
    record(&provider, SPANS);
    in_fork(|| {
        let recorder = own.take().unwrap();
        match action {
            "drop" => {}
            "shutdown" => is_error_of_a_fork(recorder.shutdown(LONG)),
            "flush" => is_error_of_a_fork(recorder.flush(LONG)),
            "record" => {
                record(&provider, TOO_MANY);
                let subscriber = tracing_subscriber::registry().with(recorder.layer());
                tracing::subscriber::with_default(subscriber, || {
                    for _ in 0..TOO_MANY {
                        tracing::info_span!("span").in_scope(|| tracing::info!("event"));
                    }
                });
                is_error_of_a_fork(recorder.flush(LONG));
            }
            action => panic!("{action}"),
        }
        drop(recorder);
        assert_eq!(exported.load(Relaxed), 0);
    });
    let recorder = own.unwrap();
    record(&provider, SPANS);
    recorder.shutdown(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!((counts.exported, counts.dropped), (2 * SPANS, 0));
    assert_eq!(exported.load(Relaxed), 2 * SPANS);
}

/// Ends the threads that record.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Forks many times while other threads record and the export thread works, so that some children inherit locked locks.
fn busy(action: &str) {
    let exported = Arc::default();
    let recorder = builder(&exported).batch_size(1).build().unwrap();
    let provider = recorder.tracer_provider();
    let mut own = Some(recorder);
    let ends = AtomicBool::new(false);
    let ended: u64 = thread::scope(|scope| {
        let threads = [(); 3].map(|()| {
            scope.spawn(|| {
                let mut ended = 0;
                while !ends.load(Relaxed) {
                    record(&provider, 1);
                    ended += 1;
                }
                ended
            })
        });
        // Otherwise a failed assertion would wait for the threads.
        let end = EndOnDrop(&ends);
        for _ in 0..200 {
            in_fork(|| {
                let recorder = own.take().unwrap();
                if action == "shutdown" {
                    is_error_of_a_fork(recorder.shutdown(LONG));
                }
            });
        }
        drop(end);
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    });
    let recorder = own.unwrap();
    recorder.shutdown(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!(counts.exported + counts.queue_full, ended, "{counts:?}");
    assert_eq!(exported.load(Relaxed), counts.exported);
}

/// Forks while spans, metrics and log records wait for their export to a collector.
fn telemetry(action: &str, has_recorder: bool) {
    let collector = Collector::start(false, Behavior::Accepts);
    let builder = Telemetry::builder("fork")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::Otlp)
        .export_logs(true);
    // The recorder of metrics is global. A separate thread pushes its metrics.
    let (telemetry, layers): (_, Layers<Registry>) = match has_recorder {
        true => builder.metrics(MetricsExporter::Prometheus).layers(),
        false => builder.local(),
    }
    .unwrap();
    let provider = telemetry.tracer_provider().unwrap().clone();
    let mut own = Some(telemetry);
    record(&provider, SPANS);
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || tracing::info!("a record"));
    in_fork(|| {
        let telemetry = own.take().unwrap();
        match action {
            "drop" => {}
            "shutdown" => {
                let error = telemetry.shutdown(LONG).unwrap_err().to_string();
                assert!(error.contains("fork"), "{error}");
            }
            "flush" => {
                let error = telemetry.flush(LONG).unwrap_err().to_string();
                assert!(error.contains("fork"), "{error}");
            }
            action => panic!("{action}"),
        }
    });
    let telemetry = own.unwrap();
    record(&provider, SPANS);
    telemetry.shutdown(LONG).unwrap();
    assert_eq!(collector.spans() as u64, 2 * SPANS);
}

/// Runs the case that the arguments of the program name.
pub(crate) fn run() {
    let words: Vec<_> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["recorder", action] => recorder(action),
        ["busy", action] => busy(action),
        ["telemetry", action] => telemetry(action, false),
        ["pushes", action] => telemetry(action, true),
        _ => panic!("expected recorder, busy, telemetry or pushes, and what the child does"),
    }
}
