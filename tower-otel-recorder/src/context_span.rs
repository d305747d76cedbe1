//! The span in the OpenTelemetry context. Handlers change the span through it.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanContext, Status, TraceContextExt},
};

use crate::{
    changes::ContextChanges,
    extras::Extras,
    keep::{handle_attribute, with_trace},
    limits::Limits,
    shared::SpanTrace,
};

/// The span that handlers see in the OpenTelemetry context. Its changes apply until the span ends.
#[derive(Debug)]
pub(crate) struct ContextSpan {
    context: SpanContext,
    changes: Arc<ContextChanges>,
    trace: SpanTrace,
}

impl ContextSpan {
    pub(crate) const fn new(
        context: SpanContext,
        changes: Arc<ContextChanges>,
        trace: SpanTrace,
    ) -> Self {
        Self {
            context,
            changes,
            trace,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Extras, &Limits)) {
        match &self.trace {
            None => self.changes.change(change),
            Some(trace) => self.changes.change_held(trace, change),
        }
    }

    /// Returns a context with the span. If its trace is held, the context has the trace: from `base` if it `inherits_trace`.
    #[inline(always)]
    pub(crate) fn into_context(self, base: &Context, inherits_trace: bool) -> Context {
        match &self.trace {
            Some(_) if !inherits_trace => self.into_context_with_trace(base),
            _ => base.with_span(self),
        }
    }

    #[inline(never)]
    fn into_context_with_trace(self, base: &Context) -> Context {
        match &self.trace {
            Some(trace) => with_trace(base, trace).with_span(self),
            None => base.with_span(self),
        }
    }
}

impl Span for ContextSpan {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        let name = name.into();
        self.change(|extras, limits| extras.event(name, timestamp, attributes, limits));
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        !self.changes.has_ended()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if handle_attribute(&attribute, &self.trace) {
            return;
        }
        self.change(|extras, limits| extras.attribute(attribute, limits));
    }

    fn set_status(&mut self, status: Status) {
        self.change(|extras, limits| extras.status(status, limits));
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        let name = new_name.into();
        self.change(|extras, limits| extras.name(name, limits));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.change(|extras, limits| extras.link(span_context, attributes, limits));
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.changes.end_early(timestamp);
    }
}
