//! Requests and responses with a secret in every place: no secret is in the protobuf of spans and
//! metrics, in the text of a scrape, in the log or in the headers of outgoing requests.
//!
//! The tests search the bytes of each output. Allowed values must be found by the same search.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    borrow::Cow,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header, request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use opentelemetry::trace::TracerProvider;
use opentelemetry_proto::{
    tonic::collector::{
        metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider},
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use prost::Message;
use suite_tests::{
    backend::{Backend, Source, records_tracing},
    keys::OPT_INS,
    net::BoxError,
    telemetry::SCOPE,
};
use tokio::net::TcpSocket;
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::{Hosts, Observe, PeerAddr, RequestHead, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::{BaggagePolicy, PropagateLayer, Propagation};
use tower_otel_semconv::SensitiveKeys;
use tower_otel_trace::{Recorder, TraceLayer};
use tracing_subscriber::{
    Layer as _,
    filter::{DynFilterFn, LevelFilter},
    fmt::format::FmtSpan,
    layer::{Filter, SubscriberExt},
};

/// A part of every value that must not be recorded or forwarded.
const SECRET: &str = "c4n4ry";

// Parts of allowed values, one for each place.
const HEADER: &str = "4ll0wed-header";
const QUERY: &str = "4ll0wed-query";
const LABEL: &str = "4ll0wed-label";
const MESSAGE: &str = "4ll0wed-message";
const MEMBER: &str = "4ll0wed-member";
const STATE: &str = "4ll0wed-state";

type BoxedResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;
type BufferedRequest = Request<Full<Bytes>>;

/// The end of the client exchange and of the server exchange around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    /// The service fails with an error that contains a URL.
    Failed,
    /// The body fails.
    BodyFailed,
    /// The service panics with a secret in the message.
    Panicked,
    /// A gRPC call ends with an error status and a message.
    GrpcError,
}

const ENDS: [End; 5] = [
    End::Complete,
    End::Failed,
    End::BodyFailed,
    End::Panicked,
    End::GrpcError,
];

/// All outputs as bytes.
#[derive(Debug)]
struct Outputs {
    spans: Vec<u8>,
    meter: Vec<u8>,
    scrape: Vec<u8>,
    log: Vec<u8>,
    /// The headers that the layers add to a request to an internal host.
    internal: Vec<u8>,
    /// The headers that the layers add to a request to an external host.
    external: Vec<u8>,
}

impl Outputs {
    fn channels(&self) -> [(&'static str, &[u8]); 6] {
        [
            ("spans", &self.spans),
            ("meter", &self.meter),
            ("scrape", &self.scrape),
            ("log", &self.log),
            ("headers to the internal host", &self.internal),
            ("headers to the external host", &self.external),
        ]
    }
}

/// Returns the surroundings of `text` in `bytes`.
fn find(bytes: &[u8], text: &str) -> Option<String> {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())?;
    let around = bytes.iter().skip(at.saturating_sub(80)).take(160);
    let around: Vec<u8> = around.copied().collect();
    Some(around.escape_ascii().to_string())
}

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Adds headers with secrets, and some with allowed values.
fn headers(request: request::Builder) -> request::Builder {
    request
        .header(header::AUTHORIZATION, "Bearer c4n4ry-authorization")
        .header(header::PROXY_AUTHORIZATION, "Basic c4n4ry-proxy")
        .header(header::COOKIE, "session=c4n4ry-cookie")
        .header("x-api-key", "c4n4ry-api-key")
        .header("x-c4n4ry-name", "1")
        .header(header::REFERER, "https://a.example/?sig=c4n4ry-referer")
        .header("x-token", {
            let mut value = HeaderValue::from_static("c4n4ry-sensitive");
            value.set_sensitive(true);
            value
        })
        .header("x-request-id", HEADER)
        .header("x-tenant", LABEL)
}

/// Returns the request to the server.
fn inbound(end: End) -> BufferedRequest {
    let uri = format!("http://us.example/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}");
    let uri = match end {
        End::GrpcError => uri.replace("/users/7", "/shop.Users/Get"),
        _ => uri,
    };
    let mut request = headers(Request::post(uri))
        .header("traceparent", PARENT)
        .header("tracestate", format!("vendor={STATE}"))
        .header("baggage", format!("user=c4n4ry-member,tenant={MEMBER}"))
        .header("forwarded", "for=c4n4ry.example;host=c4n4ry-host.example")
        .header("x-forwarded-for", "_c4n4ry")
        .header("x-forwarded-host", "c4n4ry-forwarded.example")
        .header("x-forwarded-proto", "c4n4ry")
        .header("x-real-ip", "c4n4ry")
        .body(Full::from("c4n4ry-request-body"))
        .unwrap();
    let peer = PeerAddr("192.0.2.1:4711".parse().unwrap());
    request.extensions_mut().insert(peer);
    set_grpc_content_type(&mut request, end);
    request
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Returns a request of the handler to another host.
fn outbound(host: &str, end: End) -> BufferedRequest {
    let uri = format!(
        "http://me:c4n4ry-password@{host}/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}"
    );
    let mut request = headers(Request::post(uri))
        .body(Full::from("c4n4ry-request-body"))
        .unwrap();
    set_grpc_content_type(&mut request, end);
    request
}

fn set_grpc_content_type(request: &mut BufferedRequest, end: End) {
    if end == End::GrpcError {
        let kind = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        *request.version_mut() = Version::HTTP_2;
    }
}

/// Returns the response of another host.
fn respond(end: End) -> Result<BoxedResponse, BoxError> {
    let data = Ok(Frame::data(Bytes::from_static(b"c4n4ry-response-body")));
    let last = match end {
        End::Failed => {
            return Err(format!("{MESSAGE}: http://me:c4n4ry-error@a/?sig=c4n4ry-error").into());
        }
        End::Panicked => panic!("c4n4ry-panic"),
        End::BodyFailed => Err(BoxError::from(format!("{MESSAGE}: c4n4ry-torn"))),
        End::Complete | End::GrpcError => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-trailer", HeaderValue::from_static("c4n4ry-trailer"));
            if end == End::GrpcError {
                trailers.insert("grpc-status", HeaderValue::from_static("13"));
                trailers.insert("grpc-message", HeaderValue::from_static("c4n4ry-grpc"));
            }
            Ok(Frame::trailers(trailers))
        }
    };
    let frames = tokio_stream::iter([data, last]);
    let response = Response::builder()
        .status(if end == End::BodyFailed { 500 } else { 200 })
        .header(header::SET_COOKIE, "session=c4n4ry-set-cookie")
        .header(header::LOCATION, "/?sig=c4n4ry-location")
        .header("x-answer-id", HEADER);
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

/// Enables all options except `exceptions`.
fn with_all_options(layer: TraceLayer, end: End) -> TraceLayer {
    let layer = layer
        .route(|_| Some("/users/{id}".into()))
        .opt_in(OPT_INS)
        .body_sizes()
        .access_log()
        .sensitive_query_keys(SensitiveKeys::new(["sig", "token"]))
        .capture_request_headers([
            header::AUTHORIZATION,
            header::PROXY_AUTHORIZATION,
            header::COOKIE,
            HeaderName::from_static("x-token"),
            HeaderName::from_static("x-request-id"),
        ])
        .capture_response_headers([header::SET_COOKIE, HeaderName::from_static("x-answer-id")]);
    match end {
        End::GrpcError => layer.grpc(),
        _ => layer,
    }
}

fn tenant(request: &dyn RequestHead) -> Option<Cow<'static, str>> {
    let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
    Some(tenant.to_owned().into())
}

fn with_metric_options(layer: MetricsLayer) -> MetricsLayer {
    layer
        .label("tenant", tenant)
        .body_sizes()
        .in_flight_by_route()
}

/// Returns the headers that the layers added to a request.
fn added(sent: &HeaderMap, original: &HeaderMap) -> Vec<u8> {
    let mut added = Vec::new();
    for (name, value) in sent {
        if original.get_all(name).iter().any(|before| before == value) {
            continue;
        }
        added.extend_from_slice(format!("{name}: ").as_bytes());
        added.extend_from_slice(value.as_bytes());
        added.push(b'\n');
    }
    added
}

/// A filter for one of the two layers that export `tracing` spans.
fn backend_filter<S>(is_recorder: bool) -> impl Filter<S> {
    DynFilterFn::new(move |metadata, _| {
        records_tracing() == is_recorder && *metadata.level() <= LevelFilter::INFO
    })
}

/// The exporters, the log and the metrics of the current thread.
struct Recording {
    exporter: InMemorySpanExporter,
    source: Source,
    lines: LogWriter,
    scrape: Prometheus,
    meter: SdkMeterProvider,
    exported: InMemoryMetricExporter,
    _facade: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Recording {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let recorder = Recorder::builder(exporter.clone()).build().unwrap();
        let lines = LogWriter::default();
        let writer = lines.clone();
        // Dependencies log at lower levels.
        let log = tracing_subscriber::fmt::layer()
            .json()
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .with_filter(LevelFilter::INFO);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_filter(backend_filter(false));
        let subscriber = tracing_subscriber::registry()
            .with(log)
            .with(spans)
            .with(recorder.layer().with_filter(backend_filter(true)));
        let (facade, scrape) = Prometheus::builder().build().unwrap();
        let exported = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exported.clone()).build();
        Self {
            exporter,
            source: Source {
                provider,
                recorder: Arc::new(recorder),
            },
            lines,
            scrape,
            meter: SdkMeterProvider::builder().with_reader(reader).build(),
            exported,
            _facade: metrics::set_default_local_recorder(Box::leak(Box::new(facade))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns the metrics layer with both metrics backends.
    fn metrics_layer(
        &self,
        layer: fn() -> MetricsLayer,
    ) -> impl Observe<Exchange: Send + Sync + 'static> + Clone + use<> {
        let other = with_metric_options(layer()).meter_provider(&self.meter);
        (with_metric_options(layer()), other)
    }

    /// Returns all outputs. Checks the number of spans.
    fn outputs(self, count: usize, internal: Vec<u8>, external: Vec<u8>) -> Outputs {
        let recorder = &self.source.recorder;
        recorder.flush(Duration::from_secs(20)).unwrap();
        self.meter.force_flush().unwrap();
        let spans = self.exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), count, "{spans:#?}");
        let resource = ResourceAttributesWithSchema::from(&Resource::builder_empty().build());
        let spans = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &resource),
        };
        let metrics = self.exported.get_finished_metrics().unwrap();
        let metrics = metrics.iter().map(ExportMetricsServiceRequest::from);
        Outputs {
            spans: spans.encode_to_vec(),
            meter: metrics
                .flat_map(|request| request.encode_to_vec())
                .collect(),
            scrape: self.scrape.render().into_bytes(),
            log: self.lines.0.lock().unwrap().clone(),
            internal,
            external,
        }
    }
}

