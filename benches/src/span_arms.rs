//! The compared ways to record spans.

use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanRecord};
use opentelemetry::trace::TracerProvider;
use tower_otel_recorder::Keep;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    compact_layer::CompactLayer,
    exchange::{Exchanges, Subject},
    recorded_counts,
    signals::{DiscardingSignals, Signals},
    span_programs::Program,
};

/// No subscriber.
pub const NONE: &str = "no subscriber";
/// A registry without layers.
pub const REGISTRY: &str = "registry";
/// `recorder.layer()`.
pub const RECORDER: &str = "recorder";
/// `recorder.layer()` a second time, as a control.
pub const RECORDER_AGAIN: &str = "recorder again";
/// The layer without the activation of contexts.
pub const RECORDER_WITHOUT_CONTEXT: &str = "recorder, no context activation";
/// tracing-opentelemetry without locations, targets, threads and inactivity.
pub const TRACING_OPENTELEMETRY: &str = "tracing-opentelemetry";
/// tracing-opentelemetry with its defaults.
pub const TRACING_OPENTELEMETRY_DEFAULTS: &str = "tracing-opentelemetry, defaults";
/// [`CompactLayer`], with the correct parent for every span.
pub const COMPACT: &str = "compact layer (yardstick)";
/// [`CompactLayer`] without contexts of inner spans.
pub const COMPACT_ROOT_CONTEXT: &str = "compact layer, context of root spans only";
/// fastrace, without `tracing`.
pub const FASTRACE: &str = "fastrace";
/// The recorder, and no trace is sampled.
pub const RECORDER_UNSAMPLED: &str = "recorder, not sampled";
/// The recorder with keep rules, and no trace is sampled: spans are held and then discarded.
pub const RECORDER_HELD: &str = "recorder, held, not sampled";
/// tracing-opentelemetry, and no trace is sampled.
pub const TRACING_OPENTELEMETRY_UNSAMPLED: &str = "tracing-opentelemetry, not sampled";

/// All arms.
pub const ALL: [&str; 13] = [
    NONE,
    REGISTRY,
    RECORDER,
    RECORDER_AGAIN,
    RECORDER_WITHOUT_CONTEXT,
    TRACING_OPENTELEMETRY,
    TRACING_OPENTELEMETRY_DEFAULTS,
    COMPACT,
    COMPACT_ROOT_CONTEXT,
    FASTRACE,
    RECORDER_UNSAMPLED,
    RECORDER_HELD,
    TRACING_OPENTELEMETRY_UNSAMPLED,
];

/// Returns whether an arm exports spans.
pub fn exports(arm: &str) -> bool {
    ![
        NONE,
        REGISTRY,
        RECORDER_UNSAMPLED,
        RECORDER_HELD,
        TRACING_OPENTELEMETRY_UNSAMPLED,
    ]
    .contains(&arm)
}

/// Installs the span recording of an arm for the process. Returns the program to measure.
pub fn install(arm: &str, program: Program) -> Box<dyn Subject> {
    let unsampled = arm.ends_with(", not sampled");
    let mut signals = DiscardingSignals::new(if unsampled { 0 } else { 100 });
    if arm == RECORDER_HELD {
        signals = signals.keep(Keep::errors());
    }
    let registry = tracing_subscriber::registry();
    match arm {
        NONE => subject(move || program.run(), || {}),
        REGISTRY => {
            registry.init();
            subject(move || program.run(), || {})
        }
        RECORDER | RECORDER_AGAIN | RECORDER_UNSAMPLED | RECORDER_HELD => {
            registry.with(signals.recorder().layer()).init();
            subject(move || program.run(), signals.flush())
        }
        RECORDER_WITHOUT_CONTEXT => {
            let layer = signals.recorder().layer().activate_context(false);
            registry.with(layer).init();
            subject(move || program.run(), signals.flush())
        }
        TRACING_OPENTELEMETRY | TRACING_OPENTELEMETRY_UNSAMPLED => {
            let layer = tracing_opentelemetry::layer()
                .with_tracer(signals.traces().tracer("benches"))
                .with_location(false)
                .with_target(false)
                .with_threads(false)
                .with_tracked_inactivity(false);
            registry.with(layer).init();
            subject(move || program.run(), signals.flush())
        }
        TRACING_OPENTELEMETRY_DEFAULTS => {
            let layer = tracing_opentelemetry::layer();
            let layer = layer.with_tracer(signals.traces().tracer("benches"));
            registry.with(layer).init();
            subject(move || program.run(), signals.flush())
        }
        COMPACT | COMPACT_ROOT_CONTEXT => {
            let layer = CompactLayer::start(arm == COMPACT);
            registry.with(layer.clone()).init();
            subject(move || program.run(), move || layer.flush())
        }
        FASTRACE => {
            report_fastrace();
            subject(move || program.run_with_fastrace(), fastrace::flush)
        }
        other => panic!("unknown arm: {other:?}"),
    }
}

fn subject(
    run: impl Fn() + Clone + Send + 'static,
    flush: impl Fn() + Send + Sync + 'static,
) -> Box<dyn Subject> {
    Exchanges::subject(|_| (), move |()| run(), flush)
}

/// Sets a reporter of fastrace that counts and discards spans. Only a flush reports them.
pub fn report_fastrace() {
    let config = Config::default().report_interval(Duration::from_secs(3600));
    fastrace::set_reporter(DiscardingReporter, config);
}

struct DiscardingReporter;

impl Reporter for DiscardingReporter {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        recorded_counts::add_spans(spans.len());
    }
}
