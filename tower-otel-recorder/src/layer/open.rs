//! The start of a `tracing` span, and a change of its parent.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, TraceContextExt},
};

use super::span_state::{Recording, SpanState};
use crate::{
    active::ActiveSpan,
    clock::Timestamp,
    context_span::ContextSpan,
    origin::Origin,
    record::{Name, SpanRecord},
    sampling::SampledSpan,
    shared::{RecordBox, SpanTrace},
    thread_index,
    tracer::RecorderTracer,
};

impl RecorderTracer {
    /// Opens a span with the parent in `base`. `write` writes kind, name and attributes. Returns `None` if nothing is
    /// recorded: the recorder is shut down or telemetry is suppressed.
    ///
    /// `write` is not called if the parent decides that the span is not sampled, unless the span is held. A root span that is not sampled keeps
    /// its record, because [`reparent`](Self::reparent) can make it the child of a sampled span.
    pub(crate) fn open(
        &self,
        base: &Context,
        at: Instant,
        write: impl FnOnce(&mut SpanRecord),
    ) -> Option<SpanState> {
        let shared = self.shared();
        if shared.pipeline.is_closed() || base.is_telemetry_suppressed() {
            return None;
        }
        let child = shared.sampling.sample_child(base.span().span_context());
        let mut held = None;
        if let Some(child) = &child
            && !child.context.is_sampled()
        {
            held = shared.hold(base, child);
            if held.is_none() {
                let context = base.with_remote_span_context(child.context.clone());
                return Some(SpanState::new(context, Recording::Unsampled));
            }
        }
        let is_counted = child.is_some() && held.is_none();
        let mut pooled = self.record(is_counted);
        let mut trace = pooled.set_held(held);
        let record = &mut pooled.record;
        record.started = Timestamp::Instant(at);
        self.write(is_counted, || write(record));
        record.start_attributes = record.attributes.len();
        let sampled = child.unwrap_or_else(|| self.sample(record, base));
        let context = sampled.context.clone();
        if context.is_sampled() {
            if !is_counted {
                self.correct_started(1);
            }
            record.set_sampled(sampled);
            let context = context_with_span(base, context, record, None);
            let span = ActiveSpan::new(pooled);
            return Some(SpanState::new(context, Recording::Sampled(span)));
        }
        if trace.is_none() {
            trace = pooled.set_held(shared.hold(base, &sampled));
        }
        if trace.is_some() {
            let (context, recording) = held_span(pooled, base, sampled, trace);
            return Some(SpanState::new(context, recording));
        }
        let recording = if shared.sampling.is_off() {
            self.discard(pooled);
            Recording::Unsampled
        } else {
            Recording::UnsampledRoot(pooled)
        };
        let context = base.with_remote_span_context(context);
        Some(SpanState::new(context, recording))
    }

    /// Gives a span that was not entered another parent, and samples it again. Returns the context that it replaced. `at`
    /// and `origin` are those of a span that has no record yet.
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
        let record = &mut pooled.record;
        let sampled = self.sample(record, base);
        let context = sampled.context.clone();
        if context.is_sampled() {
            if !is_counted {
                self.correct_started(1);
            }
            remove_attributes(record, &sampled);
            record.set_sampled(sampled);
            let context = context_with_span(base, context, record, None);
            state.replace(context, Recording::Sampled(ActiveSpan::new(pooled)))
        } else {
            if is_counted {
                self.correct_started(-1);
            }
            let trace = pooled.set_held(self.shared().hold(base, &sampled));
            if trace.is_some() {
                let (context, recording) = held_span(pooled, base, sampled, trace);
                return state.replace(context, recording);
            }
            let context = base.with_remote_span_context(context);
            state.replace(context, Recording::UnsampledRoot(pooled))
        }
    }

    fn correct_started(&self, by: i64) {
        let thread = thread_index::current();
        self.shared().pipeline.correct_started(thread, by);
    }

    /// Discards a span that was opened, as if it had not been.
    pub(crate) fn discard_span(&self, state: SpanState) {
        if state.is_sampled() {
            self.correct_started(-1);
        }
        if let Some(record) = state.into_record() {
            self.discard(record);
        }
    }

    fn sample(&self, record: &SpanRecord, base: &Context) -> SampledSpan {
        let sampling = &self.shared().sampling;
        sampling.sample(&record.kind, base, None, &[], || sampler_input(record))
    }
}

fn sampler_input(record: &SpanRecord) -> (Cow<'_, str>, Vec<KeyValue>) {
    let name = match record.name {
        Name::Static(name) => name,
        Name::Text(range) => record.attributes.stored(range),
    };
    let attributes = record.attributes.key_values(0, record.attributes.len());
    (Cow::Borrowed(name), attributes.collect())
}

/// Removes the attributes that the sampler has added when the span was opened. Their bytes stay taken.
fn remove_attributes(record: &mut SpanRecord, sampled: &SampledSpan) {
    if let Some(extras) = &mut record.extras {
        let attributes = &mut extras.attributes;
        attributes.retain(|attribute| !sampled.attributes.contains(attribute));
    }
}

/// Returns the context and the recording of a span that is not sampled and may be kept.
#[inline(never)]
fn held_span(
    mut pooled: RecordBox,
    base: &Context,
    sampled: SampledSpan,
    trace: SpanTrace,
) -> (Context, Recording) {
    let record = &mut pooled.record;
    remove_attributes(record, &sampled);
    let context = sampled.context.clone();
    record.set_sampled(sampled);
    let context = context_with_span(base, context, record, trace);
    (context, Recording::Held(ActiveSpan::new(pooled)))
}

fn context_with_span(
    base: &Context,
    context: SpanContext,
    record: &SpanRecord,
    trace: SpanTrace,
) -> Context {
    base.with_span(ContextSpan::new(
        context,
        Arc::clone(&record.changes),
        trace,
    ))
}
