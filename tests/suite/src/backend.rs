//! The kinds of spans, and a layer over any of them as one type: a test runs over all.

use std::{sync::Arc, time::Instant};

use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracer, SdkTracerProvider};
use tower::Layer;
use tower_otel_core::{End, Exchange, Observe, Observed, RequestHead, ResponseHead};
use tower_otel_trace::{Otel, Record, Recorder, TraceExchange, TraceLayer, Tracing};

/// Through whom a span is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Tracing,
    Direct,
    Record,
}

/// Where spans that do not come by `tracing` are opened, and exported.
#[derive(Clone, Debug)]
pub struct Source {
    pub provider: SdkTracerProvider,
    pub recorder: Arc<Recorder>,
}

impl Source {
    /// Nobody exports anything.
    pub fn deaf() -> Self {
        let recorder = Recorder::builder(InMemorySpanExporter::default()).build();
        Self {
            provider: SdkTracerProvider::default(),
            recorder: Arc::new(recorder.unwrap()),
        }
    }
}

impl Backend {
    pub const ALL: [Self; 3] = [Self::Tracing, Self::Direct, Self::Record];

    /// The layer with spans of this kind.
    pub fn layer(self, source: &Source, layer: TraceLayer) -> Spans {
        match self {
            Self::Tracing => Spans::Tracing(layer),
            Self::Direct => Spans::Direct(layer.tracer_provider(&source.provider)),
            Self::Record => Spans::Record(layer.recorder(&source.recorder)),
        }
    }
}

/// A [`TraceLayer`] with spans of any kind.
#[derive(Clone, Debug)]
pub enum Spans {
    Tracing(TraceLayer),
    Direct(TraceLayer<Otel<SdkTracer>>),
    Record(TraceLayer<Record>),
}

impl<S> Layer<S> for Spans {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.clone())
    }
}

impl Observe for Spans {
    type Exchange =
        OneOf<TraceExchange<Tracing>, TraceExchange<Otel<SdkTracer>>, TraceExchange<Record>>;

    fn start(&self, request: &mut dyn RequestHead, at: Instant) -> Self::Exchange {
        match self {
            Self::Tracing(layer) => OneOf::Tracing(layer.start(request, at)),
            Self::Direct(layer) => OneOf::Direct(layer.start(request, at)),
            Self::Record(layer) => OneOf::Record(layer.start(request, at)),
        }
    }
}

/// One exchange, or what is entered of it.
#[derive(Debug)]
pub enum OneOf<T, D, R> {
    Tracing(T),
    Direct(D),
    Record(R),
}

impl<T: Exchange, D: Exchange, R: Exchange> Exchange for OneOf<T, D, R> {
    type Entered<'a>
        = OneOf<T::Entered<'a>, D::Entered<'a>, R::Entered<'a>>
    where
        Self: 'a;

    fn enter(&mut self) -> Self::Entered<'_> {
        match self {
            Self::Tracing(exchange) => OneOf::Tracing(exchange.enter()),
            Self::Direct(exchange) => OneOf::Direct(exchange.enter()),
            Self::Record(exchange) => OneOf::Record(exchange.enter()),
        }
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        match self {
            Self::Tracing(exchange) => exchange.response(response),
            Self::Direct(exchange) => exchange.response(response),
            Self::Record(exchange) => exchange.response(response),
        }
    }

    fn data(&mut self, bytes: u64) {
        match self {
            Self::Tracing(exchange) => exchange.data(bytes),
            Self::Direct(exchange) => exchange.data(bytes),
            Self::Record(exchange) => exchange.data(bytes),
        }
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        match self {
            Self::Tracing(exchange) => exchange.end(end, at),
            Self::Direct(exchange) => exchange.end(end, at),
            Self::Record(exchange) => exchange.end(end, at),
        }
    }
}
