//! The texts of recorder, set-up and test kit.

use std::time::Duration;

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{SpanContext, Status, Tracer, TracerProvider},
};
use opentelemetry_sdk::Resource;
use tower_otel_init::{MetricsExporter, Protocol, Sampler, Telemetry, TracesExporter};
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::{Keep, OtlpExporter, Recorder, RecorderSpanExt};
use tower_otel_test::{TestTelemetry, span};
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::texts::{ALLOWED, SECRET, Texts, allowed, secret};

pub(crate) fn resource() -> Resource {
    let attribute = KeyValue::new("a", allowed("resource"));
    Resource::builder_empty().with_attribute(attribute).build()
}

fn exporter() -> OtlpExporter {
    let pem = || secret("pem").into_bytes();
    OtlpExporter::http(format!(
        "https://{SECRET}:{SECRET}@{ALLOWED}.example/{SECRET}?key={SECRET}"
    ))
    .header("authorization", secret("header"))
    .ca_certificate(pem())
    .client_certificate(pem(), pem())
}

pub(crate) fn recorder() -> Recorder {
    // A port of loopback where nothing listens.
    let exporter = OtlpExporter::grpc(format!("http://{SECRET}:{SECRET}@127.0.0.1:9/{SECRET}"));
    let exporter = exporter
        .header("authorization", secret("header"))
        .timeout(Duration::from_millis(1));
    let builder = Recorder::builder(exporter).resource(resource());
    builder.build().unwrap()
}

pub(crate) fn recorder_types(texts: &mut Texts) {
    texts.debug("tower_otel_recorder::OtlpExporter", &exporter());
    let builder = Recorder::builder(exporter()).resource(resource());
    texts.debug("tower_otel_recorder::RecorderBuilder", &builder);
    // The certificates are invalid.
    let error = builder.build().unwrap_err();
    texts.both("tower_otel_recorder::RecorderBuilder", &error);
    texts.debug("tower_otel_recorder::Keep", &Keep::errors());
    let recorder = recorder();
    let scope = InstrumentationScope::builder(allowed("scope"))
        .with_attributes([KeyValue::new("a", allowed("scope"))])
        .build();
    let layer = recorder.layer().scope(scope.clone());
    texts.debug("tower_otel_recorder::RecorderLayer", &layer);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("span", token = secret("field"));
        span.set_attribute("late", secret("attribute"));
        span.set_status(Status::error(secret("status")));
        span.add_link(SpanContext::empty_context());
        texts.debug("tower_otel_recorder::Recorder", &span.context());
    });
    let provider = recorder.tracer_provider();
    texts.debug("tower_otel_recorder::RecorderTracerProvider", &provider);
    let tracer = provider.tracer_with_scope(scope);
    texts.debug("tower_otel_recorder::RecorderTracerProvider", &tracer);
    let mut span = tracer.start(allowed("span"));
    opentelemetry::trace::Span::set_attribute(&mut span, KeyValue::new("a", secret("attribute")));
    texts.debug("tower_otel_recorder::RecorderTracerProvider", &span);
    drop(span);
    // No collector accepts the spans.
    let error = recorder.flush(Duration::from_secs(30)).unwrap_err();
    texts.both("tower_otel_recorder::Recorder", &error);
    texts.debug("tower_otel_recorder::Recorder", &recorder);
}

pub(crate) fn init(texts: &mut Texts) {
    let sampler = Sampler::ratio(1.0).rule(&format!("/{ALLOWED}"), 0.5);
    texts.debug("tower_otel_init::Sampler", &sampler);
    let builder = |url: String| {
        Telemetry::builder(&allowed("name"))
            .endpoint(url)
            .header("authorization", secret("header"))
            .log_filter(allowed("filter"))
            .resource_attribute("a", allowed("resource"))
            .prometheus(Prometheus::builder())
            .sampler(sampler.clone())
            .metrics(MetricsExporter::Otlp)
            .traces(TracesExporter::Otlp)
    };
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let valid = builder(format!("http://{SECRET}:{SECRET}@127.0.0.1:9/{SECRET}"));
        let invalid = builder(format!("http://{SECRET}:{SECRET}@host:port/{SECRET}"));
        let control = valid.clone().header("authorization", "c4n4ry\n");
        for builder in [valid, invalid, control] {
            let builder = builder.protocol(protocol);
            texts.debug("tower_otel_init::TelemetryBuilder", &builder);
            match builder.local::<Registry>() {
                Ok((telemetry, _)) => {
                    texts.debug("tower_otel_init::Telemetry", &telemetry);
                    texts.debug("tower_otel_init::Control", &telemetry.control());
                    for warning in telemetry.warnings() {
                        texts.debug("tower_otel_init::Telemetry", &warning);
                    }
                }
                Err(error) => texts.both("tower_otel_init::InitError", &error),
            }
        }
    }
}

/// The crate for tests shows values intentionally.
pub(crate) fn test_kit(texts: &mut Texts) {
    let telemetry = TestTelemetry::new();
    let guard = telemetry.install();
    tracing::info_span!("work", user = allowed("attribute")).in_scope(|| {});
    metrics::counter!("requests", "tenant" => allowed("label")).increment(1);
    texts.debug("tower_otel_test::InstallGuard", &guard);
    texts.debug("tower_otel_test::TestTelemetry", &telemetry);
    texts.both("tower_otel_test::Spans", &telemetry.spans());
    texts.debug("tower_otel_test::Span", &telemetry.span("work"));
    texts.both("tower_otel_test::Metrics", &telemetry.metrics());
    let expected = span(allowed("span"))
        .attribute(allowed("key"), allowed("value"))
        .without_attribute(allowed("key"));
    texts.debug("tower_otel_test::ExpectedSpan", &expected);
}