/// Sends one request through a server, which calls two other hosts. Returns all outputs.
fn exchange(backend: Backend, end: End, change: fn(TraceLayer) -> TraceLayer) -> Outputs {
    let recording = Recording::new();
    let policy = BaggagePolicy::default()
        .keys(["tenant"])
        .hosts(Hosts::new(["ours.internal"]));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent);
    let other_hosts = service_fn(move |request: BufferedRequest| {
        let host = request.uri().host().unwrap().to_owned();
        received
            .lock()
            .unwrap()
            .push((host, request.headers().clone()));
        // The second request has the end `end`.
        let last = received.lock().unwrap().len() == 2;
        async move { respond(if last { end } else { End::Complete }) }
    });
    let trace = change(with_all_options(TraceLayer::client(), end));
    let trace = backend.layer(&recording.source, trace);
    let propagate = PropagateLayer::new().baggage(policy);
    let client = observe((
        trace,
        recording.metrics_layer(MetricsLayer::client),
        propagate,
    ))
    .layer(other_hosts);

    let handler = service_fn(move |_: BufferedRequest| {
        let client = client.clone();
        async move {
            tracing::info!("handling");
            let first = outbound("ours.internal", end);
            let first = client.clone().oneshot(first).await?;
            first.into_body().collect().await?;
            let second = outbound("stranger.example", end);
            let second = client.oneshot(second).await?;
            Ok::<_, BoxError>(second.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    });
    let trace = change(with_all_options(TraceLayer::server(), end));
    let trace = trace.propagator(Propagation::w3c().read_baggage());
    let trace = backend.layer(&recording.source, trace);
    let server = observe((trace, recording.metrics_layer(MetricsLayer::server))).layer(handler);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let response = server.oneshot(inbound(end)).await?;
            response.into_body().collect().await
        })
    }));
    match end {
        End::Complete | End::GrpcError => assert!(matches!(ended, Ok(Ok(_)))),
        End::Failed | End::BodyFailed => assert!(matches!(ended, Ok(Err(_)))),
        End::Panicked => assert!(ended.is_err()),
    }

    let sent = sent.lock().unwrap();
    let to = |to: &str| {
        let (_, headers) = sent.iter().find(|(host, _)| host == to).unwrap();
        added(headers, outbound(to, end).headers())
    };
    recording.outputs(3, to("ours.internal"), to("stranger.example"))
}

