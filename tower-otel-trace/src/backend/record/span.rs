//! The span that handlers see in the context.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    KeyValue, Value,
    trace::{Span, SpanContext, Status},
};
use tower_otel_core::semconv::attribute;

use super::{entry::Entry, queue::Queue};

/// Takes what a handler has to say until the exchange has ended, and hands it on then.
pub(super) struct Open {
    entry: Option<Entry>,
    context: SpanContext,
    queue: Arc<Queue>,
}

impl Open {
    pub(super) fn new(entry: Entry, queue: &Arc<Queue>) -> Self {
        Self {
            context: entry.context.clone(),
            entry: Some(entry),
            queue: Arc::clone(queue),
        }
    }
}

impl Span for Open {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        if let Some(entry) = &mut self.entry {
            entry.event(name.into(), timestamp, attributes, self.queue.limits());
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.entry.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some(entry) = &mut self.entry {
            match attribute.value {
                Value::I64(code)
                    if attribute.key.as_str() == attribute::HTTP_RESPONSE_STATUS_CODE =>
                {
                    entry.status_code = Some(code);
                }
                _ => entry.attribute(attribute, self.queue.limits()),
            }
        }
    }

    fn set_status(&mut self, status: Status) {
        if let Some(entry) = &mut self.entry {
            entry.status(status);
        }
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        if let Some(entry) = &mut self.entry {
            entry.added().name = Some(new_name.into());
        }
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(entry) = &mut self.entry {
            entry.link(span_context, attributes, self.queue.limits());
        }
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        if let Some(mut entry) = self.entry.take() {
            entry.ended = timestamp;
            self.queue.push(entry);
        }
    }
}

/// An exchange ends its span; this is for a span that outlives what was to end it.
impl Drop for Open {
    fn drop(&mut self) {
        if self.entry.is_some() {
            self.end_with_timestamp(SystemTime::now());
        }
    }
}
