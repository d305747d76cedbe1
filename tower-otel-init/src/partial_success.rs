//! Items that a collector rejects from a batch that it accepts (`partial_success`).
//!
//! For such a batch, the exporters return success, and report the rejection only by a `tracing` event. This module sets a
//! subscriber during the export, which receives that event.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#partial-success>

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::instrument::{WithDispatch, WithSubscriber};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, level_filters::LevelFilter};

/// Receives the rejections of one exporter.
#[derive(Clone, Debug)]
pub(crate) struct PartialSuccess {
    last: Arc<Mutex<RejectedItems>>,
    dispatch: Dispatch,
}

/// The items of one batch that the collector rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RejectedItems {
    pub(crate) count: u64,
    /// The message of the collector, which may have credentials and control characters.
    pub(crate) message: String,
}

impl PartialSuccess {
    pub(crate) fn new() -> Self {
        let last = Arc::default();
        let dispatch = Dispatch::new(PartialSuccessSubscriber(Arc::clone(&last)));
        Self { last, dispatch }
    }

    /// Wraps an export so that its rejections are received on any thread.
    pub(crate) fn observe<F: Future>(&self, export: F) -> WithDispatch<F> {
        export.with_subscriber(self.dispatch.clone())
    }

    /// Returns and clears the rejections of the last export. Exports of one exporter do not overlap.
    pub(crate) fn take(&self) -> RejectedItems {
        std::mem::take(&mut *lock(&self.last))
    }
}

fn lock(last: &Mutex<RejectedItems>) -> MutexGuard<'_, RejectedItems> {
    last.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A subscriber of the exporters' `*.PartialSuccess` events. It disables everything else.
struct PartialSuccessSubscriber(Arc<Mutex<RejectedItems>>);

fn is_partial_success(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "opentelemetry-otlp" && metadata.name().ends_with(".PartialSuccess")
}

impl Subscriber for PartialSuccessSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_partial_success(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_partial_success(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut rejected = RejectedItems::default();
        event.record(&mut rejected);
        *lock(&self.0) = rejected;
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl RejectedItems {
    /// Adds the rejections of another request.
    #[cfg(feature = "prometheus")]
    pub(crate) fn add(&mut self, count: i64, message: &str) {
        // A negative number counts as 0.
        let rejected = u64::try_from(count).unwrap_or_default();
        self.count = self.count.saturating_add(rejected);
        if count > 0 {
            message.clone_into(&mut self.message);
        }
    }
}

impl Visit for RejectedItems {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name().starts_with("rejected_") {
            self.count = u64::try_from(value).unwrap_or_default();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "error_message" {
            value.clone_into(&mut self.message);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(all(test, feature = "prometheus"))]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_collector_do_not_overflow() {
        let mut rejected = RejectedItems::default();
        for count in [i64::MAX, -1, i64::MAX, i64::MAX] {
            rejected.add(count, "too old");
        }
        assert_eq!(rejected.count, u64::MAX);
    }
}
