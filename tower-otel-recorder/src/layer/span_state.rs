//! The state of an open `tracing` span in the layer.

use std::{mem, time::Instant};

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};

use crate::{active::ActiveSpan, record::SpanRecord, shared::RecordBox};

/// An open span. It is locked while it is used, so no code of the application may run meanwhile.
#[derive(Debug)]
pub(crate) struct SpanState {
    context: Context,
    recording: Recording,
    /// The last exit, on any thread, or the end that the owner has set.
    last_exit: Option<Instant>,
    /// Whether the context was used. Ids and parent then do not change.
    is_used: bool,
    /// Whether the last exit is the end of the span. If not, its owner sets the end.
    ends_at_exit: bool,
}

/// How a span is recorded.
#[derive(Debug)]
pub(crate) enum Recording {
    Sampled(ActiveSpan),
    /// The span is not sampled. It is exported if its trace is kept.
    Held(ActiveSpan),
    /// The span has no parent and is not sampled. It is recorded if it gets a sampled parent.
    UnsampledRoot(RecordBox),
    Unsampled,
}

impl Recording {
    /// Returns the record. The span does not end.
    pub(crate) fn into_record(self) -> Option<RecordBox> {
        match self {
            Self::Sampled(span) | Self::Held(span) => span.into_record(),
            Self::UnsampledRoot(record) => Some(record),
            Self::Unsampled => None,
        }
    }
}

impl SpanState {
    #[inline]
    pub(crate) const fn new(context: Context, recording: Recording) -> Self {
        Self {
            context,
            recording,
            last_exit: None,
            is_used: false,
            ends_at_exit: true,
        }
    }

    /// Returns the state of an empty place.
    pub(super) fn vacant() -> Self {
        Self::new(Context::new(), Recording::Unsampled)
    }

    /// Changes the state of no span to that of a new span. The fields are written one by one, because a copy of a new struct
    /// waits until its fields are in the cache. If the last exit is not the end, the owner of the span [sets it](Self::set_end),
    /// and has a clone of the context.
    #[inline(always)]
    pub(super) fn open(&mut self, context: &mut Context, recording: Recording, ends_at_exit: bool) {
        mem::swap(&mut self.context, context);
        let previous = mem::replace(&mut self.recording, recording);
        if matches!(previous, Recording::Unsampled) {
            // There is nothing to drop.
            mem::forget(previous);
        }
        self.last_exit = None;
        self.is_used = !ends_at_exit;
        self.ends_at_exit = ends_at_exit;
    }

    /// Takes the span apart like [`into_parts`](Self::into_parts), and leaves the state of no span.
    #[inline(always)]
    pub(super) fn take_parts(&mut self) -> (Context, Recording, Option<Instant>) {
        let context = mem::take(&mut self.context);
        (context, self.take_recording(), self.last_exit)
    }

    /// Marks the context as used. Ids and parent do not change from now on.
    pub(crate) const fn set_used(&mut self) {
        self.is_used = true;
    }

    /// Returns the context of the span and marks it as used.
    pub(crate) fn use_context(&mut self) -> Context {
        self.set_used();
        self.context.clone()
    }

    /// Returns the ids of the span and marks its context as used.
    pub(crate) fn use_span_context(&mut self) -> SpanContext {
        self.set_used();
        self.context.span().span_context().clone()
    }

    pub(crate) const fn is_used(&self) -> bool {
        self.is_used
    }

    /// Returns whether attributes are recorded.
    pub(crate) const fn accepts_fields(&self) -> bool {
        match &self.recording {
            Recording::Sampled(_) | Recording::Held(_) => true,
            Recording::UnsampledRoot(_) => !self.is_used,
            Recording::Unsampled => false,
        }
    }

    /// Returns the record, unless the span is not recorded or was ended through its context.
    pub(crate) fn record(&mut self) -> Option<&mut SpanRecord> {
        match &mut self.recording {
            Recording::Sampled(span) | Recording::Held(span) => span.open_record(),
            Recording::UnsampledRoot(pooled) => Some(&mut pooled.record),
            Recording::Unsampled => None,
        }
    }

    /// Returns whether the span is sampled or held, so that its events are recorded.
    pub(crate) const fn is_recorded(&self) -> bool {
        matches!(self.recording, Recording::Sampled(_) | Recording::Held(_))
    }

    pub(crate) const fn is_sampled(&self) -> bool {
        matches!(self.recording, Recording::Sampled(_))
    }

    /// Returns whether exits are recorded.
    pub(crate) const fn records_exits(&self) -> bool {
        self.ends_at_exit && self.is_recorded()
    }

    /// Sets the end, if exits are not recorded.
    pub(crate) fn set_end(&mut self, at: Instant) {
        if !self.ends_at_exit {
            self.last_exit = Some(at);
        }
    }

    /// Records an exit. Concurrent exits may be recorded in any order.
    pub(crate) fn note_exit(&mut self, at: Instant) {
        self.last_exit = self.last_exit.max(Some(at));
    }

    /// Takes the span apart: context, recording and last exit.
    pub(crate) fn into_parts(self) -> (Context, Recording, Option<Instant>) {
        (self.context, self.recording, self.last_exit)
    }

    pub(crate) const fn take_recording(&mut self) -> Recording {
        mem::replace(&mut self.recording, Recording::Unsampled)
    }

    /// Sets context and record, and returns the replaced context.
    pub(crate) fn replace(&mut self, context: Context, recording: Recording) -> Context {
        self.recording = recording;
        mem::replace(&mut self.context, context)
    }

    /// Returns the record. The span is not exported.
    pub(crate) fn into_record(self) -> Option<RecordBox> {
        self.recording.into_record()
    }
}
