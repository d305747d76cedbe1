//! Local telemetry installs nothing that is global.
#![cfg(all(feature = "grpc", feature = "prometheus"))]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use collector::{Collector, TIMEOUT};
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use tower_otel_init::{Control, Layers, Prometheus, Sampler, Telemetry, TracesExporter};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};

#[test]
fn local_telemetry_does_not_write_to_the_recorder_of_the_process() {
    let prometheus = Prometheus::builder().install().unwrap();
    let collector = Collector::grpc();
    let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder("users")
        .endpoint(collector.endpoint())
        .sampler(Sampler::ratio(1.0))
        .local()
        .unwrap();
    telemetry
        .tracer_provider()
        .unwrap()
        .tracer("")
        .start("job")
        .end();
    telemetry.flush(TIMEOUT).unwrap();
    telemetry.shutdown(TIMEOUT).unwrap();
    assert_eq!(collector.spans(), 1);
    let metrics = prometheus.render();
    assert!(!metrics.contains("otel_sdk"), "{metrics}");
}

/// A layer of the application that reads the settings at each event.
struct ReadsSettings(Arc<OnceLock<Control>>);

impl<S: tracing::Subscriber> Layer<S> for ReadsSettings {
    fn on_event(&self, _: &tracing::Event<'_>, _: LayerContext<'_, S>) {
        if let Some(control) = self.0.get() {
            let _ = control.sampling();
            let _ = control.keep();
            let _ = control.log_filter();
        }
    }
}

#[test]
fn a_subscriber_reads_the_settings_while_a_change_is_logged() {
    let (done, changed) = std::sync::mpsc::channel();
    // Not joined: a deadlock would not end.
    std::thread::spawn(move || {
        let control = Arc::<OnceLock<Control>>::default();
        let builder = Telemetry::builder("users").traces(TracesExporter::Console);
        let (telemetry, layers) = builder.local::<Registry>().unwrap();
        let subscriber = tracing_subscriber::registry().with(layers);
        let subscriber = subscriber.with(ReadsSettings(Arc::clone(&control)));
        let _subscriber = tracing::subscriber::set_default(subscriber);
        control.set(telemetry.control()).unwrap();
        telemetry.control().set_keep("errors").unwrap();
        done.send("keep").unwrap();
        telemetry.control().set_sampling("0.5").unwrap();
        done.send("sampling").unwrap();
    });
    for setting in ["keep", "sampling"] {
        assert_eq!(changed.recv_timeout(Duration::from_secs(10)), Ok(setting));
    }
}
