//! A subscriber that stores the lines of the access log.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{TraceContextExt, TraceId, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use suite_tests::backend::{AnyTraceLayer, Backend, Source, records_tracing};
use tower_otel_trace::{Recorder, TraceLayer};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer as SubscriberLayer,
    filter::{DynFilterFn, LevelFilter},
    layer::{self, Filter as LayerFilter, SubscriberExt},
    registry::LookupSpan,
};

/// A line of the access log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Level, message and fields, without the duration.
    pub(crate) text: String,
    pub(crate) duration_ms: f64,
    pub(crate) trace: TraceId,
    pub(crate) is_in_span: bool,
}

/// A layer that collects the lines of the access log.
#[derive(Clone, Default)]
pub(crate) struct Lines(pub(crate) Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> SubscriberLayer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        if event.metadata().target() != "tower_otel_trace::access_log" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(Line {
            text: format!(
                "{} {}{}",
                event.metadata().level(),
                fields.message,
                fields.others
            ),
            duration_ms: fields.duration_ms.unwrap(),
            trace: Context::current().span().span_context().trace_id(),
            is_in_span: context.event_span(event).is_some(),
        });
    }
}

#[derive(Default)]
struct Fields {
    pub(crate) message: String,
    others: String,
    pub(crate) duration_ms: Option<f64>,
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        assert_eq!(field.name(), "duration_ms");
        self.duration_ms = Some(value);
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        write!(self.others, " {field}={value}").unwrap();
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => write!(self.others, " {field}={value:?}").unwrap(),
        }
    }
}

/// The records of one exchange.
pub(crate) struct Recorded {
    pub(crate) lines: Vec<Line>,
    pub(crate) spans: Vec<SpanData>,
}

/// A filter that hides spans that the recorder records.
fn filter<S>() -> impl LayerFilter<S> {
    DynFilterFn::new(|metadata, _| !records_tracing() && *metadata.level() <= LevelFilter::INFO)
}

/// Runs an exchange with a backend on a separate thread, because a panic leaves the state of a subscriber's filters
/// undefined.
pub(crate) fn record(
    backend: Backend,
    sampler: Sampler,
    exchange: impl FnOnce(&dyn Fn(TraceLayer) -> AnyTraceLayer) + Send,
) -> Recorded {
    let run = || {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_sampler(sampler.clone())
            .build();
        let recorder = Recorder::builder(exporter.clone()).sampler(sampler);
        let source = Source {
            provider: provider.clone(),
            recorder: Arc::new(recorder.build().unwrap()),
        };
        let lines = Lines::default();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("a test"));
        let subscriber = tracing_subscriber::registry()
            .with(lines.clone())
            .with(spans.with_filter(filter()))
            .with(backend.recorder_layer(&source.recorder));
        let subscriber = tracing::subscriber::set_default(subscriber);
        exchange(&|layer| backend.layer_below_subscriber(&source, layer));
        drop(subscriber);
        source.recorder.flush(Duration::from_secs(20)).unwrap();
        let lines = lines.0.lock().unwrap().clone();
        Recorded {
            lines,
            spans: exporter.get_finished_spans().unwrap(),
        }
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}
