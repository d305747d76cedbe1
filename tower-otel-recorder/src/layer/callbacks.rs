//! Implements `Layer`.

use std::time::Instant;

use opentelemetry::{Context as OtelContext, trace::Status};
use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    entered,
    event_fields::EventFields,
    late_fields,
    options::RecorderLayer,
    parent::Parent,
    prepared, scratch,
    span_fields::{SpanFields, SpanSettings},
    span_state::{Recording, SpanState},
};
use crate::{clock::Timestamp, events::CompactEvent, record::SpanRecord};

impl RecorderLayer {
    /// Returns whether spans of a level are recorded.
    #[inline]
    pub(super) fn records_level(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.span_level
    }

    /// Changes the record of a span, if it has one. `change` must not run code of the application.
    pub(super) fn change(&self, id: u64, change: impl FnOnce(&mut SpanRecord)) {
        self.spans.open.with(id, |state| state.record().map(change));
    }

    /// Ends a span.
    #[inline(always)]
    fn finish(&self, context: OtelContext, recording: Recording, last_exit: Option<Instant>) {
        // The record is no longer shared with the context. Values in the context may run code of the application when they
        // are dropped.
        drop(context);
        match recording {
            Recording::Sampled(mut span) | Recording::Held(mut span) => {
                span.end(&self.tracer, last_exit.unwrap_or_else(Instant::now));
            }
            Recording::UnsampledRoot(record) => self.tracer.discard(record),
            Recording::Unsampled => {}
        }
    }

    /// Ends a span at the time that its owner has set.
    #[inline(never)]
    fn close_prepared(&self, id: u64, end: Instant) {
        let close = |context, recording, _| self.finish(context, recording, Some(end));
        if !self.spans.open.remove_placed(id, close) {
            self.close_other(id, Some(end));
        }
    }

    #[cold]
    #[inline(never)]
    fn close_other(&self, id: u64, end: Option<Instant>) {
        if let Some(state) = self.spans.open.remove_other(id) {
            let (context, recording, last_exit) = state.into_parts();
            self.finish(context, recording, end.or(last_exit));
        }
    }

    #[inline(always)]
    fn insert(&self, id: &Id, context: &mut OtelContext, recording: Recording) {
        let open = &self.spans.open;
        if let Some(stale) = open.insert_new(id.into_u64(), context, recording, true) {
            self.tracer.discard_span(stale);
        }
    }

    /// Activates the context of the next recorded ancestor of a span that the level hides, because a task can enter the hidden
    /// span alone. Does nothing if this thread has entered the ancestor.
    #[cold]
    fn enter_hidden<S>(&self, id: &Id, ctx: &Context<'_, S>)
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        let ancestor = ctx.span(id).and_then(|span| {
            let mut ancestors = span.scope().skip(1);
            let ancestor = ancestors.find(|ancestor| self.records_level(ancestor.metadata()))?;
            Some(ancestor.id().into_u64())
        });
        let Some(ancestor) = ancestor else {
            return;
        };
        if entered::contains(self.number(), ancestor) {
            return;
        }
        if let Some(context) = self.spans.open.with(ancestor, SpanState::use_context) {
            entered::push(self.number(), id.into_u64(), false, Some(context));
        }
    }

    /// Returns the parent of a new span that is not the child of the current context. Returns `None` if telemetry is suppressed
    /// in the current context and the parent is in another context.
    #[inline(never)]
    fn declared_parent<S>(
        &self,
        attributes: &Attributes<'_>,
        id: &Id,
        ctx: &Context<'_, S>,
        has_current: bool,
    ) -> Option<Parent>
    where
        S: Subscriber + for<'l> LookupSpan<'l>,
    {
        if attributes.is_contextual() && self.activates_context {
            return Some(Parent::Context(OtelContext::new()));
        }
        if has_current && OtelContext::is_current_telemetry_suppressed() {
            return None;
        }
        if attributes.is_root() {
            return Some(Parent::Context(OtelContext::new()));
        }
        // If a filter or the level hides the parent, this is its next ancestor.
        let parent = ctx.span(id).and_then(|span| {
            let mut ancestors = span.scope().skip(1);
            ancestors.find(|ancestor| self.records_level(ancestor.metadata()))
        });
        let parent = parent.map(|parent| parent.id().into_u64());
        let parent = parent.and_then(|parent| self.spans.open.with(parent, SpanState::use_context));
        Some(match parent {
            Some(parent) => Parent::Context(parent),
            None if attributes.is_contextual() && has_current => Parent::Current,
            None => Parent::Context(OtelContext::new()),
        })
    }
}

