//! `OTEL_METRICS_EXPORTER=otlp,prometheus`: pushes the metrics of `/metrics` to a collector.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use tokio::runtime::Handle;
use tower_otel_prometheus::Prometheus;

use crate::endpoint_health::EndpointHealth;
use crate::facade_metrics::{FacadeMetrics, Times};
use crate::metric_sender::MetricSender;
use crate::partial_success::RejectedItems;
use crate::unwind;

/// A recorder, and the collector that its metrics are pushed to.
pub(crate) struct MetricsPush {
    pub(crate) recorder: Prometheus,
    pub(crate) sender: MetricSender,
    /// The export runtime.
    pub(crate) runtime: Handle,
    pub(crate) resource: Resource,
    pub(crate) schema_url: String,
    pub(crate) health: Arc<EndpointHealth>,
    /// The maximum time of a push with all its requests.
    pub(crate) timeout: Duration,
}

/// A thread that pushes metrics at a fixed interval, on request, and once more when the pusher is dropped. If the last push fails,
/// it is repeated once.
pub(crate) struct MetricsPusher {
    flushes: Option<Flushes>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The channel that requests pushes. The sender in a message receives the result of the push.
pub(crate) type Flushes = mpsc::Sender<mpsc::Sender<OTelSdkResult>>;

impl MetricsPusher {
    pub(crate) fn start(push: MetricsPush, interval: Duration) -> io::Result<Self> {
        let (flushes, requested) = mpsc::channel::<mpsc::Sender<OTelSdkResult>>();
        let start = nanoseconds();
        let name = "tower-otel-push".to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let mut last = Instant::now();
            loop {
                let flush = requested.recv_timeout(interval.saturating_sub(last.elapsed()));
                last = Instant::now();
                let result = push.run(start);
                match flush {
                    // `send` fails if the flush has timed out.
                    Ok(flush) => _ = flush.send(result),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return push.end(start, result),
                }
            }
        })?;
        Ok(Self {
            flushes: Some(flushes),
            thread: Some(thread),
        })
    }

    pub(crate) fn flushes(&self) -> Option<Flushes> {
        self.flushes.clone()
    }
}

/// Waits for a push.
pub(crate) fn flush(flushes: &Flushes) -> OTelSdkResult {
    let (done, pushed) = mpsc::channel();
    flushes
        .send(done)
        .map_err(|_| OTelSdkError::AlreadyShutdown)?;
    pushed.recv().unwrap_or(Err(OTelSdkError::AlreadyShutdown))
}

impl Drop for MetricsPusher {
    fn drop(&mut self) {
        drop(self.flushes.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for MetricsPusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsPusher").finish_non_exhaustive()
    }
}

impl MetricsPush {
    /// Pushes all metrics, and records whether that succeeds.
    fn run(&self, start: u64) -> OTelSdkResult {
        let mut rejected = RejectedItems::default();
        // The push calls functions of the application that update metrics when they are rendered.
        let result = unwind::catch(|| self.push(start, &mut rejected));
        let result = result.unwrap_or_else(|| {
            let error = "rendering or sending the metrics panicked".to_owned();
            Err(OTelSdkError::InternalFailure(error))
        });
        // The next push has the cumulative values.
        self.health.record(&result, &rejected);
        result
    }

    /// Tries the last push again if it has failed, because no push follows it. Logs the loss.
    fn end(&self, start: u64, last: OTelSdkResult) {
        let last = match last {
            // The timeout of the shutdown has ended, which the caller of the shutdown logs.
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => return,
            Err(_) => self.run(start),
        };
        if let Err(error) = last {
            unwind::catch(|| {
                tracing::warn!(
                    "telemetry shut down: the last export of metrics failed: {error}; values since the previous export are lost"
                )
            });
        }
    }

    fn push(&self, start: u64, rejected: &mut RejectedItems) -> OTelSdkResult {
        let deadline = Instant::now() + self.timeout;
        // A part is rendered after the previous part has been sent, so the whole text and all parts are never in memory.
        let mut metrics = FacadeMetrics::new(self.recorder.pieces());
        while let Some(part) = metrics.next_part(Times::new(start, nanoseconds())) {
            let response = self.send(part, deadline)?;
            if let Some(partial) = response.partial_success {
                rejected.add(partial.rejected_data_points, &partial.error_message);
            }
        }
        Ok(())
    }

    /// Sends a request and waits for the response.
    fn send(
        &self,
        metrics: Vec<Metric>,
        deadline: Instant,
    ) -> Result<ExportMetricsServiceResponse, OTelSdkError> {
        let sending = self.sender.clone().send(self.request(metrics));
        let (result, received) = mpsc::channel();
        let left = deadline.saturating_duration_since(Instant::now());
        self.runtime.spawn(async move {
            let _ = result.send(tokio::time::timeout(left, sending).await);
        });
        match received.recv() {
            Ok(Ok(Ok(response))) => Ok(response),
            Ok(Ok(Err(error))) => Err(OTelSdkError::InternalFailure(self.health.log_text(&error))),
            Ok(Err(_)) => Err(OTelSdkError::Timeout(self.timeout)),
            Err(mpsc::RecvError) => Err(OTelSdkError::AlreadyShutdown),
        }
    }

    fn request(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource.clone()),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(InstrumentationScope {
                        name: env!("CARGO_PKG_NAME").to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    metrics,
                    ..ScopeMetrics::default()
                }],
                schema_url: self.schema_url.clone(),
            }],
        }
    }
}

/// Returns the time in nanoseconds since the epoch.
fn nanoseconds() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(time.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}
