//! `OTEL_METRICS_EXPORTER=console`: prints the metrics of the `metrics` facade.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use tower_otel_prometheus::Prometheus;

use crate::unwind;

/// A thread that prints the metrics at a fixed interval, and once more when the printer is dropped.
#[derive(Debug)]
pub(crate) struct MetricsPrinter {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl MetricsPrinter {
    pub(crate) fn start(metrics: Prometheus, interval: Duration) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let name = "tower-otel-print".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || {
            loop {
                let last = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                if let Some(text) = unwind::catch(|| metrics.render()) {
                    let _ = writeln!(io::stdout(), "{text}");
                }
                if last {
                    return;
                }
            }
        })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for MetricsPrinter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
