//! What a collector rejects out of a batch that it takes (`partial_success`). The exporters return
//! success then, and tell it by an event of `tracing`, to which this listens.

use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::instrument::{WithDispatch, WithSubscriber};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, level_filters::LevelFilter};

use crate::terminal::{fit, printable};

/// One exporter's listener.
#[derive(Clone, Debug)]
pub(crate) struct Rejections {
    heard: Arc<Mutex<Rejected>>,
    dispatch: Dispatch,
}

/// What was not taken of one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) count: u64,
    /// The collector's words.
    pub(crate) reason: String,
}

impl Rejections {
    pub(crate) fn new() -> Self {
        let heard = Arc::default();
        let dispatch = Dispatch::new(Listener(Arc::clone(&heard)));
        Self { heard, dispatch }
    }

    /// Listens to an export, wherever it runs.
    pub(crate) fn hear<F: Future>(&self, export: F) -> WithDispatch<F> {
        export.with_subscriber(self.dispatch.clone())
    }

    /// What was rejected of the export that has ended: there is one at a time.
    pub(crate) fn take(&self) -> Rejected {
        std::mem::take(&mut *lock(&self.heard))
    }
}

fn lock(heard: &Mutex<Rejected>) -> MutexGuard<'_, Rejected> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hears one kind of event, and no word of what the libraries below say.
struct Listener(Arc<Mutex<Rejected>>);

fn tells_rejections(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "opentelemetry-otlp" && metadata.name().ends_with(".PartialSuccess")
}

impl Subscriber for Listener {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if tells_rejections(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        tells_rejections(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut rejected = Rejected::default();
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

/// Hears nothing, and says so: no event anywhere in the process is made for its sake.
pub(crate) struct Mute;

impl Subscriber for Mute {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::never()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, _: &Event<'_>) {}
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Visit for Rejected {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name().starts_with("rejected_") {
            self.count = u64::try_from(value).unwrap_or_default();
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        const WIDTH: usize = 200;
        if field.name() == "error_message" {
            self.reason = fit(&printable(value), WIDTH).trim_end().to_owned();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
