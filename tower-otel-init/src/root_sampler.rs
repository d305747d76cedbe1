//! Samples local roots by a rate or by rules.

use std::sync::Arc;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    Sampler as SdkSampler, SamplingDecision, SamplingResult, ShouldSample,
};
use tower_otel_recorder::Recorder;

use crate::rate_limit::RateLimit;
use crate::sampler::{Sampler, Share};

/// A [`Sampler`] for the recorder, with the state of its rate.
#[derive(Clone, Debug)]
pub(crate) struct RootSampler {
    sampler: Arc<Sampler>,
    limit: Arc<RateLimit>,
}

/// Sets the sampler of the recorder.
pub(crate) fn set(recorder: &Recorder, sampler: &Sampler) {
    let ratio = match sampler.share {
        Share::Off => Some(0.0),
        Share::Ratio(ratio) => Some(ratio),
        Share::PerSecond(_) => None,
    };
    match ratio {
        // The recorder's own sampler has this ratio.
        Some(ratio) if sampler.rules.is_empty() => {
            recorder.set_ratio(ratio, sampler.is_parent_based);
        }
        // The recorder calls the sampler only for spans without a parent.
        _ if sampler.is_parent_based => {
            let roots = Box::new(RootSampler::new(sampler));
            recorder.set_sampler(SdkSampler::ParentBased(roots));
        }
        _ => recorder.set_sampler(RootSampler::new(sampler)),
    }
}

impl RootSampler {
    pub(crate) fn new(sampler: &Sampler) -> Self {
        let per_second = match sampler.share {
            Share::PerSecond(traces) => traces,
            _ => 1,
        };
        Self {
            sampler: Arc::new(sampler.clone()),
            limit: Arc::new(RateLimit::new(per_second)),
        }
    }

    fn samples_root(&self, trace: TraceId, attributes: &[KeyValue]) -> bool {
        let mut rules = self.sampler.rules.iter();
        let rule = rules.find(|rule| rule.matches(attributes));
        match rule.map_or(self.sampler.share, |rule| Share::Ratio(rule.ratio)) {
            Share::Off => false,
            Share::Ratio(ratio) => {
                let sampler = SdkSampler::TraceIdRatioBased(ratio);
                let result = sampler.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
                result.decision == SamplingDecision::RecordAndSample
            }
            Share::PerSecond(_) => self.limit.allows(),
        }
    }
}

impl ShouldSample for RootSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        _: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent = parent.map(|parent| parent.span().span_context().clone());
        let parent = parent.filter(|parent| parent.is_valid());
        let is_sampled = match &parent {
            Some(parent) if self.sampler.is_parent_based || !parent.is_remote() => {
                parent.is_sampled()
            }
            _ => self.samples_root(trace, attributes),
        };
        SamplingResult {
            decision: match is_sampled {
                true => SamplingDecision::RecordAndSample,
                false => SamplingDecision::Drop,
            },
            attributes: Vec::new(),
            trace_state: parent.map_or(TraceState::NONE, |parent| parent.trace_state().clone()),
        }
    }
}
