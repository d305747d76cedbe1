//! Metrics: a recorder to be asked, or a meter that pushes.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};

use crate::link::Link;
use crate::rejections::Rejections;
use crate::tally::Tally;

pub(crate) fn push<E: PushMetricExporter>(
    exporter: E,
    to: &str,
    interval: Duration,
    resource: Resource,
    tallies: [(&'static str, &Option<Arc<Tally>>); 2],
) -> SdkMeterProvider {
    let exporter = Watched {
        inner: exporter,
        link: Link::new("metrics", to),
        rejections: Rejections::new(),
    };
    let reader = PeriodicReader::builder(exporter)
        .with_interval(interval)
        .build();
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader)
        .build();
    for (description, tally) in tallies {
        let Some(tally) = tally.clone() else {
            continue;
        };
        // Collectors for Prometheus append the `_total` by themselves.
        provider
            .meter(env!("CARGO_PKG_NAME"))
            .u64_observable_counter(tally.metric.trim_end_matches("_total"))
            .with_description(description)
            .with_callback(move |counter| {
                for (reason, count) in tally.dropped().reasons() {
                    counter.observe(count, &[KeyValue::new("reason", reason)]);
                }
            })
            .build();
    }
    provider
}

struct Watched<E> {
    inner: E,
    link: Link,
    rejections: Rejections,
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.rejections.hear(self.inner.export(metrics)).await;
        self.link.note(&result, &self.rejections.take());
        // It is said, and the next export has all of it again.
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}

#[cfg(feature = "prometheus")]
pub(crate) mod console {
    use std::io::{self, Write};
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::thread;

    use tower_otel_prometheus::Prometheus;

    use super::Duration;

    /// Prints the metrics now and then, and once more when this is dropped.
    #[derive(Debug)]
    pub(crate) struct Printer {
        stop: Option<mpsc::Sender<()>>,
        thread: Option<thread::JoinHandle<()>>,
    }

    impl Printer {
        pub(crate) fn start(metrics: Prometheus, interval: Duration) -> io::Result<Self> {
            let (stop, stopped) = mpsc::channel();
            let name = "tower-otel-print".to_owned();
            let thread = thread::Builder::new().name(name).spawn(move || {
                loop {
                    let last = stopped.recv_timeout(interval) != Err(RecvTimeoutError::Timeout);
                    let _ = writeln!(io::stdout(), "{}", metrics.render());
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

    impl Drop for Printer {
        fn drop(&mut self) {
            drop(self.stop.take());
            if let Some(thread) = self.thread.take() {
                let _ = thread.join();
            }
        }
    }
}
