//! The state of the exports: the last failure, and the local roots of the last kept traces.

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

/// The number of kept roots that are stored.
const KEPT_ROOTS: usize = 32;

/// The maximum number of characters of a stored name.
const NAME_CHARS: usize = 256;

/// The report of the exports. The export thread writes it. Requests never take its locks.
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

    /// Sets the reason why the last batch was not accepted completely. `None` if it was.
    pub(crate) fn set_failure(&self, failure: Option<String>) {
        *lock(&self.failure) = failure;
    }

    /// Returns the reason why the last batch was not accepted completely.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Stores the span if it is the local root of a kept trace. Replaces the oldest root.
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

    /// Returns the local roots of the last kept traces, oldest first. They have only the attribute with the reason.
    pub(crate) fn kept_roots(&self) -> Vec<SpanData> {
        lock(&self.kept_roots).iter().cloned().collect()
    }
}

impl SpanRecord {
    /// Returns the span without events and links, and with the reason for keeping as the only attribute.
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
