//! The state of the exports: the last failure, and the roots of the traces that were kept last.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{InstrumentationScope, KeyValue, SpanId, trace::Status};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::{
    clock::{Clocks, Timestamp},
    keep::KeepReason,
    keys::KEEP_REASON,
    record::{Name, SpanRecord},
};

/// The number of kept roots that are remembered.
const KEPT_ROOTS: usize = 32;

/// The characters of a name that are remembered.
const NAME_CHARS: usize = 256;

/// Written by the export thread and read by those who ask. No request takes its locks.
#[derive(Debug)]
pub(crate) struct ExportReport {
    failure: Mutex<Option<String>>,
    kept_roots: Mutex<VecDeque<SpanData>>,
}

impl ExportReport {
    pub(crate) const fn new() -> Self {
        Self {
            failure: Mutex::new(None),
            kept_roots: Mutex::new(VecDeque::new()),
        }
    }

    /// Sets why the last batch was not accepted as a whole. `None` if it was.
    pub(crate) fn set_failure(&self, failure: Option<String>) {
        *lock(&self.failure) = failure;
    }

    /// Returns why the last batch was not accepted as a whole.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Remembers the span if it is the local root of a trace that is kept, in place of the oldest one.
    pub(crate) fn observe(&self, record: &SpanRecord, clocks: Clocks) {
        let Some(reason) = record.kept else { return };
        let is_root = record.parent == SpanId::INVALID || record.parent_is_remote;
        if !is_root {
            return;
        }
        let root = record.summary(reason, clocks);
        let mut roots = lock(&self.kept_roots);
        if roots.len() >= KEPT_ROOTS {
            roots.pop_front();
        }
        roots.push_back(root);
    }

    /// Returns the local roots of the traces that were kept last, the oldest first. They have no attributes but the reason.
    pub(crate) fn kept_roots(&self) -> Vec<SpanData> {
        lock(&self.kept_roots).iter().cloned().collect()
    }
}

impl SpanRecord {
    /// Returns the span without events, links and attributes but the reason why it is kept.
    fn summary(&self, reason: KeepReason, clocks: Clocks) -> SpanData {
        let extras = [&self.extras, &self.context_extras];
        let extras = || extras.into_iter().flatten();
        let own_name = match self.name {
            Name::Static(name) => name,
            Name::Text(range) => self.attributes.stored(range),
        };
        let name = extras()
            .filter_map(|extras| extras.name.as_deref())
            .next_back();
        let name = name.unwrap_or(own_name).chars().take(NAME_CHARS);
        let failed = |status: &&Status| matches!(status, Status::Error { .. });
        let status = extras().map(|extras| &extras.status).find(failed);
        let ended = extras().find_map(|extras| extras.ended);
        let start_time = clocks.system_time(self.started);
        let end_time = clocks.system_time(ended.map_or(self.ended, Timestamp::System));
        SpanData {
            span_context: self.context.clone(),
            parent_span_id: self.parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: self.kind.clone(),
            name: Cow::Owned(name.collect()),
            start_time,
            end_time: end_time.max(start_time),
            attributes: vec![KeyValue::new(KEEP_REASON, reason.as_str())],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: status.cloned().unwrap_or_default(),
            instrumentation_scope: InstrumentationScope::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
