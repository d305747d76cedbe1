//! Sampling decisions that need only ids, in one word.

use opentelemetry::{TraceId, trace::SpanContext};

/// The rule for spans with and without a parent, in 64 bits, so that a thread reads it with one load.
///
/// | bits | content |
/// |---|---|
/// | 0 to 60 | a threshold up to 2⁶⁰: a trace id is sampled if the number in its bits 3 to 62 is below it |
/// | 61, 62 | [`Children`] |
/// | 63 | whether the sampler is called for spans without a parent |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecisionRule(u64);

/// The rule for spans with a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Children {
    /// Like the parent.
    FollowParent,
    /// Like the parent if it is in this process, otherwise like spans without a parent.
    FollowLocal,
    /// By the trace id, regardless of the parent.
    ByTraceId,
    /// By the sampler.
    Ask,
}

const THRESHOLD_BITS: u32 = 60;
const ALL: u64 = 1 << THRESHOLD_BITS;
const CHILDREN_SHIFT: u32 = 61;
const ASKS_FOR_ROOTS: u64 = 1 << 63;

/// The SDK compares 63 bits of a trace id. Ignoring the lowest three changes one decision in 2⁶⁰, and only for ratios below
/// 0.01.
const IGNORED_BITS: u32 = 63 - THRESHOLD_BITS;

impl DecisionRule {
    pub(crate) const fn ratio(ratio: f64, children: Children) -> Self {
        // As in the SDK. The conversion to an integer saturates, and converts NaN to 0.
        let threshold = (ratio * (1_u64 << 63) as f64) as u64 >> IGNORED_BITS;
        let threshold = if threshold > ALL { ALL } else { threshold };
        Self(threshold | Self::children_bits(children))
    }

    pub(crate) const fn asks_for_roots(children: Children) -> Self {
        Self(ASKS_FOR_ROOTS | Self::children_bits(children))
    }

    const fn children_bits(children: Children) -> u64 {
        let number = match children {
            Children::FollowParent => 0,
            Children::FollowLocal => 1,
            Children::ByTraceId => 2,
            Children::Ask => 3,
        };
        number << CHILDREN_SHIFT
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    #[inline(always)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline(always)]
    const fn children(self) -> Children {
        match (self.0 >> CHILDREN_SHIFT) & 3 {
            0 => Children::FollowParent,
            1 => Children::FollowLocal,
            2 => Children::ByTraceId,
            _ => Children::Ask,
        }
    }

    /// Returns the decision for a span with this valid parent, or `None` if the sampler must be called.
    #[inline(always)]
    pub(crate) fn child(self, parent: &SpanContext) -> Option<bool> {
        match self.children() {
            Children::FollowParent => Some(parent.is_sampled()),
            Children::FollowLocal if !parent.is_remote() => Some(parent.is_sampled()),
            Children::FollowLocal => self.root(parent.trace_id()),
            Children::ByTraceId => Some(self.includes(parent.trace_id())),
            Children::Ask => None,
        }
    }

    /// Returns the decision for a span without a parent, or `None` if the sampler must be called.
    #[inline(always)]
    pub(crate) fn root(self, trace: TraceId) -> Option<bool> {
        (!self.asks_for_root()).then(|| self.includes(trace))
    }

    /// Returns whether the sampler must be called for a span without a parent.
    #[inline(always)]
    pub(crate) const fn asks_for_root(self) -> bool {
        self.0 & ASKS_FOR_ROOTS != 0
    }

    /// Returns whether all spans without a parent are sampled without calling the sampler.
    #[cfg(feature = "layer")]
    #[inline(always)]
    pub(crate) const fn samples_all_roots(self) -> bool {
        !self.asks_for_root() && self.threshold() == ALL
    }

    /// Returns whether no span is sampled except children of sampled spans of this process.
    pub(crate) const fn is_off(self) -> bool {
        let follows_remote = matches!(self.children(), Children::FollowParent | Children::Ask);
        !follows_remote && !self.asks_for_root() && self.threshold() == 0
    }

    const fn threshold(self) -> u64 {
        self.0 & (ALL | (ALL - 1))
    }

    fn includes(self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        let id = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> (1 + IGNORED_BITS);
        id < self.threshold()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::{
        SpanId, TraceFlags,
        trace::{SpanKind, TraceState},
    };
    use opentelemetry_sdk::trace::{
        IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
    };

    use super::*;

    fn parent(is_sampled: bool, is_remote: bool, trace: TraceId) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(is_sampled);
        SpanContext::new(trace, SpanId::from(1), flags, is_remote, TraceState::NONE)
    }

    #[test]
    fn a_ratio_decides_as_the_sampler_of_the_sdk() {
        let ids = RandomIdGenerator::default();
        for ratio in [-1.0, 0.0, 1e-9, 0.001, 0.1, 0.25, 0.9, 1.0, 7.0, f64::NAN] {
            let rule = DecisionRule::ratio(ratio, Children::ByTraceId);
            let sdk = Sampler::TraceIdRatioBased(ratio);
            let edges = [TraceId::from(1), TraceId::from(u128::MAX)];
            for trace in edges
                .into_iter()
                .chain((0..1000).map(|_| ids.new_trace_id()))
            {
                let result = sdk.should_sample(None, trace, "", &SpanKind::Server, &[], &[]);
                let expected = result.decision == SamplingDecision::RecordAndSample;
                assert_eq!(rule.root(trace), Some(expected), "{ratio} {trace}");
            }
        }
    }

    #[test]
    fn children_follow_the_parent_that_the_rule_names() {
        let trace = TraceId::from(7);
        for (children, local, remote) in [
            (Children::FollowParent, Some(true), Some(true)),
            (Children::FollowLocal, Some(true), Some(false)),
            (Children::ByTraceId, Some(false), Some(false)),
            (Children::Ask, None, None),
        ] {
            let rule = DecisionRule::ratio(0.0, children);
            assert_eq!(rule.child(&parent(true, false, trace)), local);
            assert_eq!(rule.child(&parent(true, true, trace)), remote);
            assert_eq!(DecisionRule::from_bits(rule.to_bits()), rule);
        }
    }

    #[test]
    fn a_rule_is_off_if_no_remote_parent_switches_it_on() {
        for (children, expected) in [
            (Children::FollowParent, false),
            (Children::FollowLocal, true),
            (Children::ByTraceId, true),
            (Children::Ask, false),
        ] {
            assert_eq!(DecisionRule::ratio(0.0, children).is_off(), expected);
            assert!(!DecisionRule::ratio(1e-3, children).is_off());
            assert!(!DecisionRule::asks_for_roots(children).is_off());
        }
    }
}
