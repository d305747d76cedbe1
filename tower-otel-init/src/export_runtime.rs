//! A thread with a small runtime of its own, on which everything is sent. So it does not matter
//! whether the application has a runtime, of which kind, and what blocks it.

use std::future::Future;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::partial_success::Mute;

#[derive(Debug)]
pub(crate) struct Exports {
    handle: Handle,
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Exports {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        thread::Builder::new()
            .name("tower-otel-export".to_owned())
            .spawn(move || {
                // What the client libraries do here must not become telemetry again.
                let _mute = tracing::subscriber::set_default(Mute);
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                let _ = runtime.block_on(stopped);
                // A name that is still being resolved is not waited for.
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

    /// Runs an export here, for so long at most. It ends at once, with an error, when this stops.
    pub(crate) async fn run(
        handle: &Handle,
        timeout: Duration,
        export: impl Future<Output = OTelSdkResult> + Send + 'static,
    ) -> OTelSdkResult {
        let export = handle.spawn(async move {
            let export = tokio::time::timeout(timeout, export);
            export.await.unwrap_or(Err(OTelSdkError::Timeout(timeout)))
        });
        export.await.unwrap_or_else(|_| {
            let stopped = "telemetry was shut down meanwhile".to_owned();
            Err(OTelSdkError::InternalFailure(stopped))
        })
    }

    pub(crate) fn stop(&self) {
        let mut stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = stop.take() {
            let _ = stop.send(());
        }
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        self.stop();
    }
}
