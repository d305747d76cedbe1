//! A recorder with keep rules, and its spans.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, InstrumentationScope, TraceId,
    trace::{SpanContext, SpanKind, Status, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use tower_otel_recorder::{
    Keep, Recorder, RecorderSpanExt, RecorderTracer, SpanStart, StartedSpan,
};
use tracing_subscriber::Layer;

use crate::support::Scene;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn rules() -> Keep {
    Keep::errors().slower_than(LIMIT).per_second(100_000)
}

/// A sampler that lets the parent decide, and samples no root.
pub(crate) fn unsampled_roots() -> Sampler {
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)))
}

/// A scene whose traces are not sampled.
pub(crate) fn scene(rules: Keep) -> Scene {
    Scene::built(
        |builder| {
            builder
                .sampler_without_attributes(unsampled_roots())
                .keep(rules)
        },
        |layer| layer.boxed(),
    )
}

pub(crate) fn tracer(recorder: &Recorder) -> RecorderTracer {
    recorder.tracer_provider().tracer("api")
}

/// Starts a span as `TraceLayer::recorder` does.
pub(crate) fn start_direct(
    recorder: &Recorder,
    remote: Option<SpanContext>,
    at: Instant,
) -> StartedSpan {
    let scope = Arc::new(InstrumentationScope::builder("direct").build());
    let start = SpanStart {
        kind: SpanKind::Server,
        base: &Context::current(),
        remote: remote.as_ref(),
        link: None,
        at,
    };
    recorder.tracer_with_scope(scope).start_record(
        start,
        || (Cow::Borrowed("direct"), Vec::new()),
        |record| record.set_static_name("direct"),
    )
}

pub(crate) fn fail(span: &tracing::Span) {
    span.set_status(Status::error("no stock"));
}

/// The reason why a span was kept.
pub(crate) fn reason(span: &SpanData) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let reason = attributes.find(|attribute| attribute.key.as_str() == "sampling.keep.reason");
    reason.map(|reason| reason.value.to_string())
}

/// The number of spans of each trace.
pub(crate) fn traces(spans: &[SpanData]) -> HashMap<TraceId, usize> {
    let mut traces = HashMap::new();
    for span in spans {
        *traces.entry(span.span_context.trace_id()).or_default() += 1;
    }
    traces
}
