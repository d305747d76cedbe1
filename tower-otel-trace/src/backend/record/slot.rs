//! One exchange, in the hands of its guard and of the span in the context.

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use opentelemetry::{
    KeyValue, Value,
    trace::{Span, SpanContext, Status},
};
use opentelemetry_sdk::trace::SpanLimits;
use tower_otel_semconv::attribute::HTTP_RESPONSE_STATUS_CODE;

use super::{
    entry::{Entry, Moment},
    queue::Queue,
};

/// Takes what is said of the exchange until it has ended, and hands it on then.
pub(super) struct Slot {
    // Held for a moment by whoever says something. There is one who serves the exchange, and
    // nobody who exports comes here.
    entry: Mutex<Option<Box<Entry>>>,
    // Beside it, because nearly every exchange has one: 0 until then.
    status_code: AtomicU16,
    queue: Arc<Queue>,
}

impl Slot {
    pub(super) fn new(entry: Box<Entry>, queue: &Arc<Queue>) -> Self {
        Self {
            entry: Mutex::new(Some(entry)),
            status_code: AtomicU16::new(0),
            queue: Arc::clone(queue),
        }
    }

    fn entry(&self) -> MutexGuard<'_, Option<Box<Entry>>> {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Entry, &SpanLimits)) {
        if let Some(entry) = &mut *self.entry() {
            change(entry, self.queue.limits());
        }
    }

    pub(super) fn attribute(&self, attribute: KeyValue) {
        self.change(|entry, limits| entry.attribute(attribute, limits));
    }

    pub(super) fn status(&self, status: Status) {
        self.change(|entry, _| entry.status(status));
    }

    /// The status of the response.
    pub(super) fn status_code(&self, code: u16) {
        self.status_code.store(code, Relaxed);
    }

    /// Only the first end counts.
    pub(super) fn end(&self, at: Moment) {
        let entry = self.entry().take();
        if let Some(mut entry) = entry {
            entry.ended = at;
            entry.status_code = self.status_code.load(Relaxed);
            self.queue.push(entry);
        }
    }
}

/// An exchange ends its span; this is for one that was forgotten.
impl Drop for Slot {
    fn drop(&mut self) {
        let entry = self.entry.get_mut();
        if entry.is_ok_and(|entry| entry.is_some()) {
            self.end(Moment::At(Instant::now()));
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}

/// The span that handlers see in the context.
pub(super) struct Open {
    context: SpanContext,
    slot: Arc<Slot>,
}

impl Open {
    pub(super) const fn new(context: SpanContext, slot: Arc<Slot>) -> Self {
        Self { context, slot }
    }
}

impl Span for Open {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        let name = name.into();
        self.slot
            .change(|entry, limits| entry.event(name, timestamp, attributes, limits));
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.slot.entry().is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        match attribute.value {
            Value::I64(code) if attribute.key.as_str() == HTTP_RESPONSE_STATUS_CODE => {
                if let Ok(code) = code.try_into() {
                    self.slot.status_code(code);
                }
            }
            _ => self.slot.attribute(attribute),
        }
    }

    fn set_status(&mut self, status: Status) {
        self.slot.status(status);
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        let name = new_name.into();
        self.slot.change(|entry, _| entry.rest().name = Some(name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.slot
            .change(|entry, limits| entry.link(span_context, attributes, limits));
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.slot.end(Moment::Told(timestamp));
    }
}
