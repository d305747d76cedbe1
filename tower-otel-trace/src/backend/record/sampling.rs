//! Whether a span is recorded.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags,
    trace::{Link, SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};
use tower_otel_core::Kind;

use super::super::opentelemetry::for_samplers;
use crate::facts::Facts;

/// Set by who began the trace, and nobody else's to change.
const RANDOM: TraceFlags = TraceFlags::new(0x02);

#[derive(Debug)]
pub(super) struct Sampling {
    pub(super) sampler: Box<dyn ShouldSample>,
    /// Whether the sampler is shown name and attributes, or the trace alone.
    pub(super) shows: bool,
    pub(super) ids: Box<dyn IdGenerator>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            sampler: Box::new(Sampler::ParentBased(Box::new(Sampler::AlwaysOn))),
            shows: false,
            ids: Box::new(RandomIdGenerator::default()),
        }
    }
}

/// What a sampler has decided.
pub(super) struct Sampled {
    pub(super) context: SpanContext,
    pub(super) parent: SpanId,
    pub(super) parent_is_remote: bool,
    pub(super) attributes: Vec<KeyValue>,
}

impl Sampling {
    pub(super) fn ask(&self, facts: &Facts<'_>, parent: &Context, links: &[Link]) -> Sampled {
        let span = self.ids.new_span_id();
        let active = parent.span();
        let active = active.span_context();
        let (trace, flags, parent_id, is_remote) = if active.is_valid() {
            let (trace, flags) = (active.trace_id(), active.trace_flags());
            (trace, flags, active.span_id(), active.is_remote())
        } else {
            let trace = self.ids.new_trace_id();
            (trace, TraceFlags::default(), SpanId::INVALID, false)
        };
        let (mut name, mut attributes) = (Cow::Borrowed(""), Vec::new());
        if self.shows {
            name = facts.name();
            for_samplers(facts, &mut |attribute| attributes.push(attribute));
        }
        let kind = match facts.kind() {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        };
        let result =
            self.sampler
                .should_sample(Some(parent), trace, &name, &kind, &attributes, links);
        // Nobody would see what is recorded only: there are no processors but the one exporter.
        let flags = match result.decision {
            SamplingDecision::RecordAndSample => flags.with_sampled(true),
            SamplingDecision::RecordOnly | SamplingDecision::Drop => flags & RANDOM,
        };
        Sampled {
            context: SpanContext::new(trace, span, flags, false, result.trace_state),
            parent: parent_id,
            parent_is_remote: is_remote,
            attributes: result.attributes,
        }
    }
}