impl<S> Layer<S> for RecorderLayer
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        let subscriber: &dyn Subscriber = subscriber;
        if let Some(first) = subscriber.downcast_ref::<Self>() {
            self.leave_spans_to(first);
        }
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        if !self.spans.records || !self.records_level(attributes.metadata()) {
            return;
        }
        if prepared::is_expected(self, attributes.metadata(), id) {
            return;
        }
        let write = |record: &mut SpanRecord| {
            record.set_origin(self.origin(attributes.metadata()));
            let mut settings = SpanSettings::default();
            attributes.record(&mut SpanFields::new(&mut record.attributes, &mut settings));
            settings.apply(record);
        };
        let has_current = entered::is_available();
        if has_current && attributes.is_contextual() && self.activates_context {
            // `open` checks whether telemetry is suppressed in this context.
            let insert = |context: &mut _, recording| self.insert(id, context, recording);
            return self.tracer.open(Instant::now(), write, insert);
        }
        let Some(parent) = self.declared_parent(attributes, id, &ctx, has_current) else {
            return;
        };
        if let Some(state) = self.tracer.open_below(&parent, Instant::now(), write) {
            let (mut context, recording, _) = state.into_parts();
            self.insert(id, &mut context, recording);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if self.spans.records {
            late_fields::record(self, id.into_u64(), values);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, _: Context<'_, S>) {
        if !self.spans.records {
            return;
        }
        let follows = follows.into_u64();
        if let Some(link) = self.spans.open.with(follows, SpanState::use_span_context) {
            self.change(id.into_u64(), |record| {
                record.change(|extras, limits| extras.link(link, Vec::new(), limits));
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let level = *event.metadata().level();
        let is_recorded = self.events >= level;
        if !self.spans.records || !is_recorded && level != Level::ERROR {
            return;
        }
        let span = ctx.event_span(event).and_then(|span| {
            if self.records_level(span.metadata()) {
                return Some(span);
            }
            let mut ancestors = span.scope().skip(1);
            ancestors.find(|ancestor| self.records_level(ancestor.metadata()))
        });
        let Some(span) = span else {
            return;
        };
        let id = span.id().into_u64();
        drop(span);
        if self.spans.open.with(id, |state| state.is_recorded()) != Some(true) {
            return;
        }
        let at = Instant::now();
        scratch::with_buffer(self.tracer.shared().limits.text, |buffer| {
            let mut fields = EventFields::new(event, buffer);
            event.record(&mut fields);
            let name = fields.name(event.metadata().name());
            let error = fields.error().map(str::to_owned);
            let event = CompactEvent {
                name,
                at: Timestamp::Instant(at),
                origin: self.origin(event.metadata()),
                log: fields.log_origin(),
                start: 0,
                end: 0,
                dropped: buffer.dropped(),
            };
            self.change(id, |record| {
                if error.is_some() || level == Level::ERROR {
                    let status = Status::error(error.unwrap_or_default());
                    record.change(|extras, limits| extras.status(status, limits));
                }
                if is_recorded {
                    record.add_event(event, buffer);
                }
            });
        });
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if !self.spans.records {
            return;
        }
        if self.is_alone && entered::receives_prepared(self.number(), id.into_u64()) {
            return;
        }
        let mut context = None;
        let records_exit = self.spans.open.with(id.into_u64(), |state| {
            state.set_used();
            if self.activates_context {
                context = Some(state.use_context());
            }
            state.records_exits()
        });
        match records_exit {
            Some(records_exit) => {
                entered::push(self.number(), id.into_u64(), records_exit, context)
            }
            None if self.activates_context => self.enter_hidden(id, &ctx),
            None => {}
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if !self.spans.records {
            return;
        }
        let id = id.into_u64();
        // Values in the context may run code of the application when `entered` is dropped.
        let Some(entered) = entered::pop(self.number(), id) else {
            return;
        };
        if entered.records_exit {
            let at = Instant::now();
            self.spans.open.with(id, |state| state.note_exit(at));
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if !self.spans.records {
            return;
        }
        let id = id.into_u64();
        if self.is_alone
            && let Some(end) = prepared::take_end(id)
        {
            return self.close_prepared(id, end);
        }
        let close = |context, recording, last_exit| self.finish(context, recording, last_exit);
        if !self.spans.open.remove_placed(id, close) {
            self.close_other(id, None);
        }
    }
}
