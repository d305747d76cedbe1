//! `Debug` and `Display` of every public type show no secret.
//!
//! The types are those in `api/`, so that a new public type without a row fails the test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::BTreeSet,
    convert::Infallible,
    fmt::{Debug, Display},
    fs, io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use http_body_util::Empty;
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    baggage::BaggageExt,
    trace::{SpanContext, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::{Resource, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use suite_tests::keys::OPT_INS;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::{
    End, Exchange, Filter, Hosts, HttpOptions, LongLived, Observe, RequestInfo, ResponseHead,
    Route, RouteSlot, observe,
};
use tower_otel_init::{MetricsExporter, Protocol, Sampler, Telemetry, TracesExporter};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::{
    BaggagePolicy, BaggagePropagator, PropagateLayer, Propagation, W3cPropagator, WithContext,
};
use tower_otel_recorder::{Keep, OtlpExporter, Recorder, RecorderSpanExt};
use tower_otel_semconv::{HostPort, Kind, KnownMethods, SensitiveKeys, Target, TrustedProxies};
use tower_otel_test::{TestTelemetry, span};
use tower_otel_trace::{SpanHandle, TraceLayer};
use tracing_subscriber::{Registry, layer::SubscriberExt};

/// A part of every value that may be a secret: of headers, queries, user information, certificates, keys, bodies,
/// messages of errors and panics, baggage, labels, attributes.
const SECRET: &str = "c4n4ry";

/// A part of values that may show: names, hosts, routes, paths, methods, attributes of resources and scopes.
const ALLOWED: &str = "4ll0wed";

/// Public types that contain no text: enums, numbers, addresses.
const WITHOUT_TEXT: &str = "
    tower_otel_core::Attempts
    tower_otel_core::LocalAddr
    tower_otel_core::PeerAddr
    tower_otel_core::RouteLayer
    tower_otel_init::DropCounts
    tower_otel_init::LogFormat
    tower_otel_init::LogsExporter
    tower_otel_init::MetricsExporter
    tower_otel_init::Protocol
    tower_otel_init::ShutdownError
    tower_otel_init::TracesExporter
    tower_otel_metrics::FacadeMetrics
    tower_otel_metrics::Names
    tower_otel_propagate::BaggagePropagator
    tower_otel_propagate::RemoteParent
    tower_otel_propagate::W3cPropagator
    tower_otel_recorder::SetParentError
    tower_otel_recorder::SpanCounts
    tower_otel_semconv::Endpoint
    tower_otel_semconv::ForwardedHeaders
    tower_otel_semconv::Kind
    tower_otel_test::Histogram
    tower_otel_trace::OptIn
    tower_otel_trace::TracingBackend
";

/// Returns the public structs and enums of the published crates.
fn public_types() -> BTreeSet<String> {
    let declared = |line: &str| {
        let line = line.trim_start_matches("#[non_exhaustive] ");
        let rest = line.strip_prefix("pub struct ");
        let rest = rest.or_else(|| line.strip_prefix("pub enum "))?;
        let end = rest.find(['<', '(', ' ']).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    api().lines().filter_map(declared).collect()
}

/// Returns the names of the methods of builders that accept a text.
fn text_setters() -> BTreeSet<String> {
    const TEXTS: [&str; 7] = [
        "String",
        "str",
        "Vec<u8>",
        "HeaderName",
        "KeyValue",
        "Resource",
        "Scope",
    ];
    let setter = |line: &str| {
        let (name, arguments) = line.split_once("(self, ")?;
        let (arguments, returned) = arguments.rsplit_once(" -> ")?;
        let accepts_text = TEXTS.iter().any(|text| arguments.contains(text));
        let (_, name) = name.rsplit_once("::")?;
        (returned == "Self" && accepts_text).then(|| name.to_owned())
    };
    api().lines().filter_map(setter).collect()
}

/// Returns the public items of the published crates.
fn api() -> String {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../api");
    let files = fs::read_dir(api).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|file| !file.ends_with("hidden.txt"));
    files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// The texts of a value of each type.
#[derive(Default)]
struct Texts(Vec<(&'static str, String)>);

impl Texts {
    fn debug(&mut self, name: &'static str, value: &dyn Debug) {
        self.0.push((name, format!("{value:?} {value:#?}")));
    }

    fn both(&mut self, name: &'static str, value: &(impl Debug + Display)) {
        self.debug(name, value);
        self.0.push((name, value.to_string()));
    }
}

fn secret(place: &str) -> String {
    format!("{SECRET}-{place}")
}

fn allowed(place: &str) -> String {
    format!("{ALLOWED}-{place}")
}

/// A request with secrets in headers, query and user information.
fn request() -> Request<Empty<&'static [u8]>> {
    let uri = "http://c4n4ry:c4n4ry@4ll0wed.example/4ll0wed?token=c4n4ry";
    Request::get(uri)
        .header(header::AUTHORIZATION, "Bearer c4n4ry")
        .header(header::COOKIE, "c4n4ry")
        .header("x-4ll0wed", "c4n4ry")
        .header("baggage", "c4n4ry=c4n4ry")
        .body(Empty::new())
        .unwrap()
}

/// A context with a secret in baggage, attributes and the status of its span.
fn context() -> Context {
    let provider = SdkTracerProvider::builder().build();
    let mut span = provider.tracer("test").start(allowed("span"));
    opentelemetry::trace::Span::set_attribute(&mut span, KeyValue::new("a", secret("attribute")));
    opentelemetry::trace::Span::set_status(&mut span, Status::error(secret("status")));
    let context = Context::new().with_baggage([KeyValue::new("user", secret("baggage"))]);
    context.with_span(span)
}

/// Observes an exchange and writes what it gets as text.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Texts>>);

impl Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts")
    }
}

impl Observe for Spy {
    type Exchange = Self;

    fn start(&self, request: &RequestInfo<'_>, _: Instant) -> Self {
        let mut texts = self.0.lock().unwrap();
        texts.debug("tower_otel_core::RequestInfo", request);
        texts.debug("tower_otel_semconv::Target", &request.target(Kind::Client));
        self.clone()
    }
}

impl Exchange for Spy {
    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _: &dyn ResponseHead) {}

    fn data(&mut self, _: u64) {}

    fn end(&mut self, end: End<'_>, _: Instant) {
        let mut texts = self.0.lock().unwrap();
        if let End::Failed(failure) = &end {
            texts.debug("tower_otel_core::Failure", failure);
        }
        texts.debug("tower_otel_core::End", &end);
    }
}

fn options() -> HttpOptions {
    HttpOptions::default()
        .filter(Filter::skip_paths([allowed("path")]))
        .known_methods(KnownMethods::new([allowed("method")]))
        .trusted_proxies(TrustedProxies::all())
        .route(|_| Some(Route::from(secret("route"))))
}

fn core(texts: &mut Texts) {
    for filter in [
        Filter::only_hosts(Hosts::new([allowed("host")])),
        Filter::skip_hosts(Hosts::new([allowed("host")])),
        Filter::skip_paths([allowed("path")]),
        Filter::skip_routes([allowed("route")]),
    ] {
        texts.debug("tower_otel_core::Filter", &filter);
    }
    texts.debug("tower_otel_core::Hosts", &Hosts::new([allowed("host")]));
    texts.debug("tower_otel_core::HttpOptions", &options());
    texts.debug("tower_otel_core::Route", &Route::from(allowed("route")));
    let slot = RouteSlot::default();
    slot.set(allowed("route"));
    texts.debug("tower_otel_core::RouteSlot", &slot);
    let connection = LongLived::default();
    let observed = SECRET.to_owned();
    connection.observe(move |code| {
        let _ = &observed;
        code();
    });
    texts.debug("tower_otel_core::LongLived", &connection);

    // An exchange that fails with a secret, and one whose trailers have one.
    let spy = Spy::default();
    let layer = observe(spy.clone());
    texts.debug("tower_otel_core::ObserveLayer", &layer);
    let fails = service_fn(|_: Request<_>| {
        let error = io::Error::other(format!("{}: http://me:{SECRET}@host/", secret("error")));
        std::future::ready(Err::<Response<Empty<&[u8]>>, _>(error))
    });
    let service = layer.layer(fails);
    texts.debug("tower_otel_core::Observed", &layer.layer(()));
    block_on(service.oneshot(request())).unwrap_err();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-secret", HeaderValue::from_static("c4n4ry-trailer"));
    let complete = End::Complete {
        trailers: Some(&trailers),
    };
    texts.debug("tower_otel_core::End", &complete);
    texts.0.append(&mut spy.0.lock().unwrap().0);
}

fn semconv(texts: &mut Texts) {
    let uri = format!("http://{SECRET}:{SECRET}@{ALLOWED}/{ALLOWED}?token={SECRET}");
    let uri = uri.parse().unwrap();
    texts.debug("tower_otel_semconv::Target", &Target::of(&uri));
    let host = allowed("host");
    texts.debug(
        "tower_otel_semconv::HostPort",
        &HostPort::parse(&host).unwrap(),
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-host", host.parse().unwrap());
    headers.insert("x-forwarded-for", "192.0.2.7, c4n4ry".parse().unwrap());
    let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let forwarded = TrustedProxies::all().resolve(&headers, Some(peer.into()));
    assert!(forwarded.host.is_some());
    texts.debug("tower_otel_semconv::Forwarded", &forwarded);
    texts.both(
        "tower_otel_semconv::InvalidCidr",
        &TrustedProxies::cidrs([allowed("cidr")]).unwrap_err(),
    );
    texts.debug(
        "tower_otel_semconv::KnownMethods",
        &KnownMethods::new([allowed("method")]),
    );
    texts.debug(
        "tower_otel_semconv::SensitiveKeys",
        &SensitiveKeys::new([allowed("key")]),
    );
    texts.debug(
        "tower_otel_semconv::TrustedProxies",
        &TrustedProxies::cidrs(["192.0.2.0/24"]).unwrap(),
    );
}

fn propagate(texts: &mut Texts) {
    let policy = BaggagePolicy::default()
        .keys([allowed("key")])
        .hosts(Hosts::new([allowed("host")]));
    texts.debug("tower_otel_propagate::BaggagePolicy", &policy);
    let propagation = Propagation::from(W3cPropagator::default()).read_baggage();
    texts.debug("tower_otel_propagate::Propagation", &propagation);
    let layer = PropagateLayer::new()
        .baggage(policy)
        .filter(Filter::skip_paths([allowed("path")]))
        .propagator(BaggagePropagator::default());
    texts.debug("tower_otel_propagate::PropagateLayer", &layer);
    let value = WithContext::new(context(), 7);
    texts.debug("tower_otel_propagate::WithContext", &value);
}

fn trace(texts: &mut Texts) {
    let recorder = recorder();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .build();
    let layer = TraceLayer::server()
        .http_options(&options())
        .capture_request_headers([HeaderName::from_static("x-4ll0wed")])
        .capture_response_headers([HeaderName::from_static("x-4ll0wed")])
        .exceptions()
        .grpc()
        .rpc_response_status_code()
        .opt_in(OPT_INS)
        .propagator(W3cPropagator::default())
        .sensitive_query_keys(SensitiveKeys::new([allowed("key")]))
        .expose_span();
    texts.debug("tower_otel_trace::TraceLayer", &layer);
    // The text of a layer contains that of its backend.
    let recorded = layer.clone().recorder(&recorder);
    texts.debug("tower_otel_trace::RecorderBackend", &recorded);
    let through_provider = layer.clone().tracer_provider(&provider);
    texts.debug("tower_otel_trace::TracerBackend", &through_provider);
    let any = through_provider.any_backend();
    texts.debug("tower_otel_trace::AnyBackend", &any);
    let handler = service_fn(|request: Request<Empty<&'static [u8]>>| async move {
        let span = request.extensions().get::<SpanHandle>().unwrap();
        span.set_name(secret("name"));
        span.set_attribute(KeyValue::new("a", secret("attribute")));
        let mut response = Response::new(Empty::<&[u8]>::new());
        response.extensions_mut().insert(span.clone());
        Ok::<_, Infallible>(response)
    });
    for layer in [any, recorded.any_backend()] {
        let response = block_on(layer.layer(handler).oneshot(request())).unwrap();
        let span = response.extensions().get::<SpanHandle>().unwrap();
        texts.debug("tower_otel_trace::SpanHandle", span);
    }
}

fn metrics(texts: &mut Texts) {
    let provider = SdkMeterProvider::builder()
        .with_resource(resource())
        .build();
    let layer = MetricsLayer::server()
        .http_options(&options())
        .label("4ll0wed", |_| Some(secret("label").into()))
        .response_label("note", |_| Some(secret("label").into()))
        .rename(|name| format!("{ALLOWED}_{name}"));
    let handler = service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new()))
    });
    let mut service = layer.layer(handler);
    block_on(service.ready()).unwrap();
    block_on(service.call(request())).unwrap();
    texts.debug("tower_otel_metrics::MetricsLayer", &layer);
    let layer = layer.meter_provider(&provider);
    texts.debug("tower_otel_metrics::OtelMetrics", &layer);
}

