//! Signals that are exported to a collector, as `tower-otel-init` configures them.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    future::pending,
    net::Ipv4Addr,
    thread,
    time::Duration,
};

use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tokio::runtime;
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tower_otel_recorder::{Keep, OtlpExporter};
use tower_otel_trace::Recorder;
use tracing_subscriber::{Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    arms::Arm,
    signals::{Signals, flush_yardsticks, sampler},
};

/// Exports spans over OTLP, and records metrics with the Prometheus recorder.
///
/// Queues and batches have their default sizes, so with many connections a batch is exported under load.
pub struct ExportingSignals {
    service: String,
    endpoint: String,
    sampling: u32,
    has_page: bool,
    keep: Option<Keep>,
    started: RefCell<Option<(Telemetry, Layers<Registry>)>>,
    sdk: OnceCell<SdkTracerProvider>,
    recorder: OnceCell<Recorder>,
}

impl ExportingSignals {
    /// Creates the signals. Each starts when an arm first uses it.
    pub fn new(service: &str, endpoint: String, arm: Arm<'_>) -> Self {
        // The defaults of `tower-otel-init`.
        let keep = || Keep::errors().slower_than(Duration::from_secs(1));
        Self {
            service: service.to_owned(),
            endpoint,
            sampling: arm.sampling,
            has_page: arm.has_page(),
            keep: arm.keeps().then(keep),
            started: RefCell::default(),
            sdk: OnceCell::new(),
            recorder: OnceCell::new(),
        }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Telemetry, &mut Layers<Registry>) -> T) -> T {
        let sampler = match self.sampling {
            0 => Sampler::always_off(),
            100.. => Sampler::ratio(1.0),
            percentage => Sampler::ratio(f64::from(percentage) / 100.0),
        };
        let mut started = self.started.borrow_mut();
        let (telemetry, layers) = started.get_or_insert_with(|| {
            let builder = Telemetry::builder(&self.service)
                .endpoint(&self.endpoint)
                .sampler(sampler)
                .metrics(MetricsExporter::Prometheus);
            let builder = match self.has_page {
                true => builder.page((Ipv4Addr::LOCALHOST, 0)),
                false => builder,
            };
            builder.layers().unwrap()
        });
        run(telemetry, layers)
    }

    fn resource(&self) -> Resource {
        let resource = Resource::builder().with_service_name(self.service.clone());
        resource.build()
    }

    /// Returns the guard, which must live as long as the server.
    pub fn into_guard(self) -> Guard {
        Guard {
            telemetry: self.started.into_inner().map(|(telemetry, _)| telemetry),
            sdk: self.sdk.into_inner(),
            recorder: self.recorder.into_inner(),
        }
    }
}

impl Signals for ExportingSignals {
    fn traces(&self) -> SdkTracerProvider {
        let provider = self.sdk.get_or_init(|| {
            SdkTracerProvider::builder()
                .with_batch_exporter(exporter(&self.endpoint))
                .with_resource(self.resource())
                .with_sampler(sampler(self.sampling))
                .build()
        });
        provider.clone()
    }

    fn recorder(&self) -> &Recorder {
        self.recorder.get_or_init(|| {
            let builder = Recorder::builder(OtlpExporter::grpc(&self.endpoint))
                .resource(self.resource())
                .sampler_without_attributes(sampler(self.sampling));
            let builder = match self.keep {
                Some(rules) => builder.keep(rules),
                None => builder,
            };
            builder.build().unwrap()
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
        unimplemented!("no arm exports metrics over OTLP")
    }
}

/// Creates the exporter of OpenTelemetry, with a runtime on a separate thread.
pub fn exporter(endpoint: &str) -> SpanExporter {
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

impl fmt::Debug for ExportingSignals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportingSignals").finish_non_exhaustive()
    }
}

/// The running telemetry of an arm.
#[derive(Debug)]
pub struct Guard {
    telemetry: Option<Telemetry>,
    sdk: Option<SdkTracerProvider>,
    recorder: Option<Recorder>,
}

const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

impl Guard {
    /// Exports the ended spans. Spans that cannot be exported are counted as dropped.
    pub fn flush(&self) {
        if let Some(telemetry) = &self.telemetry {
            let _ = telemetry.flush(FLUSH_TIMEOUT);
        }
        if let Some(sdk) = &self.sdk {
            let _ = sdk.force_flush();
        }
        if let Some(recorder) = &self.recorder {
            let _ = recorder.flush(FLUSH_TIMEOUT);
        }
        flush_yardsticks();
    }

    /// Shuts the telemetry down and returns the number of lost spans.
    pub fn finish(self) -> u64 {
        let Self {
            telemetry,
            sdk,
            recorder,
        } = self;
        // The SDK does not count dropped spans.
        if let Some(sdk) = sdk {
            let _ = sdk.shutdown_with_timeout(FLUSH_TIMEOUT);
        }
        let lost = telemetry.map(|telemetry| {
            let _ = telemetry.shutdown(FLUSH_TIMEOUT);
            telemetry.dropped_spans().total()
        });
        let lost_records = recorder.map(|recorder| {
            let _ = recorder.shutdown(FLUSH_TIMEOUT);
            let counts = recorder.counts();
            counts.failed + counts.dropped
        });
        lost.unwrap_or_default() + lost_records.unwrap_or_default()
    }
}
