//! A thread with a single-threaded runtime, on which metrics and log records are exported. Exports do not depend on the
//! application's runtime, and run while the caller's thread is blocked.

use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use opentelemetry::Context;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::disabled_subscriber::DisabledSubscriber;

#[derive(Debug)]
pub(crate) struct ExportRuntime {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl ExportRuntime {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("tower-otel-export".to_owned())
            .spawn(move || {
                // Spans and events of the exporters' clients must not be exported.
                let _disabled = tracing::subscriber::set_default(DisabledSubscriber);
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                let _ = runtime.block_on(stopped);
                // Unlike a drop, it does not wait for blocking name resolution.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop: Mutex::new(Some(stop)),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn stop(&self) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for ExportRuntime {
    fn drop(&mut self) {
        self.stop();
    }
}
