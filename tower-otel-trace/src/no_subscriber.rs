//! A message, written once, if no subscriber receives the spans.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tracing::{dispatcher, subscriber::NoSubscriber};

const MESSAGE: &str = "tower-otel-trace: no span is recorded, because no `tracing` subscriber is installed. Install one before the \
     first request, such as with tower-otel-init, or call `TraceLayer::tracer_provider`. This message is written once.";

static DONE: AtomicBool = AtomicBool::new(false);

/// Writes the message to the standard error if there is no subscriber. A new thread writes it, because the write may block.
#[cold]
pub(crate) fn check() {
    // `dispatcher::has_been_set` stays true after any thread had a subscriber.
    let has_subscriber = || dispatcher::get_default(|dispatch| !dispatch.is::<NoSubscriber>());
    if DONE.load(Relaxed) || has_subscriber() || DONE.swap(true, Relaxed) {
        return;
    }
    let write = || _ = writeln!(io::stderr(), "{MESSAGE}");
    // If no thread can be started, no message is written.
    _ = thread::Builder::new()
        .name("tower-otel-note".to_owned())
        .spawn(write);
}
