//! A span of the OpenTelemetry API.

use std::{
    borrow::Cow,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    KeyValue,
    trace::{Span, SpanContext, Status},
};
use opentelemetry_sdk::trace::SpanLimits;

use crate::{active::ActiveSpan, clock::Timestamp, extras::Extras};

/// A span that a [`RecorderTracer`](crate::RecorderTracer) has started. Dropping it ends it.
#[derive(Debug)]
pub struct RecorderSpan {
    context: SpanContext,
    /// `None` if the span is not recorded, or has ended.
    span: Option<ActiveSpan>,
}

impl RecorderSpan {
    pub(crate) const fn new(context: SpanContext, span: Option<ActiveSpan>) -> Self {
        Self { context, span }
    }

    fn extras(&mut self) -> Option<(&mut Extras, SpanLimits)> {
        let record = self.span.as_mut()?.open_record()?;
        let limits = *record.changes.limits();
        Some((record.extras(), limits))
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
        if let Some((extras, limits)) = self.extras() {
            extras.event(name, timestamp, attributes, &limits);
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.span.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some((extras, limits)) = self.extras() {
            extras.attribute(attribute, &limits);
        }
    }

    fn set_status(&mut self, status: Status) {
        if let Some((extras, _)) = self.extras() {
            extras.status(status);
        }
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        let name = new_name.into();
        if let Some((extras, _)) = self.extras() {
            extras.name = Some(name);
        }
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some((extras, limits)) = self.extras() {
            extras.link(span_context, attributes, &limits);
        }
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