fn backends_and_ends() -> impl Iterator<Item = (Backend, End)> {
    Backend::ALL
        .into_iter()
        .flat_map(|backend| ENDS.map(|end| (backend, end)))
}

#[test]
fn secrets_of_requests_and_responses_are_not_recorded_or_forwarded() {
    for (backend, end) in backends_and_ends() {
        let outputs = exchange(backend, end, |layer| layer);
        for (channel, bytes) in outputs.channels() {
            let found = find(bytes, SECRET);
            assert_eq!(found, None, "{channel}: {end:?} by {backend:?}");
        }
        let members = find(&outputs.external, MEMBER);
        assert_eq!(members, None, "{end:?} by {backend:?}");
    }
}

#[test]
fn allowed_values_are_found_in_every_searched_output() {
    for (backend, end) in backends_and_ends() {
        let outputs = exchange(backend, end, |layer| layer);
        let is_in = |bytes: &[u8], text| {
            assert!(
                find(bytes, text).is_some(),
                "{text}: {end:?} by {backend:?}"
            );
        };
        is_in(&outputs.spans, HEADER);
        is_in(&outputs.meter, LABEL);
        is_in(&outputs.scrape, LABEL);
        is_in(&outputs.log, "handling");
        is_in(&outputs.internal, MEMBER);
        is_in(&outputs.internal, STATE);
        is_in(&outputs.external, STATE);
        if end != End::GrpcError {
            is_in(&outputs.spans, QUERY);
            if backend.opens_tracing_spans() {
                is_in(&outputs.log, QUERY);
            }
        }
    }
}

