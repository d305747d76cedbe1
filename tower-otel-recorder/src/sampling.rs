//! Sampling decisions and ids of new spans.

use std::borrow::Cow;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags,
    trace::{Link, SpanContext, SpanKind, TraceContextExt, TraceState},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};

#[cfg(feature = "layer")]
use crate::decision_rule::DecisionRule;
use crate::sampler::{Asked, LiveSampler, SamplerState};

/// The flag of W3C Trace Context level 2 for random trace ids. It is passed on unchanged.
const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// The sampler and the id generator.
#[derive(Debug)]
pub(crate) struct Sampling {
    pub(crate) sampler: LiveSampler,
    pub(crate) ids: Box<dyn IdGenerator>,
}

/// The name and the attributes of a span, for a sampler.
pub(crate) type SampledAttributes<'a> = (Cow<'a, str>, Vec<KeyValue>);

impl Default for Sampling {
    fn default() -> Self {
        let parent_based = Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
        Self {
            sampler: LiveSampler::new(SamplerState::without_attributes(parent_based)),
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
    /// Attributes that the sampler adds. `None` if it was not called.
    pub(crate) attributes: Option<Vec<KeyValue>>,
}

impl Sampling {
    /// Samples a span. Its parent is `remote`, else the span of `base`.
    #[inline(always)]
    pub(crate) fn sample<'a>(
        &self,
        kind: &SpanKind,
        base: &Context,
        remote: Option<&SpanContext>,
        links: &[Link],
        attributes: impl FnOnce() -> SampledAttributes<'a>,
    ) -> SampledSpan {
        let sampled = match remote {
            Some(remote) => self.sample_by_rule(remote),
            None => self.sample_by_rule(base.span().span_context()),
        };
        if let Some(sampled) = sampled {
            return sampled;
        }
        let parent = remote.map(|remote| base.with_remote_span_context(remote.clone()));
        let parent = parent.as_ref().unwrap_or(base);
        self.ask(&self.sampler.state(), kind, parent, links, attributes)
    }

    /// Samples a span without calling the sampler. `parent` is invalid for a span that starts a trace.
    #[inline(always)]
    fn sample_by_rule(&self, parent: &SpanContext) -> Option<SampledSpan> {
        let rule = self.sampler.rule();
        if parent.is_valid() {
            let sampled = rule.child(parent)?;
            return Some(child_of(parent, self.ids.new_span_id(), sampled));
        }
        if rule.asks_for_root() {
            return None;
        }
        let trace = self.ids.new_trace_id();
        let sampled = rule.root(trace)?;
        let flags = flags_with(TraceFlags::default(), sampled);
        let span = self.ids.new_span_id();
        Some(SampledSpan {
            context: SpanContext::new(trace, span, flags, false, TraceState::NONE),
            parent: SpanId::INVALID,
            parent_is_remote: false,
            attributes: None,
        })
    }

    /// Returns the context of a new span with this parent in another process. Returns `None` if the parent has a trace state or
    /// is invalid, if the sampler must be called, or if the span is not sampled.
    #[inline(always)]
    pub(crate) fn sampled_child_of_remote(&self, parent: &SpanContext) -> Option<SpanContext> {
        let (trace, flags) = (parent.trace_id(), parent.trace_flags());
        let has_no_state = *parent.trace_state() == TraceState::NONE;
        let rule = self.sampler.rule();
        let is_sampled = has_no_state && parent.is_valid() && rule.child(parent) == Some(true);
        is_sampled.then(|| {
            let span = self.ids.new_span_id();
            SpanContext::new(trace, span, with_sampled(flags), false, TraceState::NONE)
        })
    }

    /// Samples a span if the sampler needs neither name nor attributes. Its parent is `parent`, the span of `base`.
    #[inline]
    pub(crate) fn sample_without_input(
        &self,
        parent: &SpanContext,
        base: impl FnOnce() -> Context,
    ) -> Option<SampledSpan> {
        let sampled = self.sample_by_rule(parent);
        if sampled.is_some() {
            return sampled;
        }
        let sampler = self.sampler.state();
        if let Asked::WithAttributes(_) = sampler.asked() {
            return None;
        }
        let input = || (Cow::Borrowed(""), Vec::new());
        Some(self.ask(&sampler, &SpanKind::Internal, &base(), &[], input))
    }

    /// Returns the rule of the sampler.
    #[cfg(feature = "layer")]
    #[inline(always)]
    pub(crate) fn rule(&self) -> DecisionRule {
        self.sampler.rule()
    }

    /// Returns whether no span is sampled except children of sampled spans of this process.
    pub(crate) fn is_off(&self) -> bool {
        self.sampler.rule().is_off()
    }

    #[inline(never)]
    fn ask<'a>(
        &self,
        sampler: &SamplerState,
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
        let by_rule = |sampled| {
            let state = active.trace_state().clone();
            (sampled, state, Vec::new())
        };
        let ask = |sampler: &dyn ShouldSample, (name, attributes): SampledAttributes<'_>| {
            let result =
                sampler.should_sample(Some(parent), trace, &name, kind, &attributes, links);
            // `RecordOnly` is for span processors, and there are none.
            let sampled = result.decision == SamplingDecision::RecordAndSample;
            (sampled, result.trace_state, result.attributes)
        };
        let (sampled, state, attributes) = match (sampler.decision(active, trace), sampler.asked())
        {
            (Some(sampled), _) => by_rule(sampled),
            (None, Asked::None) => by_rule(false),
            (None, Asked::WithoutAttributes(sampler)) => {
                ask(&**sampler, (Cow::Borrowed(""), Vec::new()))
            }
            (None, Asked::WithAttributes(sampler)) => ask(&**sampler, attributes()),
        };
        SampledSpan {
            context: SpanContext::new(trace, span, flags_with(flags, sampled), false, state),
            parent: parent_id,
            parent_is_remote: is_remote,
            attributes: Some(attributes),
        }
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

/// Returns the flags of a sampled span, from the flags of its parent.
pub(crate) fn with_sampled(flags: TraceFlags) -> TraceFlags {
    flags.with_sampled(true)
}

pub(crate) fn flags_with(flags: TraceFlags, sampled: bool) -> TraceFlags {
    if sampled {
        with_sampled(flags)
    } else {
        flags & RANDOM
    }
}
