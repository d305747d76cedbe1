//! Metrics of the process and of its tokio runtime.
//!
//! <https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>,
//! <https://opentelemetry.io/docs/specs/semconv/system/process-metrics/>

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_semantic_conventions::metric;
use tokio::runtime::{Handle, RuntimeMetrics};

use crate::measurement::{self, Measurement, Reading};

/// The metrics of the process, and of the runtime in which telemetry starts. If it starts outside of a runtime, they describe the
/// runtime that first renders metrics.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessMetrics(Arc<OnceLock<RuntimeMetrics>>);

impl ProcessMetrics {
    pub(crate) fn new() -> Self {
        let metrics = Self::default();
        metrics.find_runtime();
        metrics
    }

    /// Sets and describes the metrics of the `metrics` facade.
    pub(crate) fn publish(&self) {
        measurement::publish(&self.read());
    }

    /// Adds the metrics to a provider.
    pub(crate) fn observe(&self, provider: &SdkMeterProvider) {
        let metrics = self.clone();
        measurement::observe(provider, move || metrics.read());
    }

    fn find_runtime(&self) -> Option<&RuntimeMetrics> {
        if self.0.get().is_none()
            && let Ok(runtime) = Handle::try_current()
        {
            return Some(self.0.get_or_init(|| runtime.metrics()));
        }
        self.0.get()
    }

    fn read(&self) -> Vec<Measurement> {
        let mut measurements: Vec<_> = of_process().collect();
        measurements.extend(self.find_runtime().into_iter().flat_map(of_runtime));
        measurements
    }
}

/// Returns the measurements that this operating system provides.
fn of_process() -> impl Iterator<Item = Measurement> {
    let process = metrics_process::collector::collect();
    let measurements = [
        process.cpu_seconds_total.map(|seconds| Measurement {
            facade_name: "process_cpu_seconds_total",
            otel_name: Some(metric::PROCESS_CPU_TIME),
            description: "Total user and system CPU time spent in seconds.",
            unit: "s",
            value: Reading::Seconds(seconds),
        }),
        process.resident_memory_bytes.map(|bytes| Measurement {
            facade_name: "process_resident_memory_bytes",
            otel_name: Some(metric::PROCESS_MEMORY_USAGE),
            description: "Resident memory size in bytes.",
            unit: "By",
            value: Reading::Gauge(bytes),
        }),
        process.virtual_memory_bytes.map(|bytes| Measurement {
            facade_name: "process_virtual_memory_bytes",
            otel_name: Some(metric::PROCESS_MEMORY_VIRTUAL),
            description: "Virtual memory size in bytes.",
            unit: "By",
            value: Reading::Gauge(bytes),
        }),
        process.open_fds.map(|descriptors| Measurement {
            facade_name: "process_open_fds",
            otel_name: Some(metric::PROCESS_UNIX_FILE_DESCRIPTOR_COUNT),
            description: "Number of open file descriptors.",
            unit: "{file_descriptor}",
            value: Reading::Gauge(descriptors),
        }),
        process.max_fds.map(|descriptors| Measurement {
            facade_name: "process_max_fds",
            otel_name: None,
            description: "Maximum number of open file descriptors, 0 if it is unlimited.",
            unit: "{file_descriptor}",
            value: Reading::Gauge(descriptors),
        }),
        process.threads.map(|threads| Measurement {
            facade_name: "process_threads",
            otel_name: Some(metric::PROCESS_THREAD_COUNT),
            description: "Number of OS threads in the process.",
            unit: "{thread}",
            value: Reading::Gauge(threads),
        }),
        process.start_time_seconds.map(|seconds| Measurement {
            facade_name: "process_start_time_seconds",
            otel_name: None,
            description: "Start time of the process since unix epoch in seconds.",
            unit: "s",
            value: Reading::Gauge(seconds),
        }),
    ];
    measurements.into_iter().flatten()
}

/// Returns the metrics that tokio provides without `tokio_unstable`. The OpenTelemetry conventions do not define them.
fn of_runtime(runtime: &RuntimeMetrics) -> [Measurement; 4] {
    let workers = runtime.num_workers();
    [
        Measurement {
            facade_name: "tokio_workers",
            otel_name: Some("tokio.workers"),
            description: "Number of worker threads of the tokio runtime.",
            unit: "{thread}",
            value: Reading::Gauge(count(workers)),
        },
        Measurement {
            facade_name: "tokio_live_tasks",
            otel_name: Some("tokio.live_tasks"),
            description: "Number of tasks of the tokio runtime that have not ended.",
            unit: "{task}",
            value: Reading::Gauge(count(runtime.num_alive_tasks())),
        },
        Measurement {
            facade_name: "tokio_global_queue_depth",
            otel_name: Some("tokio.global_queue.depth"),
            description: "Number of tasks that wait in the global queue of the tokio runtime.",
            unit: "{task}",
            value: Reading::Gauge(count(runtime.global_queue_depth())),
        },
        Measurement {
            facade_name: "tokio_busy_seconds_total",
            otel_name: Some("tokio.busy.time"),
            description: "Time that the workers of the tokio runtime were busy, in seconds.",
            unit: "s",
            value: Reading::Seconds(busy_time(runtime, workers).as_secs_f64()),
        },
    ]
}

#[cfg(target_has_atomic = "64")]
fn busy_time(runtime: &RuntimeMetrics, workers: usize) -> Duration {
    let workers = 0..workers;
    workers
        .map(|worker| runtime.worker_total_busy_duration(worker))
        .sum()
}

/// Tokio has this metric only on platforms with 64-bit atomics.
#[cfg(not(target_has_atomic = "64"))]
const fn busy_time(_: &RuntimeMetrics, _: usize) -> Duration {
    Duration::ZERO
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_grows_while_a_worker_runs() {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let Ok(runtime) = runtime.worker_threads(1).build() else {
            return;
        };
        let _entered = runtime.enter();
        let metrics = ProcessMetrics::new();
        let busy = || {
            let all = metrics.read();
            let busy = all
                .iter()
                .find(|found| found.facade_name == "tokio_busy_seconds_total");
            match busy.map(|busy| busy.value) {
                Some(Reading::Seconds(seconds)) => seconds,
                _ => -1.0,
            }
        };
        let before = busy();
        assert!(before >= 0.0);
        let started = std::time::Instant::now();
        while busy() <= before {
            assert!(started.elapsed() < Duration::from_secs(20));
            let work = runtime.spawn(async { std::hint::black_box((0..100_000).sum::<u64>()) });
            assert!(runtime.block_on(work).is_ok());
        }
    }
}
