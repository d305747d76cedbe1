//! The start of a `tracing` span, and a change of its parent.

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
    clock::Timestamp,
    context_span::ContextSpan,
    keep::HeldSpan,
    origin::Origin,
    record::{Name, SpanRecord},
    sampling::SampledSpan,
    shared::{RecordBox, SpanTrace},
    thread_index,
    tracer::RecorderTracer,
};

impl RecorderTracer {
    /// Opens a span. `write` writes kind, name and attributes. Returns `None` if nothing is recorded: the recorder is shut
    /// down or telemetry is suppressed.
    ///
    /// `write` is not called if the parent decides that the span is not sampled, unless the span is held. A root span that
    /// is not sampled keeps its record, because [`reparent`](Self::reparent) can make it the child of a sampled span.
    #[inline]
    pub(crate) fn open(
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
        {
            held = self.hold(parent, early);
            if held.is_none() && (parent_span.is_valid() || sampling.is_off()) {
                let ids = early.context.clone();
                let context = parent.read(|base| base.with_remote_span_context(ids));
                return Some(SpanState::new(context, Recording::Unsampled));
            }
        }
        let is_early = early.is_some();
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
        if !is_sampled {
            if !is_early {
                trace = pooled.set_held(self.hold(parent, &sampled));
            }
            if trace.is_none() {
                let context = parent.read(|base| base.with_remote_span_context(sampled.context));
                return Some(SpanState::new(context, Recording::UnsampledRoot(pooled)));
            }
        } else if !is_counted {
            self.correct_started(1);
        }
        let record = &mut pooled.record;
        let span = ContextSpan::new(sampled.context.clone(), Arc::clone(&record.changes), trace);
        record.set_sampled(sampled);
        let context = parent.read(|base| base.with_span(span));
        let span = ActiveSpan::new(pooled);
        let recording = if is_sampled {
            Recording::Sampled(span)
        } else {
            Recording::Held(span)
        };
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
            set_sampled_again(record, sampled);
            let context = context_with_span(base, context, record, None);
            state.replace(context, Recording::Sampled(ActiveSpan::new(pooled)))
        } else {
            if is_counted {
                self.correct_started(-1);
            }
            let trace = pooled.set_held(self.shared().hold(base, &sampled));
            if trace.is_some() {
                let record = &mut pooled.record;
                set_sampled_again(record, sampled);
                let context = context_with_span(base, context, record, trace);
                return state.replace(context, Recording::Held(ActiveSpan::new(pooled)));
            }
            let context = base.with_remote_span_context(context);
            state.replace(context, Recording::UnsampledRoot(pooled))
        }
    }

    /// Holds a span that starts and is not sampled, if there are keep rules.
    #[inline]
    fn hold(&self, parent: &Parent, span: &SampledSpan) -> Option<HeldSpan<RecordBox>> {
        let shared = self.shared();
        shared.keeper.as_ref()?;
        // The parent may be a span of another crate, which runs code when it is asked. So the context is not read in place.
        shared.hold(&parent.context(), span)
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

/// Sets ids, parent and the attributes of the sampler of a span that had others.
fn set_sampled_again(record: &mut SpanRecord, sampled: SampledSpan) {
    if let Some(extras) = &mut record.extras {
        // The sampler has added them when the span was opened. Their bytes stay taken.
        let attributes = &mut extras.attributes;
        attributes.retain(|attribute| !sampled.attributes.contains(attribute));
    }
    record.set_sampled(sampled);
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
