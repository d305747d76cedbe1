//! Servers, each instrumented as in the README of the crate, with the same signals as the suite.

use axum::Router;
use axum_otel_metrics::HttpMetricsLayerBuilder;
use axum_prometheus::PrometheusMetricLayer;
use axum_tracing_opentelemetry::middleware::OtelAxumLayer;
use fastrace_axum::FastraceLayer;
use opentelemetry::{global, metrics::MeterProvider};
use opentelemetry_instrumentation_tower::http::server;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tokio::runtime;
use tower_http::trace::{DefaultMakeSpan, TraceLayer};
use tower_otel_benches::{
    arms::{self, Visitor},
    recorded_counts,
    signals::{DiscardingSignals, Signals},
    span_arms,
};
use tower_otel_metrics::MetricsLayer;
use tracing::Level;

use crate::otel_032;

/// Instruments an application with the arm of this name.
pub fn instrument<V: Visitor>(
    name: &str,
    app: Router,
    signals: &DiscardingSignals,
    visitor: V,
) -> V::Output {
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
        "fastrace-axum" => {
            span_arms::report_fastrace();
            app.layer(FastraceLayer::default())
        }
        // Its spans have the level DEBUG unless another one is set.
        "tower-http" => {
            spans();
            let spans = DefaultMakeSpan::new().level(Level::INFO);
            app.layer(TraceLayer::new_for_http().make_span_with(spans))
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
            let metrics = HttpMetricsLayerBuilder::new().with_provider(otel_032::meters());
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
        ours => return arms::instrument(ours, app, signals, visitor),
    };
    visitor.visit(resolved(app))
}

/// Sets the propagator of the process, which other crates use.
pub fn propagate() {
    global::set_text_map_propagator(TraceContextPropagator::new());
}

/// Creates the layer, which uses the providers of the process.
fn instrumentation(signals: &DiscardingSignals, tracing: bool, metrics: bool) -> server::Layer {
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

/// Creates the layer, and the runtime on which it runs its upkeep task.
fn axum_prometheus() -> PrometheusMetricLayer<'static> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    let runtime = Box::leak(Box::new(runtime));
    let _entered = runtime.enter();
    let (layer, handle) = PrometheusMetricLayer::pair();
    recorded_counts::set_sample_counter(move || recorded_counts::samples_in_page(&handle.render()));
    layer
}