#[test]
fn error_messages_are_recorded_only_by_option() {
    for backend in Backend::ALL {
        for end in [End::Failed, End::BodyFailed] {
            let outputs = exchange(backend, end, TraceLayer::exceptions);
            let found = find(&outputs.log, MESSAGE).is_some();
            assert!(found, "{end:?} by {backend:?}");
            let found = find(&outputs.spans, MESSAGE).is_some();
            assert_eq!(
                found,
                backend.opens_tracing_spans(),
                "{end:?} by {backend:?}"
            );
            let outputs = exchange(backend, end, |layer| layer);
            for (channel, bytes) in outputs.channels() {
                let found = find(bytes, MESSAGE);
                assert_eq!(found, None, "{channel}: {end:?} by {backend:?}");
            }
        }
    }
}

#[test]
fn panic_messages_are_never_recorded() {
    for backend in Backend::ALL {
        let outputs = exchange(backend, End::Panicked, TraceLayer::exceptions);
        for (channel, bytes) in outputs.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
    }
}

#[tokio::test]
async fn the_url_in_a_connection_error_is_not_recorded() {
    // A bound socket that does not listen refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    for backend in Backend::ALL {
        let recording = Recording::new();
        let trace = with_all_options(TraceLayer::client(), End::Failed);
        let trace = backend.layer(&recording.source, trace);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = observe((trace, recording.metrics_layer(MetricsLayer::client))).layer(client);
        let url = format!("http://{address}/c?sig=c4n4ry-sig&page={QUERY}");
        let request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        let error = client.oneshot(request).await.unwrap_err();
        assert!(error.to_string().contains(SECRET), "{error}");
        let outputs = recording.outputs(1, Vec::new(), Vec::new());
        for (channel, bytes) in outputs.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
        assert!(find(&outputs.spans, QUERY).is_some(), "{backend:?}");
    }
}
