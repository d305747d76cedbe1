//! An observer that records its calls.

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
    time::Instant,
};

use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead};

/// An observer that records its calls. Its context is a thread-local depth.
#[derive(Clone, Default)]
pub(crate) struct RecordingObserver {
    name: &'static str,
    entries: Arc<Mutex<Vec<String>>>,
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

pub(crate) fn depth() -> usize {
    DEPTH.get()
}

impl RecordingObserver {
    pub(crate) fn named(&self, name: &'static str) -> Self {
        Self {
            name,
            ..self.clone()
        }
    }

    fn write(&self, entry: String) {
        self.entries
            .lock()
            .unwrap()
            .push(format!("{}{entry}", self.name));
    }

    pub(crate) fn read(&self) -> Vec<String> {
        self.entries.lock().unwrap().clone()
    }

    pub(crate) fn ends(&self) -> Vec<String> {
        self.read()
            .into_iter()
            .filter(|entry| entry.starts_with("end"))
            .collect()
    }
}

impl Observe for RecordingObserver {
    type Exchange = RecordingObserver;

    fn start(&self, request: &RequestInfo<'_>, _at: Instant) -> RecordingObserver {
        self.write(format!("start {} depth {}", request.method(), depth()));
        self.clone()
    }
}

pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl Exchange for RecordingObserver {
    type Entered<'a> = Entered;

    fn enter(&mut self) -> Entered {
        DEPTH.set(DEPTH.get() + 1);
        Entered
    }

    fn response(&mut self, response: &dyn ResponseHead) {
        self.write(format!("response {}", response.status().as_u16()));
    }

    fn data(&mut self, bytes: u64) {
        self.write(format!("data {bytes}"));
    }

    fn end(&mut self, end: End<'_>, _at: Instant) {
        self.write(match end {
            End::Complete { trailers: None } => "end complete".into(),
            End::Complete { trailers: Some(_) } => "end complete with trailers".into(),
            End::Upgraded => "end upgraded".into(),
            End::Failed(failure) => format!("end failed: {}", failure.message()),
            End::Cancelled => "end cancelled".into(),
            End::Aborted => "end aborted".into(),
            End::Panicked => "end panicked".into(),
            other => panic!("unexpected end: {other:?}"),
        });
    }
}
