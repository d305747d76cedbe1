//! A message, written once, for requests whose spans no subscriber sees.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

const MESSAGE: &str = "tower-otel-trace: no span is recorded, because no `tracing` subscriber is installed. Install one before the \
     first request, such as with tower-otel-init, or call `TraceLayer::tracer_provider`. This message is written once.";

static DONE: AtomicBool = AtomicBool::new(false);

/// Writes the message to the standard error if there is no subscriber, which could log it. A thread writes it, because the
/// write may block.
#[cold]
pub(crate) fn check() {
    if DONE.load(Relaxed) || tracing::dispatcher::has_been_set() || DONE.swap(true, Relaxed) {
        return;
    }
    let write = || _ = writeln!(io::stderr(), "{MESSAGE}");
    // Without a thread, there is no message.
    _ = thread::Builder::new()
        .name("tower-otel-note".to_owned())
        .spawn(write);
}
