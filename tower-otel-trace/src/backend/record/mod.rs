//! Compact records, made into spans on a thread of their own.

use std::{fmt, sync::Arc, time::Instant};

use opentelemetry::{
    Context, ContextGuard, KeyValue,
    trace::{Link, Status, TraceContextExt},
};
use tower_otel_propagate::ExtractedContext;
use tower_otel_semconv::attribute;

use self::{
    entry::{Entry, Moment},
    queue::Queue,
    sampling::{Sampled, Sampling},
    slot::{Open, Slot},
};
use super::{
    Attribute, Backend, Parent, Span, Value,
    opentelemetry::{for_samplers, rest},
};
use crate::facts::Facts;

mod entry;
mod keys;
mod queue;
mod recorder;
mod sampling;
mod slot;
mod span;
mod sync;
mod tape;
mod thread;

pub use self::recorder::{Recorder, RecorderBuilder, Tally};

/// Writes a compact record of each exchange for a [`Recorder`].
///
/// The span in the OpenTelemetry context is one of this crate: what a handler does to it is kept,
/// and what is opened beneath it is its child.
#[derive(Clone, Debug)]
pub struct Record(Arc<Shared>);

/// What all layers of a recorder share. One handle, because it is cloned with every service.
#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    sampling: Sampling,
}

impl Record {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Self(Arc::clone(&recorder.shared))
    }
}

impl Backend for Record {
    type Span = RecordSpan;

    fn start(&self, facts: &Facts<'_>, parent: Parent, at: Instant) -> RecordSpan {
        let Shared { queue, sampling } = &*self.0;
        if queue.is_closed() {
            return self.none(parent);
        }
        // Of a span alone no context is made: nobody would see it beneath the one of this span.
        let (beneath, remote, link) = match parent {
            Parent::Remote(ExtractedContext::SpanOnly(remote)) => (None, Some(remote), None),
            parent => {
                let (beneath, link) = parent.beneath();
                (beneath, None, link)
            }
        };
        let beneath = beneath.unwrap_or_else(Context::current);
        if beneath.is_telemetry_suppressed() {
            let remote = remote.map(|remote| beneath.with_remote_span_context(remote));
            return RecordSpan::not_recording(Some(remote.unwrap_or(beneath)));
        }
        let links = link.map(Link::with_context);
        let sampled = sampling.ask(facts, &beneath, remote, links.as_slice());
        if !sampled.context.is_sampled() {
            let context = beneath.with_remote_span_context(sampled.context);
            return RecordSpan::not_recording(Some(context));
        }
        let context = sampled.context.clone();
        let entry = entry(facts, sampled, links, at, queue);
        let slot = Arc::new(Slot::new(entry, queue));
        let open = Open::new(context, Arc::clone(&slot));
        RecordSpan {
            context: Some(beneath.with_span(open)),
            slot: Some(slot),
        }
    }

    fn none(&self, parent: Parent) -> RecordSpan {
        RecordSpan::not_recording(parent.beneath().0)
    }
}

#[inline]
fn entry(
    facts: &Facts<'_>,
    sampled: Sampled,
    link: Option<Link>,
    at: Instant,
    queue: &Queue,
) -> Box<Entry> {
    let mut entry = match queue.spare() {
        Some(mut spare) => {
            spare.renew(sampled.context, facts.kind(), at);
            spare
        }
        None => Box::new(Entry::new(sampled.context, facts.kind(), at)),
    };
    let limits = queue.limits();
    entry.parent = sampled.parent;
    entry.parent_is_remote = sampled.parent_is_remote;
    for_samplers(facts, &mut *entry);
    rest(facts, &mut *entry);
    if let Some(name) = facts.called_name() {
        entry.called(name);
    }
    for attribute in sampled.attributes {
        entry.attribute(attribute, limits);
    }
    if let Some(link) = link {
        entry.link(link.span_context, link.attributes, limits);
    }
    entry
}

/// An exchange that is recorded, or the context of one that is not.
pub struct RecordSpan {
    // Attached whenever the span is entered. Absent if there is nothing to attach.
    context: Option<Context>,
    // Absent if nobody will see the span.
    slot: Option<Arc<Slot>>,
}

impl RecordSpan {
    const fn not_recording(context: Option<Context>) -> Self {
        Self {
            context,
            slot: None,
        }
    }
}

impl Span for RecordSpan {
    type Entered<'a> = Option<ContextGuard>;

    fn enter(&mut self) -> Option<ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    fn is_recording(&self) -> bool {
        self.slot.is_some()
    }

    fn set_all<const N: usize>(&self, attributes: [Attribute<'_>; N]) {
        let Some(slot) = &self.slot else { return };
        for (key, value) in attributes {
            match (key, value) {
                (_, None) => {}
                (attribute::HTTP_RESPONSE_STATUS_CODE, Some(Value::Int(code))) => {
                    slot.status_code(u16::try_from(code).unwrap_or_default());
                }
                (_, Some(value)) => slot.attribute(KeyValue::new(key, value)),
            }
        }
    }

    fn fail(&self, error: &'static str) {
        self.set(attribute::ERROR_TYPE, Value::Fixed(error));
        if let Some(slot) = &self.slot {
            slot.status(Status::error(""));
        }
    }

    fn context(&self) -> Option<Context> {
        self.slot.as_ref().and(self.context.clone())
    }

    fn end(&self, at: Instant) {
        if let Some(slot) = &self.slot {
            slot.end(Moment::At(at));
        }
    }
}

impl fmt::Debug for RecordSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSpan")
            .field("recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}
