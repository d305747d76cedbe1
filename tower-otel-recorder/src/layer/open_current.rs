//! The start of a `tracing` span below the current context. Spans that are sampled without calling the sampler, and children
//! that are not, take a shorter path.

use std::{mem, sync::Arc, time::Instant};

use opentelemetry::{
    Context, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};

use super::{parent::Parent, span_state::Recording};
use crate::{
    active::ActiveSpan,
    clock::Timestamp,
    context_span::ContextSpan,
    decision_rule::DecisionRule,
    keep::with_unheld_span,
    record::SpanRecord,
    sampling::{flags_with, with_sampled},
    tracer::RecorderTracer,
};

/// The decision about a new span, by its parent and a rule.
#[derive(Clone, Copy)]
enum Decision {
    /// Telemetry is suppressed.
    Suppressed,
    SampledChild,
    UnsampledChild,
    SampledRoot,
    /// The span is a root that is not sampled, or the sampler must be called.
    Other,
}

impl Decision {
    #[inline(always)]
    fn new(base: &Context, rule: DecisionRule) -> Self {
        if base.is_telemetry_suppressed() {
            return Self::Suppressed;
        }
        let parent = base.span();
        let parent = parent.span_context();
        if parent.is_valid() {
            return match rule.child(parent) {
                Some(true) => Self::SampledChild,
                Some(false) => Self::UnsampledChild,
                None => Self::Other,
            };
        }
        match rule.samples_all_roots() {
            true => Self::SampledRoot,
            false => Self::Other,
        }
    }
}

impl RecorderTracer {
    /// Opens a span whose parent is in the current context, like [`open_below`](Self::open_below). Calls `insert` with its context
    /// and its recording. `insert` takes the context out.
    #[inline(always)]
    pub(crate) fn open(
        &self,
        at: Instant,
        write: impl FnOnce(&mut SpanRecord),
        insert: impl FnOnce(&mut Context, Recording),
    ) {
        let shared = self.shared();
        if shared.pipeline.is_closed() {
            return;
        }
        let rule = shared.sampling.rule();
        let mut context = Context::new();
        let trace = match Context::map_current(|base| Decision::new(base, rule)) {
            Decision::Suppressed => return,
            Decision::SampledChild => None,
            Decision::SampledRoot => Some(shared.sampling.ids.new_trace_id()),
            Decision::UnsampledChild if !shared.keeper.rules().were_on() => {
                self.set_context_of_unsampled_child(&mut context);
                return insert(&mut context, Recording::Unsampled);
            }
            Decision::UnsampledChild | Decision::Other => {
                return self.open_other(at, write, insert);
            }
        };
        let span = shared.sampling.ids.new_span_id();
        let mut pooled = self.record(true);
        let record = &mut pooled.record;
        record.started = Timestamp::Instant(at);
        Context::map_current(|base| record.set_sampled_ids(base, trace, span));
        self.write(true, || write(record));
        record.start_attributes = record.attributes.len();
        Context::map_current(|base| record.set_context(&mut context, base));
        insert(&mut context, Recording::Sampled(ActiveSpan::new(pooled)));
    }

    #[inline(never)]
    fn set_context_of_unsampled_child(&self, context: &mut Context) {
        let span = self.shared().sampling.ids.new_span_id();
        Context::map_current(|base| {
            let parent = base.span();
            let parent = parent.span_context();
            let (trace, flags) = (parent.trace_id(), flags_with(parent.trace_flags(), false));
            let state = parent.trace_state().clone();
            let ids = SpanContext::new(trace, span, flags, false, state);
            *context = with_unheld_span(base, ids);
        });
    }

    #[inline(never)]
    fn open_other(
        &self,
        at: Instant,
        write: impl FnOnce(&mut SpanRecord),
        insert: impl FnOnce(&mut Context, Recording),
    ) {
        if let Some(state) = self.open_below(&Parent::Current, at, write) {
            let (mut context, recording, _) = state.into_parts();
            insert(&mut context, recording);
        }
    }
}

// Contexts without a trace state, the most frequent ones, are written field by field: a copy of a new struct waits until its
// fields are in the cache.
impl SpanRecord {
    /// Sets the ids of a sampled span. Its parent is the span of `base`, unless it starts a `trace`.
    #[inline(always)]
    fn set_sampled_ids(&mut self, base: &Context, trace: Option<TraceId>, span: SpanId) {
        let (trace, flags) = match trace {
            Some(trace) => {
                self.parent = SpanId::INVALID;
                self.parent_is_remote = false;
                (trace, TraceFlags::SAMPLED)
            }
            None => {
                let parent = base.span();
                let parent = parent.span_context();
                self.parent = parent.span_id();
                self.parent_is_remote = parent.is_remote();
                if *parent.trace_state() != TraceState::NONE {
                    return self.set_ids_with_state(parent, span);
                }
                (parent.trace_id(), with_sampled(parent.trace_flags()))
            }
        };
        self.context = SpanContext::new(trace, span, flags, false, TraceState::NONE);
    }

    #[inline(never)]
    fn set_ids_with_state(&mut self, parent: &SpanContext, span: SpanId) {
        let (trace, flags) = (parent.trace_id(), with_sampled(parent.trace_flags()));
        let state = parent.trace_state().clone();
        self.context = SpanContext::new(trace, span, flags, false, state);
    }

    /// Sets `empty`, which must be an empty context, to a context with the span.
    #[inline(always)]
    fn set_context(&self, empty: &mut Context, base: &Context) {
        let ids = &self.context;
        if *ids.trace_state() != TraceState::NONE {
            return self.set_context_with_state(empty, base);
        }
        let span = ContextSpan::without_state(ids, &self.changes);
        // Without the destructor of the empty context, which does nothing, the compiler writes the new one in place.
        mem::forget(mem::replace(empty, span.into_context(base)));
    }

    #[inline(never)]
    fn set_context_with_state(&self, empty: &mut Context, base: &Context) {
        let changes = Arc::clone(&self.changes);
        let span = ContextSpan::new(self.context.clone(), changes);
        *empty = span.into_context(base);
    }
}
