//! The telemetry of one test.

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
    diff::diff, expected_span::ExpectedSpan, in_memory_meter::InMemoryMeter, metrics::Metrics,
    metrics_recorder::MetricsRecorder, open_spans::OpenSpans, span::Span, spans::Spans,
};

/// The timeout of [`TestTelemetry::wait_for`].
const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// Records the spans and metrics of one test in memory.
///
/// It is not global, so tests can run in parallel. There are two ways to record into it:
///
/// - [`install`](Self::install) records what this thread does through `tracing` and the `metrics`
///   facade. Use it with a single-threaded runtime such as that of `#[tokio::test]`.
/// - Pass [`tracer_provider`](Self::tracer_provider) and [`meter_provider`](Self::meter_provider) to a
///   layer. They record its spans and metrics on all threads.
#[derive(Debug)]
pub struct TestTelemetry {
    spans: InMemorySpanExporter,
    open: OpenSpans,
    tracer_provider: SdkTracerProvider,
    subscriber: Dispatch,
    recorder: MetricsRecorder,
    meter: InMemoryMeter,
}

/// A guard that records this thread into a [`TestTelemetry`] until it is dropped. Returned by
/// [`TestTelemetry::install`].
#[derive(Debug)]
#[must_use = "recording stops when this is dropped"]
pub struct InstallGuard<'a> {
    _subscriber: dispatcher::DefaultGuard,
    _recorder: RecorderGuard<'a>,
}

struct RecorderGuard<'a>(
    #[allow(dead_code, reason = "only dropped")] metrics::LocalRecorderGuard<'a>,
);

impl fmt::Debug for RecorderGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecorderGuard")
    }
}

impl TestTelemetry {
    /// Returns empty telemetry that is not installed. Every span is sampled.
    // There is no `Default`, because each call creates a recorder and a provider.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let (spans, open) = (InMemorySpanExporter::default(), OpenSpans::default());
        let tracer_provider = SdkTracerProvider::builder()
            .with_span_processor(open.clone())
            .with_simple_exporter(spans.clone())
            .build();
        // Without attributes that differ between machines and runs.
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer_provider.tracer("test"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            // hyper and h2 have spans below INFO.
            .with_filter(LevelFilter::INFO);
        Self {
            spans,
            open,
            tracer_provider,
            subscriber: Dispatch::new(tracing_subscriber::registry().with(layer)),
            recorder: MetricsRecorder::default(),
            meter: InMemoryMeter::default(),
        }
    }

    /// Records the `tracing` spans of this thread from level `INFO` up, and its metrics of the `metrics`
    /// facade, until the guard is dropped.
    ///
    /// Create layers after this call: a metrics layer may cache handles of the current recorder.
    pub fn install(&self) -> InstallGuard<'_> {
        InstallGuard {
            _subscriber: dispatcher::set_default(&self.subscriber),
            _recorder: RecorderGuard(metrics::set_default_local_recorder(&self.recorder)),
        }
    }

    /// Returns the tracer provider, to pass it to `TraceLayer::tracer_provider` or another library.
    pub const fn tracer_provider(&self) -> &SdkTracerProvider {
        &self.tracer_provider
    }

    /// Returns the meter provider, to pass it to `MetricsLayer::meter_provider` or another library.
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        self.meter.provider()
    }

    /// Returns the spans that have ended.
    pub fn spans(&self) -> Spans {
        let spans = self.spans.get_finished_spans().unwrap_or_default();
        Spans::new(spans)
    }

    /// Returns the only ended span of this name.
    ///
    /// # Panics
    ///
    /// Panics if there is none or more than one. The message contains all ended spans as a tree. If there is none, it also
    /// contains the spans that have not ended.
    #[track_caller]
    pub fn span(&self, name: &str) -> Span {
        let spans = self.spans();
        let mut named = spans.iter().filter(|span| span.name == name);
        match (named.next(), named.next()) {
            (Some(span), None) => span.clone(),
            (None, _) => {
                let open = self.open.note();
                panic!("no span has the name {name:?}:\n\n{spans}{open}");
            }
            (Some(_), Some(_)) => panic!("more than one span has the name {name:?}:\n\n{spans}"),
        }
    }

    /// Asserts that exactly these spans have ended. The order of siblings does not matter.
    /// [`ExpectedSpan`] lists the compared parts.
    ///
    /// # Panics
    ///
    /// Panics if the spans differ. The message contains the difference line by line, all ended spans, and the spans that have
    /// not ended.
    #[track_caller]
    pub fn assert_spans(&self, expected: impl IntoIterator<Item = ExpectedSpan>) {
        let expected: Vec<_> = expected.into_iter().collect();
        let spans = self.spans();
        if let Some(difference) = spans.difference(&expected) {
            let open = self.open.note();
            panic!("spans are not as expected:\n\n{difference}\nrecorded:\n\n{spans}{open}");
        }
    }

    /// Returns a snapshot of all metrics. Reading does not reset them.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.recorder.series().chain(self.meter.series()))
    }

    /// Asserts that the metrics are exactly these lines, in any order and with any indentation. Each line has
    /// the format of [`Metrics`]: name, labels sorted by name, and the value. A histogram has `count=` and the number of
    /// samples as its value.
    ///
    /// # Panics
    ///
    /// Panics if the metrics differ. The message contains the difference line by line, and the spans that have not ended.
    #[track_caller]
    pub fn assert_metrics(&self, expected: &str) {
        let mut lines: Vec<_> = expected.lines().map(str::trim).collect();
        lines.retain(|line| !line.is_empty());
        lines.sort_unstable();
        let metrics = self.metrics();
        let recorded = metrics.to_string();
        let expected: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        if expected != recorded {
            let difference = diff(&expected, &recorded);
            let open = self.open.note();
            panic!("metrics are not as expected:\n\n{difference}{open}");
        }
    }

    /// Waits until the condition is true, while other tasks run. `what` describes the condition in the message of a timeout.
    /// Use it if a span can end later, such as a server's span after the client has received the response.
    ///
    /// It works on any runtime without a timer: it checks the condition repeatedly, and yields after each check.
    ///
    /// # Panics
    ///
    /// Panics if the condition is still false after 20 seconds. The message contains `what`, all ended spans, all
    /// metrics, and the spans that have not ended.
    pub async fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        while !condition(self) {
            if Instant::now() > deadline {
                let (spans, metrics) = (self.spans(), self.metrics());
                let open = self.open.note();
                panic!("timed out waiting for {what}; recorded:\n\n{spans}\n{metrics}{open}");
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
