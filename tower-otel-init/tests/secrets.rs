//! Log lines about failing exports show no secret of an endpoint.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use collector::until;
use tower_otel_init::{MetricsExporter, Protocol, Sampler, Telemetry};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

const CANARY: &str = "c4n4ry";

/// The log lines of the process.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// This file has only one test, because a process has one subscriber.
#[test]
fn log_lines_about_failing_exports_show_no_secret() {
    let lines = Lines::default();
    let writer = lines.clone();
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(move || writer.clone()),
        )
        .init();
    // The socket is bound but does not listen, so its port refuses connections.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let before = lines.text().lines().count();
        let builder = Telemetry::builder("")
            .endpoint(format!(
                "http://me:{CANARY}@{address}/{CANARY}?key={CANARY}"
            ))
            .header("authorization", format!("Bearer {CANARY}"))
            .protocol(protocol)
            .sampler(Sampler::ratio(1.0))
            .schedule_delay(Duration::from_millis(5))
            .metric_interval(Duration::from_millis(5))
            .metrics(MetricsExporter::Otlp);
        #[cfg(feature = "logs")]
        let builder = builder.export_logs(true);
        let (telemetry, layers) = builder.local().unwrap();
        let subscriber = tracing_subscriber::registry().with(layers);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("work").in_scope(|| tracing::info!("hello"));
        });
        let signals = if cfg!(feature = "logs") { 3 } else { 2 };
        let failures = || {
            let text = lines.text();
            let lines = text.lines().skip(before);
            lines.filter(|line| line.contains("export")).count()
        };
        until("a warning for each signal", || failures() >= signals);
        let result = telemetry.shutdown(Duration::from_secs(10));
        let text = format!("{} {result:?} {telemetry:?}", lines.text());
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(!text.contains(CANARY), "{text}");
    }
}
