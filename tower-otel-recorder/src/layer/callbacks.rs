//! The callbacks of the registry.

use std::time::Instant;

use opentelemetry::{Context as OtelContext, trace::Status};
use tracing::{
    Event, Level, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    layer::Context,
    registry::{LookupSpan, SpanRef},
};

use super::{
    entered,
    event_fields::EventFields,
    options::RecorderLayer,
    scratch,
    span_fields::SpanFields,
    span_state::{Recording, SpanState},
};
use crate::{clock::Timestamp, events::CompactEvent, record::SpanRecord};

impl RecorderLayer {
    /// Changes the record of a span, if it has one. `change` must not run code of the application.
    fn change<S>(&self, span: &SpanRef<'_, S>, change: impl FnOnce(&mut SpanRecord))
    where
        S: for<'l> LookupSpan<'l>,
    {
        let mut extensions = span.extensions_mut();
        let state = extensions.get_mut::<SpanState>();
        let state = state.filter(|state| state.recorder() == self.recorder());
        if let Some(record) = state.and_then(SpanState::record) {
            change(record);
        }
    }

    /// Returns the context whose span is the parent of a new span. Returns `None` if telemetry is suppressed in the current
    /// context and the parent is in another one.
    fn parent<S>(&self, attributes: &Attributes<'_>, span: &SpanRef<'_, S>) -> Option<OtelContext>
    where
        S: for<'l> LookupSpan<'l>,
    {
        let is_contextual = attributes.is_contextual();
        let has_current = entered::is_available();
        if is_contextual && self.activates_context {
            // `open` checks whether telemetry is suppressed in it.
            return Some(if has_current {
                OtelContext::current()
            } else {
                OtelContext::new()
            });
        }
        if has_current && OtelContext::is_current_telemetry_suppressed() {
            return None;
        }
        if attributes.is_root() {
            return Some(OtelContext::new());
        }
        // If a filter hides the parent, this is its next ancestor.
        let parent = span.parent();
        let parent = parent.and_then(|parent| self.read(&parent, SpanState::use_context));
        Some(match parent {
            Some(parent) => parent,
            None if is_contextual && has_current => OtelContext::current(),
            None => OtelContext::new(),
        })
    }
}

impl<S> Layer<S> for RecorderLayer
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let Some(base) = self.parent(attributes, &span) else {
            return;
        };
        let origin = self.origin(attributes.metadata());
        let opened = self.tracer.open(&base, Instant::now(), |record| {
            record.set_origin(origin);
            let mut fields = SpanFields::new(&mut record.attributes);
            attributes.record(&mut fields);
            fields.into_settings().apply(record);
        });
        let Some(state) = opened else { return };
        let mut extensions = span.extensions_mut();
        let Some(first) = extensions.replace(state.of_recorder(self.recorder())) else {
            return;
        };
        // Another layer records the span.
        let state = extensions.replace(first);
        drop(extensions);
        if let Some(state) = state {
            self.tracer.discard_span(state);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if self.read(&span, SpanState::accepts_fields) != Some(true) {
            return;
        }
        scratch::with_buffer(self.tracer.shared().limits.text, |buffer| {
            let mut fields = SpanFields::new(buffer);
            values.record(&mut fields);
            let settings = fields.into_settings();
            self.change(&span, |record| {
                record.append_attributes(buffer);
                settings.apply_late(record, buffer);
            });
        });
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let link = ctx.span(follows);
        let link = link.and_then(|span| self.read(&span, SpanState::use_span_context));
        if let (Some(link), Some(span)) = (link, ctx.span(id)) {
            self.change(&span, |record| {
                record.change(|extras, limits| extras.link(link, Vec::new(), limits));
            });
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let level = *event.metadata().level();
        let is_recorded = self.events >= level;
        if !is_recorded && level != Level::ERROR {
            return;
        }
        let Some(span) = ctx.event_span(event) else {
            return;
        };
        if self.read(&span, SpanState::accepts_events) != Some(true) {
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
            self.change(&span, |record| {
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
        let Some(span) = ctx.span(id) else { return };
        let state = self.read(&span, |state| (state.use_context(), state.exit_clock()));
        if let Some((context, exit_clock)) = state {
            let context = self.activates_context.then_some(context);
            entered::push(self.recorder(), id.into_u64(), exit_clock, context);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        entered::pop(self.recorder(), id.into_u64());
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(mut state) = extensions.remove::<SpanState>() else {
            return;
        };
        if state.recorder() != self.recorder() {
            // Another layer records the span.
            extensions.insert(state);
            return;
        }
        // Values in the context may run code of the application when they are dropped.
        drop(extensions);
        match state.take_recording() {
            Recording::Sampled(span) | Recording::Held(span) => {
                drop(state);
                span.end_at_last_exit(&self.tracer);
            }
            Recording::UnsampledRoot(record) => self.tracer.discard(record),
            Recording::Unsampled => {}
        }
    }
}
