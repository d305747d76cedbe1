//! An exporter that can be blocked, and spans.

#![allow(dead_code, reason = "not every test uses everything")]

use std::{
    borrow::Cow,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use opentelemetry::{Context, InstrumentationScope, KeyValue, SpanId, Value, trace::SpanKind};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Sampler, SpanData, SpanExporter},
};
use tower_otel_recorder::{Recorder, RecorderBuilder, RecorderLayer, SpanStart, StartedSpan};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Filter, Identity, SubscriberExt},
};

/// Longer than anything in the tests takes.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// An exporter that stores spans, and blocks until it is opened.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    spans: Arc<Mutex<Vec<SpanData>>>,
    is_open: Arc<(Mutex<bool>, Condvar)>,
    exports: Arc<AtomicUsize>,
}

impl Memory {
    pub(crate) fn new(open: bool) -> Self {
        Self {
            spans: Arc::default(),
            is_open: Arc::new((Mutex::new(open), Condvar::new())),
            exports: Arc::default(),
        }
    }

    pub(crate) fn open(&self) {
        *self.is_open.0.lock().unwrap() = true;
        self.is_open.1.notify_all();
    }

    /// Waits until an export has started.
    pub(crate) fn wait_for_export(&self) {
        wait_until("an export", || self.exports() > 0);
    }

    /// The number of exports that have started.
    pub(crate) fn exports(&self) -> usize {
        self.exports.load(SeqCst)
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.spans.lock().unwrap().clone()
    }
}

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.exports.fetch_add(1, SeqCst);
        let open = self.is_open.0.lock().unwrap();
        drop(self.is_open.1.wait_while(open, |open| !*open).unwrap());
        self.spans.lock().unwrap().extend(batch);
        Ok(())
    }
}

pub(crate) fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Builds a recorder that exports when a batch is full or a flush is requested.
pub(crate) fn build(builder: RecorderBuilder) -> Recorder {
    builder.delay(Duration::from_secs(3600)).build().unwrap()
}

pub(crate) fn start(recorder: &Recorder, scope: &'static str) -> StartedSpan {
    let tracer = recorder.tracer_with_scope(Arc::new(InstrumentationScope::builder(scope).build()));
    let start = SpanStart {
        kind: SpanKind::Internal,
        base: &Context::new(),
        remote: None,
        link: None,
        at: Instant::now(),
    };
    tracer.start_record(
        start,
        || (Cow::Borrowed("span"), Vec::new()),
        |record| record.set_static_name("span"),
    )
}

/// A subscriber with the layer of a recorder, as the default of this thread.
pub(crate) struct Scene {
    pub(crate) recorder: Recorder,
    memory: Memory,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Sampler::AlwaysOn, |layer| layer)
    }

    /// A scene with a sampler and with options of the layer.
    pub(crate) fn with(
        sampler: Sampler,
        options: impl FnOnce(RecorderLayer) -> RecorderLayer,
    ) -> Self {
        Self::built(
            |builder| builder.sampler_without_attributes(sampler),
            |layer| options(layer).boxed(),
        )
    }

    /// A scene with a layer that sees what the filter lets through.
    pub(crate) fn filtered(filter: impl Filter<Registry> + Send + Sync + 'static) -> Self {
        Self::built(|builder| builder, |layer| layer.with_filter(filter).boxed())
    }

    pub(crate) fn built(
        builder: impl FnOnce(RecorderBuilder) -> RecorderBuilder,
        layer: impl FnOnce(RecorderLayer) -> Box<dyn Layer<Registry> + Send + Sync>,
    ) -> Self {
        let memory = Memory::new(true);
        let recorder = build(builder(Recorder::builder(memory.clone())));
        // The second layer sees the spans that a filter hides from the first one.
        let subscriber = tracing_subscriber::registry()
            .with(layer(recorder.layer()))
            .with(Identity::new());
        Self {
            _subscriber: tracing::subscriber::set_default(subscriber),
            recorder,
            memory,
        }
    }

    /// The exported spans, in the order of their ends.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.recorder.flush(LONG).unwrap();
        self.memory.spans()
    }

    /// The only exported span with this name.
    pub(crate) fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut found = spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span.clone(),
            _ => panic!("expected one span {name}: {spans:#?}"),
        }
    }
}

/// The attributes as `key=value`, sorted and without those of the callsite.
pub(crate) fn fields(attributes: &[KeyValue]) -> Vec<String> {
    let origin = ["code.file.path", "code.line.number", "target", "level"];
    let mut fields: Vec<_> = attributes
        .iter()
        .filter(|attribute| !origin.contains(&attribute.key.as_str()))
        .map(|attribute| match &attribute.value {
            Value::String(text) => format!("{}={:?}", attribute.key, text.as_str()),
            value => format!("{}={value}", attribute.key),
        })
        .collect();
    fields.sort();
    fields
}

/// Asserts that `child` is a child of `parent`.
pub(crate) fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
    let traces = [child, parent].map(|span| span.span_context.trace_id());
    assert_eq!(traces[0], traces[1]);
}

/// Asserts that a span has no parent.
pub(crate) fn assert_root(span: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{span:#?}");
}

/// Records so many spans.
pub(crate) fn record(recorder: &Recorder, spans: usize) {
    for _ in 0..spans {
        drop(start(recorder, "test"));
    }
}

/// Returns the fields of an event, each as `field=value `.
pub(crate) fn event_text(event: &tracing::Event<'_>) -> String {
    struct Text(String);

    impl tracing::field::Visit for Text {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    let mut text = Text(String::new());
    event.record(&mut text);
    text.0
}
