//! Compact records, made into spans on a thread of their own.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    Context,
    trace::{Link, TraceContextExt},
};

use self::{
    entry::Entry,
    queue::Queue,
    sampling::{Sampled, Sampling},
    span::Open,
    tape::Tape,
};
use super::{
    Backend, OtelSpan, Parent,
    opentelemetry::{for_samplers, rest},
};
use crate::facts::Facts;

mod entry;
mod keys;
mod queue;
mod recorder;
mod sampling;
mod span;
mod tape;
mod thread;

pub use self::recorder::{Recorder, RecorderBuilder, Tally};

/// Writes a compact record of each exchange for a [`Recorder`].
///
/// The span in the OpenTelemetry context is one of this crate: what a handler does to it is kept,
/// and what is opened beneath it is its child.
#[derive(Clone, Debug)]
pub struct Record {
    queue: Arc<Queue>,
    sampling: Arc<Sampling>,
}

impl Record {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Self {
            queue: Arc::clone(&recorder.queue),
            sampling: Arc::clone(&recorder.sampling),
        }
    }
}

impl Backend for Record {
    type Span = OtelSpan;

    fn start(&self, facts: &Facts<'_>, parent: Parent, at: Instant) -> OtelSpan {
        let (beneath, link) = parent.beneath();
        let parent = beneath.unwrap_or_else(Context::current);
        if parent.is_telemetry_suppressed() || self.queue.is_closed() {
            return OtelSpan::not_recording(Some(parent));
        }
        let links = link.map(Link::with_context);
        let sampled = self.sampling.ask(facts, &parent, links.as_slice());
        if !sampled.context.is_sampled() {
            let context = parent.with_remote_span_context(sampled.context);
            return OtelSpan::not_recording(Some(context));
        }
        let started = SystemTime::now();
        let entry = self.entry(facts, sampled, links, started);
        let context = parent.with_span(Open::new(entry, &self.queue));
        OtelSpan::recording(context, (started, at))
    }

    fn none(&self, parent: Parent) -> OtelSpan {
        OtelSpan::not_recording(parent.beneath().0)
    }
}

impl Record {
    fn entry(
        &self,
        facts: &Facts<'_>,
        sampled: Sampled,
        link: Option<Link>,
        started: SystemTime,
    ) -> Entry {
        let mut tape = Tape::new();
        for_samplers(facts, &mut tape);
        rest(facts, &mut tape);
        let mut entry = Entry {
            context: sampled.context,
            parent: sampled.parent,
            parent_is_remote: sampled.parent_is_remote,
            kind: facts.kind(),
            called: facts.called_name(),
            started,
            ended: started,
            status_code: None,
            tape,
            added: None,
        };
        let limits = self.queue.limits();
        for attribute in sampled.attributes {
            entry.attribute(attribute, limits);
        }
        if let Some(link) = link {
            entry.link(link.span_context, link.attributes, limits);
        }
        entry
    }
}
