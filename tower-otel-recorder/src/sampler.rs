//! The sampler of a recorder, which can be replaced while spans start.

use std::{
    any::Any,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
};

use arc_swap::{ArcSwap, Guard};
use opentelemetry::{TraceId, trace::SpanContext};
use opentelemetry_sdk::trace::{Sampler, ShouldSample};

use crate::decision_rule::{Children, DecisionRule};

/// The current sampler. A span reads it with one load, unless a custom sampler must be called.
#[derive(Debug)]
pub(crate) struct LiveSampler {
    /// The rule of `sampler`.
    rule: AtomicU64,
    sampler: ArcSwap<SamplerState>,
    /// Locked while the sampler is replaced.
    replacing: Mutex<()>,
}

/// A rule, and the sampler that is called if the rule does not decide.
#[derive(Debug)]
pub(crate) struct SamplerState {
    rule: DecisionRule,
    asked: Asked,
}

/// The sampler that is called.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The rule decides.
    None,
    /// The sampler receives only the trace id and the parent.
    WithoutAttributes(Box<dyn ShouldSample>),
    /// The sampler also receives the name and the attributes of the span.
    WithAttributes(Box<dyn ShouldSample>),
}

impl LiveSampler {
    pub(crate) fn new(sampler: SamplerState) -> Self {
        Self {
            rule: AtomicU64::new(sampler.rule.to_bits()),
            sampler: ArcSwap::from_pointee(sampler),
            replacing: Mutex::new(()),
        }
    }

    /// Replaces the sampler. Each decision uses either the old sampler or the new one.
    pub(crate) fn set(&self, sampler: SamplerState) {
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rule = sampler.rule.to_bits();
        // In this order, so that a thread that reads a rule that does not decide also reads its sampler, or a newer one.
        let _replaced = self.sampler.swap(Arc::new(sampler));
        self.rule.store(rule, Release);
    }

    #[inline(always)]
    pub(crate) fn rule(&self) -> DecisionRule {
        DecisionRule::from_bits(self.rule.load(Acquire))
    }

    /// Returns the current state.
    pub(crate) fn state(&self) -> Guard<Arc<SamplerState>> {
        self.sampler.load()
    }
}

impl SamplerState {
    /// Returns a sampler that decides by the trace id for spans without a parent, and for spans whose parent it does not
    /// follow.
    pub(crate) const fn ratio(ratio: f64, children: Children) -> Self {
        Self {
            rule: DecisionRule::ratio(ratio, children),
            asked: Asked::None,
        }
    }

    /// Returns the state of a sampler of the SDK. It needs no attributes.
    pub(crate) fn without_attributes(sampler: Sampler) -> Self {
        let by_trace_id = |ratio| Self::ratio(ratio, Children::ByTraceId);
        match sampler {
            Sampler::AlwaysOn => by_trace_id(1.0),
            Sampler::AlwaysOff => by_trace_id(0.0),
            Sampler::TraceIdRatioBased(ratio) => by_trace_id(ratio),
            Sampler::ParentBased(_) => Self {
                rule: DecisionRule::asks_for_roots(Children::FollowParent),
                asked: Asked::WithoutAttributes(Box::new(sampler)),
            },
            _ => Self {
                rule: DecisionRule::asks_for_roots(Children::Ask),
                asked: Asked::WithoutAttributes(Box::new(sampler)),
            },
        }
    }

    /// Returns the state of any sampler. The sampler receives attributes, unless it is known to need none.
    pub(crate) fn with_attributes(sampler: impl Into<Box<dyn ShouldSample>> + 'static) -> Self {
        let known = (&sampler as &dyn Any).downcast_ref::<Sampler>();
        let rule = match known {
            Some(
                known @ (Sampler::AlwaysOn | Sampler::AlwaysOff | Sampler::TraceIdRatioBased(_)),
            ) => {
                return Self::without_attributes(known.clone());
            }
            Some(Sampler::ParentBased(_)) => DecisionRule::asks_for_roots(Children::FollowParent),
            _ => DecisionRule::asks_for_roots(Children::Ask),
        };
        Self {
            rule,
            asked: Asked::WithAttributes(sampler.into()),
        }
    }

    /// Returns the decision for a span with this parent or, if the parent is not valid, for a root of this trace. Returns
    /// `None` if the sampler must be called.
    pub(crate) fn decision(&self, parent: &SpanContext, trace: TraceId) -> Option<bool> {
        match parent.is_valid() {
            true => self.rule.child(parent),
            false => self.rule.root(trace),
        }
    }

    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }
}
