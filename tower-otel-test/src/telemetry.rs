//! What one test records, and what sends it there.

use std::{
    fmt,
    future::poll_fn,
    task::Poll,
    time::{Duration, Instant},
};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    metrics::SdkMeterProvider,
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use tracing::{Dispatch, dispatcher, level_filters::LevelFilter};
use tracing_subscriber::{Layer, layer::SubscriberExt};

use crate::{
    ExpectedSpan, Metrics, Span, Spans, diff::difference, metrics_recorder::Recorder,
    test_meter::Meter,
};

/// How long something is waited for. A test that fails may take its time.
const PATIENCE: Duration = Duration::from_secs(20);

/// The spans and metrics of one test, in memory.
///
/// Nothing here belongs to the process, so tests run side by side. There are two ways in:
///
/// - [`install`](Self::install) takes what is recorded on this thread through `tracing` and the
///   `metrics` facade. It serves a test whose runtime has this thread alone, as
///   `#[tokio::test]` has.
/// - [`tracer_provider`](Self::tracer_provider) and [`meter_provider`](Self::meter_provider) are
///   given to a layer by value, and take what it records on any thread.
#[derive(Debug)]
pub struct TestTelemetry {
    spans: InMemorySpanExporter,
    tracer_provider: SdkTracerProvider,
    subscriber: Dispatch,
    recorder: Recorder,
    meter: Meter,
}

/// Sends what this thread records to a [`TestTelemetry`], until it is dropped.
#[derive(Debug)]
#[must_use = "nothing is recorded any more once this is dropped"]
pub struct Installed<'a> {
    _subscriber: dispatcher::DefaultGuard,
    _recorder: RecorderGuard<'a>,
}

struct RecorderGuard<'a>(
    #[allow(dead_code, reason = "held to be dropped")] metrics::LocalRecorderGuard<'a>,
);

impl fmt::Debug for RecorderGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecorderGuard")
    }
}

impl Default for TestTelemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl TestTelemetry {
    /// Empty, and known to nobody yet. Every span is sampled.
    pub fn new() -> Self {
        let spans = InMemorySpanExporter::default();
        let tracer_provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        // What differs from machine to machine and from run to run would only be in the way.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer_provider.tracer("test"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // hyper and h2 have spans of their own below.
            .with_filter(LevelFilter::INFO);
        Self {
            spans,
            tracer_provider,
            subscriber: Dispatch::new(tracing_subscriber::registry().with(layer)),
            recorder: Recorder::default(),
            meter: Meter::default(),
        }
    }

    /// Takes the `tracing` spans of level `INFO` and above, and the metrics of the `metrics`
    /// facade, that are recorded on this thread while the guard is held.
    ///
    /// A layer of metrics may keep the handles it was given, so build it afterwards.
    pub fn install(&self) -> Installed<'_> {
        Installed {
            _subscriber: dispatcher::set_default(&self.subscriber),
            _recorder: RecorderGuard(metrics::set_default_local_recorder(&self.recorder)),
        }
    }

    /// For a layer that is given its provider: `TraceLayer::server().tracer_provider(..)`.
    pub const fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.tracer_provider
    }

    /// For a layer that is given its provider: `MetricsLayer::server().meter_provider(..)`.
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        self.meter.provider()
    }

    /// The spans that have ended.
    pub fn spans(&self) -> Spans {
        let spans = self.spans.get_finished_spans().unwrap_or_default();
        Spans::new(spans)
    }

    /// The one span of this name that has ended.
    ///
    /// # Panics
    ///
    /// If there is none, or more than one: with the tree of the spans there are.
    #[track_caller]
    pub fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let mut named = spans.iter().filter(|span| span.name == name);
        match (named.next(), named.next()) {
            (Some(span), None) => span.clone(),
            (None, _) => panic!("no span is called {name:?}:\n\n{spans}"),
            (Some(_), Some(_)) => panic!("more than one span is called {name:?}:\n\n{spans}"),
        }
    }

    /// Whether the spans that have ended are these, and no others.
    ///
    /// The order of siblings does not matter. What an expected span does not mention is not
    /// compared, but for its being [failed](ExpectedSpan::failed) or not.
    ///
    /// # Panics
    ///
    /// If they are not: with the difference, line by line, and with all that was recorded.
    #[track_caller]
    pub fn assert_spans(&self, expected: impl IntoIterator<Item = ExpectedSpan>) {
        let expected: Vec<_> = expected.into_iter().collect();
        let spans = self.spans();
        if let Some(difference) = spans.difference(&expected) {
            panic!("spans are not as expected:\n\n{difference}\nrecorded:\n\n{spans}");
        }
    }

    /// The metrics as they are now.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.recorder.series().chain(self.meter.series()))
    }

    /// Whether the metrics are these lines, and no others, in any order. A line is what
    /// [`Metrics`] shows: the name, the labels by their names, and a value. Of a histogram that is
    /// the number of its samples.
    ///
    /// # Panics
    ///
    /// If they are not: with the difference, line by line.
    #[track_caller]
    pub fn assert_metrics(&self, expected: &str) {
        let mut lines: Vec<_> = expected.lines().map(str::trim).collect();
        lines.retain(|line| !line.is_empty());
        lines.sort_unstable();
        let metrics = self.metrics();
        let recorded = metrics.to_string();
        let expected: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        if expected != recorded {
            let difference = difference(&expected, &recorded);
            panic!("metrics are not as expected:\n\n{difference}");
        }
    }

    /// Waits until something is true of what was recorded, while other tasks go on. A server's span
    /// may end a moment after its client has the response.
    ///
    /// It needs no runtime and no timer: it looks, lets the others run, and looks again.
    ///
    /// # Panics
    ///
    /// If it is not true after 20 seconds: with all that was recorded.
    pub async fn wait_for(&self, what: &str, mut is_true: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_true(self) {
            if Instant::now() > deadline {
                panic!("waited in vain for {what}; recorded:\n\n{self}");
            }
            let mut yielded = false;
            poll_fn(|context| {
                if yielded {
                    return Poll::Ready(());
                }
                yielded = true;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}

/// The tree of the spans, then the metrics.
impl fmt::Display for TestTelemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.spans(), self.metrics())
    }
}
