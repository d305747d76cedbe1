//! Signals on their way to a collector, as `tower-otel-init` starts them.

use std::{cell::RefCell, fmt, time::Duration};

use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tower_otel_init::{Layers, MetricsExporter, Sampler, Telemetry};
use tracing_subscriber::{Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::signals::Signals;

/// Spans go to a collector over OTLP, numbers to the recorder of Prometheus.
pub struct Live {
    endpoint: String,
    sampler: Sampler,
    started: RefCell<Option<(Telemetry, Layers<Registry>)>>,
}

impl Live {
    /// Nothing is started before an arm asks for it: a bare one never does.
    pub fn new(endpoint: String, sampling: u32) -> Self {
        Self {
            endpoint,
            sampler: match sampling {
                100.. => Sampler::AlwaysOn,
                part => Sampler::Ratio(f64::from(part) / 100.0),
            },
            started: RefCell::default(),
        }
    }

    fn with<T>(&self, of: impl FnOnce(&mut Telemetry, &mut Layers<Registry>) -> T) -> T {
        let mut started = self.started.borrow_mut();
        let (telemetry, layers) = started.get_or_insert_with(|| {
            Telemetry::builder("benches")
                .endpoint(&self.endpoint)
                .sampler(self.sampler)
                .metrics(MetricsExporter::Prometheus)
                .layers()
                .unwrap()
        });
        of(telemetry, layers)
    }

    /// What has to be kept for as long as there are requests.
    pub fn into_guard(self) -> Guard {
        Guard(self.started.into_inner().map(|(telemetry, _)| telemetry))
    }
}

impl Signals for Live {
    fn traces(&self) -> SdkTracerProvider {
        self.with(|telemetry, _| telemetry.tracer_provider().cloned().unwrap())
    }

    fn subscriber(&self) {
        let layers = self.with(|_, layers| std::mem::take(layers));
        tracing_subscriber::registry().with(layers).init();
    }

    fn recorder(&self) {
        self.with(|telemetry, _| assert!(telemetry.prometheus().is_some()));
    }

    fn meters(&self) -> SdkMeterProvider {
        unimplemented!("no arm sends numbers over OTLP")
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").finish_non_exhaustive()
    }
}

/// Telemetry that runs, if the arm has any.
#[derive(Debug)]
pub struct Guard(Option<Telemetry>);

impl Guard {
    /// Delivers what is left, and says how many spans were lost.
    pub fn finish(self) -> u64 {
        let Some(telemetry) = self.0 else { return 0 };
        let _ = telemetry.shutdown(Duration::from_secs(10));
        telemetry.dropped_spans().total()
    }
}
