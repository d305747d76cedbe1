//! Sampling decisions and ids of new spans.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};

/// The flag of W3C Trace Context level 2 for trace ids that are random. It is passed on unchanged.
const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// The sampler and the id generator.
#[derive(Debug)]
pub(crate) struct Sampling {
    pub(crate) sampler: SamplerInput,
    pub(crate) ids: Box<dyn IdGenerator>,
}

/// A sampler, by the input it needs.
#[derive(Debug)]
pub(crate) enum SamplerInput {
    /// The sampler gets the name and the attributes of the span.
    Full(Box<dyn ShouldSample>),
    /// The sampler gets the trace id and the parent only.
    TraceIdOnly(Sampler),
}

/// The name and the attributes of a span, for a sampler.
pub(crate) type SampledAttributes<'a> = (Cow<'a, str>, Vec<KeyValue>);

impl Default for Sampling {
    fn default() -> Self {
        let parent_based = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        Self {
            sampler: SamplerInput::TraceIdOnly(parent_based),
            ids: Box::new(RandomIdGenerator::default()),
        }
    }
}

/// The ids of a new span and the decision of the sampler, in the flags of the context.
#[derive(Debug)]
pub(crate) struct SampledSpan {
    pub(crate) context: SpanContext,
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    /// Attributes that the sampler adds. `None` if it was not asked.
    pub(crate) attributes: Option<Vec<KeyValue>>,
}

impl Sampling {
    /// Samples a span. Its parent is `remote`, or else the span of `base`.
    #[inline(always)]
    pub(crate) fn sample<'a>(
        &self,
        kind: &SpanKind,
        base: &Context,
        remote: Option<&SpanContext>,
        links: &[Link],
        attributes: impl FnOnce() -> SampledAttributes<'a>,
    ) -> SampledSpan {
        let child = match remote {
            Some(remote) => self.sample_child(remote),
            None => self.sample_child(base.span().span_context()),
        };
        if let Some(child) = child {
            return child;
        }
        let parent = remote.map(|remote| base.with_remote_span_context(remote.clone()));
        self.ask(kind, parent.as_ref().unwrap_or(base), links, attributes)
    }

    /// Samples a span with this parent if the sampler needs nothing else. Returns `None` for an invalid parent.
    #[inline(always)]
    pub(crate) fn sample_child(&self, parent: &SpanContext) -> Option<SampledSpan> {
        let SamplerInput::TraceIdOnly(sampler) = &self.sampler else {
            return None;
        };
        if !parent.is_valid() {
            return None;
        }
        let sampled = decision_by_parent(sampler, parent)?;
        Some(child_of(parent, self.ids.new_span_id(), sampled))
    }

    /// Samples a span if the sampler needs neither name nor attributes. Its parent is `parent`, the span of `base`.
    #[inline]
    pub(crate) fn sample_without_input(
        &self,
        parent: &SpanContext,
        base: impl FnOnce() -> Context,
    ) -> Option<SampledSpan> {
        let SamplerInput::TraceIdOnly(sampler) = &self.sampler else {
            return None;
        };
        if let Some(child) = self.sample_child(parent) {
            return Some(child);
        }
        let sampled = match sampler {
            Sampler::AlwaysOn => true,
            Sampler::AlwaysOff => false,
            _ => {
                let input = || (Cow::Borrowed(""), Vec::new());
                return Some(self.ask(&SpanKind::Internal, &base(), &[], input));
            }
        };
        let (trace, span) = (self.ids.new_trace_id(), self.ids.new_span_id());
        let flags = flags_with(TraceFlags::default(), sampled);
        Some(SampledSpan {
            context: SpanContext::new(trace, span, flags, false, TraceState::NONE),
            parent: SpanId::INVALID,
            parent_is_remote: false,
            attributes: None,
        })
    }

    /// Returns whether no span is sampled, whatever its parent is.
    pub(crate) const fn is_off(&self) -> bool {
        matches!(self.sampler, SamplerInput::TraceIdOnly(Sampler::AlwaysOff))
    }

    #[inline(never)]
    fn ask<'a>(
        &self,
        kind: &SpanKind,
        parent: &Context,
        links: &[Link],
        attributes: impl FnOnce() -> SampledAttributes<'a>,
    ) -> SampledSpan {
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
        let (sampler, (name, attributes)): (&dyn ShouldSample, _) = match &self.sampler {
            SamplerInput::Full(sampler) => (&**sampler, attributes()),
            SamplerInput::TraceIdOnly(sampler) => (sampler, (Cow::Borrowed(""), Vec::new())),
        };
        let result = sampler.should_sample(Some(parent), trace, &name, kind, &attributes, links);
        // `RecordOnly` is for span processors, and there are none.
        let flags = flags_with(flags, result.decision == SamplingDecision::RecordAndSample);
        SampledSpan {
            context: SpanContext::new(trace, span, flags, false, result.trace_state),
            parent: parent_id,
            parent_is_remote: is_remote,
            attributes: Some(result.attributes),
        }
    }
}

/// Returns the decision of a sampler of the SDK for a child of this span, where the parent is all it needs.
fn decision_by_parent(sampler: &Sampler, parent: &SpanContext) -> Option<bool> {
    match sampler {
        Sampler::AlwaysOn => Some(true),
        Sampler::AlwaysOff => Some(false),
        Sampler::ParentBased(_) => Some(parent.is_sampled()),
        // It reads the trace id only.
        Sampler::TraceIdRatioBased(_) => {
            let trace = parent.trace_id();
            let result = sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
            Some(result.decision == SamplingDecision::RecordAndSample)
        }
        _ => None,
    }
}

#[inline(always)]
fn child_of(parent: &SpanContext, span: SpanId, sampled: bool) -> SampledSpan {
    let flags = flags_with(parent.trace_flags(), sampled);
    let (trace, state) = (parent.trace_id(), parent.trace_state().clone());
    SampledSpan {
        context: SpanContext::new(trace, span, flags, false, state),
        parent: parent.span_id(),
        parent_is_remote: parent.is_remote(),
        attributes: None,
    }
}

fn flags_with(flags: TraceFlags, sampled: bool) -> TraceFlags {
    if sampled {
        flags.with_sampled(true)
    } else {
        flags & RANDOM
    }
}
