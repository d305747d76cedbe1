//! A start that fails, with metrics off.
#![cfg(feature = "page")]
#![allow(clippy::unwrap_used)]

use std::convert::Infallible;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Request, Response};
use tokio::runtime::Builder;
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_init::{InitError, MetricsExporter, MetricsLayer, Telemetry, TracesExporter};

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

/// Sends a request through a new layer. Returns the log output.
fn log_of_request() -> String {
    let output = Output::default();
    let writer = output.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let respond = |_: Request<String>| async {
            Ok::<_, Infallible>(Response::new("response".to_owned()))
        };
        let service = MetricsLayer::server().layer(service_fn(respond));
        let runtime = Builder::new_current_thread().build().unwrap();
        let response = runtime.block_on(service.oneshot(Request::new(String::new())));
        drop(response.unwrap());
    });
    let bytes = output.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn only_a_successful_start_without_metrics_turns_the_warning_of_a_layer_without_recorder_off() {
    const WARNING: &str = "no recorder is installed for the `metrics` facade";
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::None)
        .metrics(MetricsExporter::None);
    let used = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let with_page = builder.clone().page(used.local_addr().unwrap());
    let error = with_page.install().unwrap_err();
    assert!(matches!(error, InitError::InvalidSetting { .. }), "{error}");
    let text = log_of_request();
    assert!(text.contains(WARNING), "{text}");
    let telemetry = builder.install().unwrap();
    let text = log_of_request();
    assert!(!text.contains(WARNING), "{text}");
    telemetry.shutdown(Duration::ZERO).unwrap();
}
