//! Signals on their way to a collector, as `tower-otel-init` starts them.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    future::pending,
    thread,
    time::Duration,
};

use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tokio::runtime;
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tower_otel_trace::Recorder;
use tracing_subscriber::{Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::signals::{Signals, sampler};

/// Spans go to a collector over OTLP, numbers to the recorder of Prometheus.
///
/// Queues and batches are those of the SDK. So with many requests at once a batch is full in the
/// midst of a block, and is sent while there is load.
pub struct Live {
    service: String,
    endpoint: String,
    sampling: u32,
    started: RefCell<Option<(Telemetry, Layers<Registry>)>>,
    recorder: OnceCell<Recorder>,
}

impl Live {
    /// Nothing is started before an arm asks for it: a bare one never does.
    pub fn new(service: &str, endpoint: String, sampling: u32) -> Self {
        Self {
            service: service.to_owned(),
            endpoint,
            sampling,
            started: RefCell::default(),
            recorder: OnceCell::new(),
        }
    }

    fn with<T>(&self, of: impl FnOnce(&mut Telemetry, &mut Layers<Registry>) -> T) -> T {
        let sampler = match self.sampling {
            0 => Sampler::AlwaysOff,
            100.. => Sampler::AlwaysOn,
            part => Sampler::Ratio(f64::from(part) / 100.0),
        };
        let mut started = self.started.borrow_mut();
        let (telemetry, layers) = started.get_or_insert_with(|| {
            Telemetry::builder(&self.service)
                .endpoint(&self.endpoint)
                .sampler(sampler)
                .metrics(MetricsExporter::Prometheus)
                .layers()
                .unwrap()
        });
        of(telemetry, layers)
    }

    /// What has to be kept for as long as there are requests.
    pub fn into_guard(self) -> Guard {
        Guard {
            telemetry: self.started.into_inner().map(|(telemetry, _)| telemetry),
            recorder: self.recorder.into_inner(),
        }
    }
}

impl Signals for Live {
    fn traces(&self) -> SdkTracerProvider {
        self.with(|telemetry, _| telemetry.tracer_provider().cloned().unwrap())
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.get_or_init(|| {
            let resource = Resource::builder().with_service_name(self.service.clone());
            Recorder::builder(exporter(&self.endpoint))
                .resource(resource.build())
                .sampler_by_trace(sampler(self.sampling))
                .build()
                .unwrap()
        })
    }

    fn subscriber(&self) {
        let layers = self.with(|_, layers| std::mem::take(layers));
        tracing_subscriber::registry().with(layers).init();
    }

    fn prometheus(&self) {
        self.with(|telemetry, _| assert!(telemetry.prometheus().is_some()));
    }

    fn meters(&self) -> SdkMeterProvider {
        unimplemented!("no arm sends numbers over OTLP")
    }
}

/// Sends from a thread of its own, as `tower-otel-init` does, and not from the one that serves.
fn exporter(endpoint: &str) -> SpanExporter {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(pending::<()>()));
    let _entered = handle.enter();
    SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .unwrap()
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Telemetry that runs, if the arm has any.
#[derive(Debug)]
pub struct Guard {
    telemetry: Option<Telemetry>,
    recorder: Option<Recorder>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Guard {
    /// Delivers what has ended so far. What cannot be delivered is counted, and said at the end.
    pub fn flush(&self) {
        let traces = self.telemetry.as_ref().and_then(Telemetry::tracer_provider);
        if let Some(traces) = traces {
            let _ = traces.force_flush();
        }
        if let Some(recorder) = &self.recorder {
            let _ = recorder.flush(PATIENCE);
        }
    }

    /// Delivers what is left, and says how many spans were lost.
    pub fn finish(self) -> u64 {
        let Self {
            telemetry,
            recorder,
        } = self;
        let lost = telemetry.map(|telemetry| {
            let _ = telemetry.shutdown(PATIENCE);
            telemetry.dropped_spans().total()
        });
        let lost_records = recorder.map(|recorder| {
            let _ = recorder.shutdown(PATIENCE);
            let tally = recorder.tally();
            tally.failed + tally.dropped
        });
        lost.unwrap_or_default() + lost_records.unwrap_or_default()
    }
}
