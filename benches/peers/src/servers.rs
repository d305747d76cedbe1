//! Servers, each watched as the README of the crate says, with the signals that ours have.

use axum::Router;
use axum_otel_metrics::HttpMetricsLayerBuilder;
use axum_prometheus::PrometheusMetricLayer;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use opentelemetry::{global, metrics::MeterProvider};
use opentelemetry_instrumentation_tower::http::server;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tokio::runtime;
use tower_otel_benches::{
    arms::{self, Visitor},
    recorded,
    signals::{Discarded, Signals},
};
use tower_otel_metrics::MetricsLayer;
use tracing::Level;

use crate::older;

/// Watches an application in the way that is named.
pub fn watch<V: Visitor>(name: &str, app: Router, signals: &Discarded, visitor: V) -> V::Output {
    let resolved = |app: Router| app.with_state(());
    let spans = || {
        propagate();
        signals.subscriber();
    };
    let tower_otel_metrics = || {
        let meter = signals.meters().meter("tower-otel");
        tower_otel::metrics::HttpLayer::server(&meter)
    };
    let app = match name {
        "opentelemetry-instrumentation-tower" => app.layer(instrumentation(signals, true, false)),
        "opentelemetry-instrumentation-tower, metrics" => {
            app.layer(instrumentation(signals, false, true))
        }
        "opentelemetry-instrumentation-tower, both" => {
            app.layer(instrumentation(signals, true, true))
        }
        "axum-tracing-opentelemetry" => {
            spans();
            app.layer(OtelAxumLayer::default())
        }
        "tower-otel" => {
            spans();
            app.layer(tower_otel::trace::HttpLayer::server(Level::INFO))
        }
        "tower-otel, metrics" => app.layer(tower_otel_metrics()),
        "tower-otel, both" => {
            spans();
            app.layer(tower_otel_metrics())
                .layer(tower_otel::trace::HttpLayer::server(Level::INFO))
        }
        "axum-prometheus" => app.layer(axum_prometheus()),
        "axum-tracing-opentelemetry, axum-prometheus" => {
            spans();
            app.layer(axum_prometheus()).layer(OtelAxumLayer::default())
        }
        "axum-otel-metrics" => {
            let metrics = HttpMetricsLayerBuilder::new().with_provider(older::meters());
            app.layer(metrics.build())
        }
        "metrics, body sizes" => {
            signals.prometheus();
            app.layer(MetricsLayer::server().body_sizes())
        }
        "metrics, otel, body sizes" => {
            let metrics = MetricsLayer::server().meter_provider(&signals.meters());
            app.layer(metrics.body_sizes())
        }
        ours => return arms::watch(ours, app, signals, visitor),
    };
    visitor.visit(resolved(app))
}

/// The propagator of the process, which others ask.
pub fn propagate() {
    global::set_text_map_propagator(TraceContextPropagator::new());
}

/// It takes its providers from the process, when it is made.
fn instrumentation(signals: &Discarded, tracing: bool, metrics: bool) -> server::Layer {
    propagate();
    global::set_tracer_provider(signals.traces());
    if metrics {
        global::set_meter_provider(signals.meters());
    }
    server::LayerBuilder::builder()
        .with_tracing(tracing)
        .with_metrics(metrics)
        .build()
        .unwrap()
}

/// With the runtime on which it clears its histograms.
fn axum_prometheus() -> PrometheusMetricLayer<'static> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let runtime = Box::leak(Box::new(runtime));
    let _entered = runtime.enter();
    let (layer, handle) = PrometheusMetricLayer::pair();
    recorded::samples_by(move || recorded::samples_of(&handle.render()));
    layer
}
