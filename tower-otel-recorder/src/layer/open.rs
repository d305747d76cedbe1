//! The start of any `tracing` span, and a change of its parent.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, TraceContextExt},
};

use super::{
    parent::Parent,
    span_state::{Recording, SpanState},
};
use crate::{
    active::ActiveSpan,
    base_context::BaseContext,
    clock::Timestamp,
    context_span::ContextSpan,
    keep::with_unheld_span,
    origin::Origin,
    record::{Name, SpanRecord},
    sampling::SampledSpan,
    shared::{PooledRecord, SpanTrace},
    thread_index,
    tracer::RecorderTracer,
};

impl RecorderTracer {
    /// Opens a span. `write` writes kind, name and attributes. Returns `None` if the recorder is shut down or telemetry is
    /// suppressed.
    ///
    /// `write` is not called for a child of an unsampled parent, unless the child is held. An unsampled root span keeps its
    /// record, because [`reparent`](Self::reparent) can make it the child of a sampled span.
    #[inline(never)]
    pub(crate) fn open_below(
        &self,
        parent: &Parent,
        at: Instant,
        write: impl FnOnce(&mut SpanRecord),
    ) -> Option<SpanState> {
        let shared = self.shared();
        if shared.pipeline.is_closed() {
            return None;
        }
        let parent_span = parent.read(|base| {
            let is_suppressed = base.is_telemetry_suppressed();
            (!is_suppressed).then(|| base.span().span_context().clone())
        })?;
        let sampling = &shared.sampling;
        let early = sampling.sample_without_input(&parent_span, || parent.context());
        let mut held = None;
        if let Some(early) = &early
            && !early.context.is_sampled()
            && (parent_span.is_valid() || sampling.is_off())
        {
            held = shared.hold(parent.base(), early, Some(at));
            if held.is_none() {
                let ids = early.context.clone();
                return Some(unsampled(parent, ids, Recording::Unsampled));
            }
        }
        let is_counted = early
            .as_ref()
            .is_some_and(|early| early.context.is_sampled());
        let mut pooled = self.record(is_counted);
        let mut trace = pooled.set_held(held);
        let record = &mut pooled.record;
        record.started = Timestamp::Instant(at);
        self.write(is_counted, || write(record));
        record.start_attributes = record.attributes.len();
        let sampled = early.unwrap_or_else(|| self.sample(record, &parent.context()));
        let is_sampled = sampled.context.is_sampled();
        if is_sampled && !is_counted {
            self.correct_started(1);
        } else if !is_sampled && trace.is_none() {
            trace = shared.hold_record(parent.base(), &sampled, &mut pooled);
            if trace.is_none() {
                let recording = Recording::UnsampledRoot(pooled);
                return Some(unsampled(parent, sampled.context, recording));
            }
        }
        let ids = sampled.context.clone();
        pooled.record.set_sampled(sampled);
        let context = parent.read(|base| context_with_span(base, ids, &pooled, trace));
        let span = ActiveSpan::new(pooled);
        let recording = match is_sampled {
            true => Recording::Sampled(span),
            false => Recording::Held(span),
        };
        Some(SpanState::new(context, recording))
    }

    /// Sets another parent for a span that was not entered, and samples it again. Returns the replaced context. `at` and
    /// `origin` are used if the span has no record yet.
    pub(crate) fn reparent(
        &self,
        state: &mut SpanState,
        base: &Context,
        at: Instant,
        origin: Origin,
    ) -> Context {
        let is_counted = state.is_sampled();
        let mut pooled = state.take_recording().into_record().unwrap_or_else(|| {
            let mut pooled = self.record(false);
            pooled.record.started = Timestamp::Instant(at);
            pooled.record.set_origin(origin);
            pooled
        });
        pooled.cancel_held();
        let sampled = self.sample(&pooled.record, base);
        let context = sampled.context.clone();
        if context.is_sampled() {
            pooled.is_counted_not_held = false;
            if !is_counted {
                self.correct_started(1);
            }
            set_sampled_again(&mut pooled.record, sampled);
            let context = context_with_span(base, context, &pooled, None);
            state.replace(context, Recording::Sampled(ActiveSpan::new(pooled)))
        } else {
            if is_counted {
                self.correct_started(-1);
            }
            let trace =
                self.shared()
                    .hold_record(BaseContext::Context(base), &sampled, &mut pooled);
            if trace.is_some() {
                set_sampled_again(&mut pooled.record, sampled);
                let context = context_with_span(base, context, &pooled, trace);
                return state.replace(context, Recording::Held(ActiveSpan::new(pooled)));
            }
            let context = with_unheld_span(base, context);
            state.replace(context, Recording::UnsampledRoot(pooled))
        }
    }

    fn correct_started(&self, by: i64) {
        let thread = thread_index::current();
        self.shared().pipeline.correct_started(thread, by);
    }

    /// Discards an open span as if it had not been opened.
    pub(crate) fn discard_span(&self, state: SpanState) {
        if state.is_sampled() {
            self.correct_started(-1);
        }
        if let Some(record) = state.into_record() {
            self.discard(record);
        }
    }

    #[inline(never)]
    fn sample(&self, record: &SpanRecord, base: &Context) -> SampledSpan {
        let sampling = &self.shared().sampling;
        sampling.sample(&record.kind, base, None, &[], || sampler_input(record))
    }
}

#[inline(never)]
fn unsampled(parent: &Parent, ids: SpanContext, recording: Recording) -> SpanState {
    let context = parent.read(|base| with_unheld_span(base, ids));
    SpanState::new(context, recording)
}

fn sampler_input(record: &SpanRecord) -> (Cow<'_, str>, Vec<KeyValue>) {
    let name = match record.name {
        Name::Static(name) => name,
        Name::Text(range) => record.attributes.stored(range),
    };
    let attributes = record.attributes.key_values(0, record.attributes.len());
    (Cow::Borrowed(name), attributes.collect())
}

/// Replaces ids, parent and the attributes of the sampler.
fn set_sampled_again(record: &mut SpanRecord, sampled: SampledSpan) {
    if let Some(extras) = &mut record.extras {
        // The sampler added these when the span was opened. Their bytes stay counted.
        let attributes = &mut extras.attributes;
        let added = sampled.attributes.as_deref().unwrap_or_default();
        attributes.retain(|attribute| !added.contains(attribute));
    }
    record.set_sampled(sampled);
}

fn context_with_span(
    base: &Context,
    context: SpanContext,
    pooled: &PooledRecord,
    trace: SpanTrace,
) -> Context {
    let changes = Arc::clone(&pooled.record.changes);
    let span = ContextSpan::new(context, changes);
    span.into_context_of(base, trace, pooled.inherits_trace())
}
