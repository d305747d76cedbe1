//! Telemetry that is dropped immediately after its start.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tower_otel_init::{MetricsExporter, Telemetry, TracesExporter};
use tracing_subscriber::Registry;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the log output of `f`.
fn logged(f: impl FnOnce()) -> String {
    let output = Output::default();
    let writer = output.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, f);
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn builder() -> tower_otel_init::TelemetryBuilder {
    Telemetry::builder("users")
        .traces(TracesExporter::Console)
        .metrics(MetricsExporter::None)
}

#[test]
fn a_binding_named_underscore_is_a_warning_and_a_shutdown_is_none() {
    let local = logged(|| {
        let _ = builder().local::<Registry>().unwrap();
        let (telemetry, _layers) = builder().local::<Registry>().unwrap();
        telemetry
            .shutdown(std::time::Duration::from_secs(5))
            .unwrap();
    });
    assert_eq!(local, "");
    let text = logged(|| {
        let _ = builder().layers::<Registry>().unwrap();
    });
    assert_eq!(
        text.matches("ms after its start. If `main` has not returned an error, keep it")
            .count(),
        1,
        "{text}"
    );
    assert!(text.contains("`_telemetry`"), "{text}");
}
