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
    pub(super) judge: Judge,
    pub(super) ids: Box<dyn IdGenerator>,
}

/// Who decides.
#[derive(Debug)]
pub(super) enum Judge {
    /// Who is shown name and attributes.
    Shown(Box<dyn ShouldSample>),
    /// Who looks at the trace alone.
    ByTrace(Sampler),
}

impl Default for Sampling {
    fn default() -> Self {
        let parents = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        Self {
            judge: Judge::ByTrace(parents),
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
    /// `remote` is the parent, if that is not the span of the context beneath.
    pub(super) fn ask(
        &self,
        facts: &Facts<'_>,
        beneath: &Context,
        remote: Option<SpanContext>,
        links: &[Link],
    ) -> Sampled {
        let span = self.ids.new_span_id();
        let remote = match (&self.judge, remote) {
            (_, None) => None,
            (Judge::ByTrace(sampler), Some(remote)) => match at_once(sampler, &remote) {
                Some(sampled) => return follow(remote, span, sampled),
                None => Some(remote),
            },
            (Judge::Shown(_), remote) => remote,
        };
        let above = remote.map(|remote| beneath.with_remote_span_context(remote));
        self.ask_about(facts, above.as_ref().unwrap_or(beneath), span, links)
    }

    fn ask_about(
        &self,
        facts: &Facts<'_>,
        parent: &Context,
        span: SpanId,
        links: &[Link],
    ) -> Sampled {
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
        let sampler: &dyn ShouldSample = match &self.judge {
            Judge::Shown(sampler) => {
                name = facts.name();
                for_samplers(facts, &mut attributes);
                &**sampler
            }
            Judge::ByTrace(sampler) => sampler,
        };
        let kind = match facts.kind() {
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        };
        let result = sampler.should_sample(Some(parent), trace, &name, &kind, &attributes, links);
        // Nobody would see what is recorded only: there are no processors but the one exporter.
        let flags = flagged(flags, result.decision == SamplingDecision::RecordAndSample);
        Sampled {
            context: SpanContext::new(trace, span, flags, false, result.trace_state),
            parent: parent_id,
            parent_is_remote: is_remote,
            attributes: result.attributes,
        }
    }
}

/// What the sampler says of a child of this span, where that can be told without asking it.
fn at_once(sampler: &Sampler, parent: &SpanContext) -> Option<bool> {
    match sampler {
        Sampler::AlwaysOn => Some(true),
        Sampler::AlwaysOff => Some(false),
        Sampler::ParentBased(_) => Some(parent.is_sampled()),
        // It looks at the id of the trace alone.
        Sampler::TraceIdRatioBased(_) => {
            let trace = parent.trace_id();
            let asked = sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
            Some(asked.decision == SamplingDecision::RecordAndSample)
        }
        _ => None,
    }
}

fn follow(parent: SpanContext, span: SpanId, sampled: bool) -> Sampled {
    let flags = flagged(parent.trace_flags(), sampled);
    let (trace, state) = (parent.trace_id(), parent.trace_state().clone());
    Sampled {
        context: SpanContext::new(trace, span, flags, false, state),
        parent: parent.span_id(),
        parent_is_remote: true,
        attributes: Vec::new(),
    }
}

fn flagged(flags: TraceFlags, sampled: bool) -> TraceFlags {
    if sampled {
        flags.with_sampled(true)
    } else {
        flags & RANDOM
    }
}
