//! The span in the OpenTelemetry context. Handlers change the span through it.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState},
};

use crate::{
    changes::ContextChanges,
    extras::Extras,
    keep::{HeldTrace, ListedSpan, handle_attribute, with_trace},
    limits::Limits,
    shared::{RecordBox, SpanTrace},
};

/// The span that handlers see in the OpenTelemetry context. Its changes apply until the span ends.
///
/// `H` is `()` for a sampled span, which is smaller without a trace.
#[derive(Debug)]
pub(crate) struct ContextSpan<H> {
    context: SpanContext,
    changes: Arc<ContextChanges>,
    held: H,
}

/// The trace of a held span.
#[derive(Debug)]
struct Held {
    trace: Arc<HeldTrace<RecordBox>>,
    /// Lets children find the trace. `None` if the context has it as a value.
    _listed: Option<ListedSpan>,
}

pub(crate) trait SpanHeld {
    /// Returns the trace of a held span.
    fn trace(&self) -> Option<&Arc<HeldTrace<RecordBox>>>;
}

impl SpanHeld for () {
    fn trace(&self) -> Option<&Arc<HeldTrace<RecordBox>>> {
        None
    }
}

impl SpanHeld for Held {
    fn trace(&self) -> Option<&Arc<HeldTrace<RecordBox>>> {
        Some(&self.trace)
    }
}

impl ContextSpan<()> {
    pub(crate) const fn new(context: SpanContext, changes: Arc<ContextChanges>) -> Self {
        Self {
            context,
            changes,
            held: (),
        }
    }

    /// Returns the span with these ids, which have no trace state.
    #[inline(always)]
    pub(crate) fn without_state(ids: &SpanContext, changes: &Arc<ContextChanges>) -> Self {
        let (trace, span, flags) = (ids.trace_id(), ids.span_id(), ids.trace_flags());
        let context = SpanContext::new(trace, span, flags, false, TraceState::NONE);
        Self::new(context, Arc::clone(changes))
    }

    /// Returns a context with the span.
    #[inline]
    pub(crate) fn into_context(self, base: &Context) -> Context {
        base.with_span(self)
    }

    /// Returns a context with the span, which is held if there is a trace. Its children find the trace: in `base` if the span
    /// `inherits_trace`.
    #[inline]
    pub(crate) fn into_context_of(
        self,
        base: &Context,
        trace: SpanTrace,
        inherits_trace: bool,
    ) -> Context {
        match trace {
            None => self.into_context(base),
            Some(trace) => self.into_context_of_held(base, trace, inherits_trace),
        }
    }

    #[inline(never)]
    fn into_context_of_held(
        self,
        base: &Context,
        trace: Arc<HeldTrace<RecordBox>>,
        inherits_trace: bool,
    ) -> Context {
        let listed = match inherits_trace {
            true => None,
            false => ListedSpan::new(&self.context, &trace),
        };
        let is_found = inherits_trace || listed.is_some();
        let with_trace = (!is_found).then(|| with_trace(base, &trace));
        let span = ContextSpan {
            context: self.context,
            changes: self.changes,
            held: Held {
                trace,
                _listed: listed,
            },
        };
        with_trace.as_ref().unwrap_or(base).with_span(span)
    }
}

impl<H: SpanHeld> ContextSpan<H> {
    fn change(&self, change: impl FnOnce(&mut Extras, &Limits)) {
        match self.held.trace() {
            None => self.changes.change(change),
            Some(trace) => self.changes.change_held(trace, change),
        }
    }
}

impl<H: SpanHeld> Span for ContextSpan<H> {
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
        if handle_attribute(&attribute, self.held.trace()) {
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
