//! What the registry stores of a `tracing` span for the layer.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};

use crate::{
    active::ActiveSpan, changes::ContextChanges, clock::Timestamp, record::SpanRecord,
    shared::RecordBox,
};

/// An open span. The registry locks it, so no code of the application runs while it is used.
#[derive(Debug)]
pub(crate) struct SpanState {
    /// The recorder that the span belongs to. Another layer in the same subscriber ignores it.
    recorder: usize,
    context: Context,
    recording: Recording,
    /// Whether anything has used the context, so that ids and parent cannot change any more.
    is_used: AtomicBool,
}

/// Whether a span is recorded.
#[derive(Debug)]
pub(crate) enum Recording {
    Sampled(ActiveSpan),
    /// The span is not sampled, and exported if its trace is kept.
    Held(ActiveSpan),
    /// The span has no parent. It is recorded if it gets a parent that is sampled.
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

/// Notes the exits of a recorded span.
#[derive(Debug)]
pub(crate) struct ExitClock {
    changes: Arc<ContextChanges>,
    started: Instant,
}

impl ExitClock {
    pub(crate) fn exit(&self) {
        self.changes.set_last_exit(self.started.elapsed());
    }
}

impl SpanState {
    pub(crate) const fn new(context: Context, recording: Recording) -> Self {
        Self {
            recorder: 0,
            context,
            recording,
            is_used: AtomicBool::new(false),
        }
    }

    pub(crate) const fn of_recorder(mut self, recorder: usize) -> Self {
        self.recorder = recorder;
        self
    }

    pub(crate) const fn recorder(&self) -> usize {
        self.recorder
    }

    /// Returns the context of the span. From now on its ids and its parent do not change.
    pub(crate) fn use_context(&self) -> Context {
        if !self.is_used() {
            self.is_used.store(true, Relaxed);
        }
        self.context.clone()
    }

    /// Returns the ids of the span, which do not change from now on.
    pub(crate) fn use_span_context(&self) -> SpanContext {
        self.is_used.store(true, Relaxed);
        self.context.span().span_context().clone()
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Relaxed)
    }

    /// Returns whether attributes are recorded.
    pub(crate) fn accepts_fields(&self) -> bool {
        match &self.recording {
            Recording::Sampled(_) | Recording::Held(_) => true,
            Recording::UnsampledRoot(_) => !self.is_used(),
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

    /// Returns whether events are recorded.
    pub(crate) const fn accepts_events(&self) -> bool {
        matches!(self.recording, Recording::Sampled(_) | Recording::Held(_))
    }

    pub(crate) const fn is_sampled(&self) -> bool {
        matches!(self.recording, Recording::Sampled(_))
    }

    pub(crate) fn exit_clock(&self) -> Option<ExitClock> {
        let (Recording::Sampled(span) | Recording::Held(span)) = &self.recording else {
            return None;
        };
        let record = span.record()?;
        let Timestamp::Instant(started) = record.started else {
            return None;
        };
        let changes = Arc::clone(&record.changes);
        Some(ExitClock { changes, started })
    }

    pub(crate) const fn take_recording(&mut self) -> Recording {
        mem::replace(&mut self.recording, Recording::Unsampled)
    }

    /// Sets context and record, and returns the context that is replaced.
    pub(crate) fn replace(&mut self, context: Context, recording: Recording) -> Context {
        self.recording = recording;
        mem::replace(&mut self.context, context)
    }

    /// Returns the record. The span is not exported.
    pub(crate) fn into_record(self) -> Option<RecordBox> {
        self.recording.into_record()
    }
}
