//! A span of the OpenTelemetry API.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use crate::{
    active::ActiveSpan,
    clock::Timestamp,
    extras::Extras,
    keep::{ListedSpan, handle_attribute},
    limits::Limits,
    shared::SpanTrace,
};
use opentelemetry::{
    KeyValue,
    trace::{Span, SpanContext, Status},
};

/// A span that a [`RecorderTracer`](crate::RecorderTracer) started. Dropping it ends it.
#[derive(Debug)]
pub struct RecorderSpan {
    context: SpanContext,
    /// `None` if the span is not recorded, or has ended.
    span: Option<ActiveSpan>,
    trace: SpanTrace,
    /// Lets children find the trace.
    _listed: Option<ListedSpan>,
}

impl RecorderSpan {
    pub(crate) const fn new(
        context: SpanContext,
        span: Option<ActiveSpan>,
        trace: SpanTrace,
        listed: Option<ListedSpan>,
    ) -> Self {
        Self {
            context,
            span,
            trace,
            _listed: listed,
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut Extras, &Limits)) {
        if let Some(record) = self.span.as_mut().and_then(ActiveSpan::open_record) {
            record.change(change);
        }
    }
}

impl Span for RecorderSpan {
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
        self.span.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if handle_attribute(&attribute, self.trace.as_ref()) {
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

    fn end(&mut self) {
        if let Some(span) = self.span.take() {
            span.end_at(Timestamp::Instant(Instant::now()));
        }
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if let Some(span) = self.span.take() {
            span.end_at(Timestamp::System(timestamp));
        }
    }
}