fn prometheus(texts: &mut Texts) {
    let label = (allowed("label"), allowed("value"));
    let builder = Prometheus::builder()
        .buckets(allowed("metric"), [1.0])
        .series_buckets(allowed("metric"), label, [2.0]);
    texts.debug("tower_otel_prometheus::PrometheusBuilder", &builder);
    let error = Prometheus::builder().buckets(allowed("metric"), [f64::NAN]);
    let error = error.build().err().unwrap();
    texts.both("tower_otel_prometheus::InstallError", &error);
    let (recorder, prometheus) = builder.build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("requests", "tenant" => secret("label")).increment(1);
        metrics::histogram!("seconds", "tenant" => secret("label")).record(1.0);
    });
    assert!(prometheus.render().contains(SECRET));
    texts.debug("tower_otel_prometheus::Prometheus", &recorder);
    texts.debug("tower_otel_prometheus::Prometheus", &prometheus);
    let service = prometheus.service();
    texts.debug("tower_otel_prometheus::MetricsService", &service);
    let scrape = block_on(service.oneshot(request())).unwrap();
    texts.debug("tower_otel_prometheus::MetricsService", &scrape);
}

fn resource() -> Resource {
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

fn recorder() -> Recorder {
    // A port of loopback where nothing listens.
    let exporter = OtlpExporter::grpc(format!("http://{SECRET}:{SECRET}@127.0.0.1:9/{SECRET}"));
    let exporter = exporter
        .header("authorization", secret("header"))
        .timeout(Duration::from_millis(1));
    let builder = Recorder::builder(exporter).resource(resource());
    builder.build().unwrap()
}

fn recorder_types(texts: &mut Texts) {
    texts.debug("tower_otel_recorder::OtlpExporter", &exporter());
    let builder = Recorder::builder(exporter()).resource(resource());
    texts.debug("tower_otel_recorder::RecorderBuilder", &builder);
    // Certificates that are none.
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
    // Nothing accepts the spans.
    let error = recorder.flush(Duration::from_secs(30)).unwrap_err();
    texts.both("tower_otel_recorder::Recorder", &error);
    texts.debug("tower_otel_recorder::Recorder", &recorder);
}

fn init(texts: &mut Texts) {
    let sampler = Sampler::ratio(1.0).rule(&format!("/{ALLOWED}"), 0.5);
    texts.debug("tower_otel_init::Sampler", &sampler);
    let builder = |url: String| {
        Telemetry::builder(&allowed("name"))
            .endpoint(url)
            .header("authorization", secret("header"))
            .log_filter(allowed("filter"))
            .resource_attribute("a", allowed("resource"))
            .service_name(allowed("service"))
            .service_version(allowed("version"))
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

/// The values of a test are shown on purpose.
fn test_kit(texts: &mut Texts) {
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

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

fn texts() -> Vec<(&'static str, String)> {
    let mut texts = Texts::default();
    for add in [
        core,
        semconv,
        propagate,
        trace,
        metrics,
        prometheus,
        recorder_types,
        init,
        test_kit,
    ] {
        add(&mut texts);
    }
    texts.0
}

#[test]
fn debug_and_display_of_no_public_type_show_a_secret() {
    let texts = texts();
    let shown: Vec<_> = texts
        .iter()
        .filter(|(_, text)| text.contains(SECRET))
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
    // The search finds what it looks for.
    assert!(texts.iter().any(|(_, text)| text.contains(ALLOWED)));
}

#[test]
fn every_public_type_has_a_text_or_is_listed_as_one_without() {
    let rows = texts();
    let rows: BTreeSet<_> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed: BTreeSet<_> = WITHOUT_TEXT.split_whitespace().map(str::to_owned).collect();
    assert!(rows.is_disjoint(&listed));
    let checked: BTreeSet<_> = rows.union(&listed).cloned().collect();
    assert_eq!(checked, public_types());
}

#[test]
fn every_setter_that_accepts_a_text_is_called_here() {
    let source = include_str!("debug_texts.rs");
    let setters = text_setters();
    assert!(setters.contains("header"));
    let missing: Vec<_> = setters
        .iter()
        .filter(|name| !source.contains(&format!(".{name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
