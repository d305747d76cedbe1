//! A secret in every place that can hold one, and none of it in what is told: not in the protobuf of
//! spans and metrics, the text of a scrape, the lines of a log, or a header that is sent on.
//!
//! What is searched are bytes. What may be told is looked for in the same way, and has to be there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    borrow::Cow,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header, request};
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
    scene::SCOPE,
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

/// Stands in everything that nobody may tell.
const SECRET: &str = "c4n4ry";

/// Stand in what somebody asked to be told, one for each place.
const HEADER: &str = "4ll0wed-header";
const QUERY: &str = "4ll0wed-query";
const LABEL: &str = "4ll0wed-label";
const MESSAGE: &str = "4ll0wed-message";
const MEMBER: &str = "4ll0wed-member";
const STATE: &str = "4ll0wed-state";

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;
type Ask = Request<Full<Bytes>>;

/// How an exchange ends, of the client and of the server around it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Complete,
    /// With the error of the service, which quotes a URL.
    Failed,
    /// With the error of the body.
    Torn,
    /// With a panic that says a secret.
    Panicked,
    /// With the status of a gRPC call, and its message.
    Refused,
}

const ENDS: [Ends; 5] = [
    Ends::Complete,
    Ends::Failed,
    Ends::Torn,
    Ends::Panicked,
    Ends::Refused,
];

/// Everything that leaves, as bytes.
#[derive(Debug)]
struct Told {
    spans: Vec<u8>,
    meter: Vec<u8>,
    scrape: Vec<u8>,
    log: Vec<u8>,
    /// Headers the layers added to the request for a host that is ours.
    ours: Vec<u8>,
    /// And for one that is not.
    strangers: Vec<u8>,
}

impl Told {
    fn channels(&self) -> [(&'static str, &[u8]); 6] {
        [
            ("spans", &self.spans),
            ("meter", &self.meter),
            ("scrape", &self.scrape),
            ("log", &self.log),
            ("headers to us", &self.ours),
            ("headers to strangers", &self.strangers),
        ]
    }
}

/// Where `text` is in `bytes`, with what is around it.
fn find(bytes: &[u8], text: &str) -> Option<String> {
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())?;
    let around = bytes.iter().skip(at.saturating_sub(80)).take(160);
    let around: Vec<u8> = around.copied().collect();
    Some(around.escape_ascii().to_string())
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Headers with a secret in each, and a few that somebody wants to see.
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

/// What a stranger asks of us.
fn inbound(ends: Ends) -> Ask {
    let uri = format!("http://us.example/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}");
    let uri = match ends {
        Ends::Refused => uri.replace("/users/7", "/shop.Users/Get"),
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
    of_grpc(&mut request, ends);
    request
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What we ask of others meanwhile.
fn outbound(host: &str, ends: Ends) -> Ask {
    let uri = format!(
        "http://me:c4n4ry-password@{host}/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}"
    );
    let mut request = headers(Request::post(uri))
        .body(Full::from("c4n4ry-request-body"))
        .unwrap();
    of_grpc(&mut request, ends);
    request
}

fn of_grpc(request: &mut Ask, ends: Ends) {
    if ends == Ends::Refused {
        let kind = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
}

/// What the other side answers.
fn answer(ends: Ends) -> Result<Answer, BoxError> {
    let data = Ok(Frame::data(Bytes::from_static(b"c4n4ry-response-body")));
    let last = match ends {
        Ends::Failed => {
            return Err(format!("{MESSAGE}: http://me:c4n4ry-error@a/?sig=c4n4ry-error").into());
        }
        Ends::Panicked => panic!("c4n4ry-panic"),
        Ends::Torn => Err(BoxError::from(format!("{MESSAGE}: c4n4ry-torn"))),
        Ends::Complete | Ends::Refused => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-trailer", HeaderValue::from_static("c4n4ry-trailer"));
            if ends == Ends::Refused {
                trailers.insert("grpc-status", HeaderValue::from_static("13"));
                trailers.insert("grpc-message", HeaderValue::from_static("c4n4ry-grpc"));
            }
            Ok(Frame::trailers(trailers))
        }
    };
    let frames = tokio_stream::iter([data, last]);
    let response = Response::builder()
        .status(if ends == Ends::Torn { 500 } else { 200 })
        .header(header::SET_COOKIE, "session=c4n4ry-set-cookie")
        .header(header::LOCATION, "/?sig=c4n4ry-location")
        .header("x-answer-id", HEADER);
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

/// Everything that can be asked for, but for the texts of errors.
fn asked_for(layer: TraceLayer, ends: Ends) -> TraceLayer {
    let layer = layer
        .route(|_| Some("/users/{id}".into()))
        .opt_in(OPT_INS)
        .body_sizes()
        .sensitive_query_keys(SensitiveKeys::new(["sig", "token"]))
        .capture_request_headers([
            header::AUTHORIZATION,
            header::PROXY_AUTHORIZATION,
            header::COOKIE,
            HeaderName::from_static("x-token"),
            HeaderName::from_static("x-request-id"),
        ])
        .capture_response_headers([header::SET_COOKIE, HeaderName::from_static("x-answer-id")]);
    match ends {
        Ends::Refused => layer.grpc(),
        _ => layer,
    }
}

fn tenant(request: &dyn RequestHead) -> Option<Cow<'static, str>> {
    let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
    Some(tenant.to_owned().into())
}

fn counting(layer: MetricsLayer) -> MetricsLayer {
    layer
        .label("tenant", tenant)
        .body_sizes()
        .in_flight_by_route()
}

/// Headers of a request that its sender did not write.
fn added(sent: &HeaderMap, asked: &HeaderMap) -> Vec<u8> {
    let mut added = Vec::new();
    for (name, value) in sent {
        if asked.get_all(name).iter().any(|asked| asked == value) {
            continue;
        }
        added.extend_from_slice(format!("{name}: ").as_bytes());
        added.extend_from_slice(value.as_bytes());
        added.push(b'\n');
    }
    added
}

/// A filter for the exporter of `tracing` spans that the thread uses.
fn exported_by_recorder<S>(recorder: bool) -> impl Filter<S> {
    DynFilterFn::new(move |metadata, _| {
        records_tracing() == recorder && *metadata.level() <= LevelFilter::INFO
    })
}

/// Who is told, on this thread.
struct Telling {
    exporter: InMemorySpanExporter,
    source: Source,
    lines: Lines,
    scrape: Prometheus,
    meter: SdkMeterProvider,
    exported: InMemoryMetricExporter,
    _facade: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Telling {
    fn new() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        let recorder = Recorder::builder(exporter.clone()).build().unwrap();
        let lines = Lines::default();
        let writer = lines.clone();
        // Libraries below write what they like at lower levels.
        let log = tracing_subscriber::fmt::layer()
            .json()
            .with_span_events(FmtSpan::FULL)
            .with_writer(move || writer.clone())
            .with_filter(LevelFilter::INFO);
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(SCOPE))
            .with_filter(exported_by_recorder(false));
        let subscriber = tracing_subscriber::registry()
            .with(log)
            .with(spans)
            .with(recorder.layer().with_filter(exported_by_recorder(true)));
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

    /// Both backends of the metrics.
    fn counted(
        &self,
        layer: fn() -> MetricsLayer,
    ) -> impl Observe<Exchange: Send + Sync + 'static> + Clone + use<> {
        let other = counting(layer()).meter_provider(&self.meter);
        (counting(layer()), other)
    }

    /// Everything that was told of so many spans, and the headers that were added.
    fn told(self, count: usize, ours: Vec<u8>, strangers: Vec<u8>) -> Told {
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
        Told {
            spans: spans.encode_to_vec(),
            meter: metrics.flat_map(|told| told.encode_to_vec()).collect(),
            scrape: self.scrape.render().into_bytes(),
            log: self.lines.0.lock().unwrap().clone(),
            ours,
            strangers,
        }
    }
}

/// One request through a server, which asks two others; and everything that is told of it.
fn exchange(backend: Backend, ends: Ends, change: fn(TraceLayer) -> TraceLayer) -> Told {
    let telling = Telling::new();
    let policy = BaggagePolicy::new()
        .keys(["tenant"])
        .hosts(Hosts::new(["ours.internal"]));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let wire = Arc::clone(&sent);
    let others = service_fn(move |request: Ask| {
        let host = request.uri().host().unwrap().to_owned();
        wire.lock().unwrap().push((host, request.headers().clone()));
        // The second is the one that ends.
        let last = wire.lock().unwrap().len() == 2;
        async move { answer(if last { ends } else { Ends::Complete }) }
    });
    let trace = change(asked_for(TraceLayer::client(), ends));
    let trace = backend.layer(&telling.source, trace);
    let propagate = PropagateLayer::new().baggage(policy);
    let client = observe((trace, telling.counted(MetricsLayer::client), propagate)).layer(others);

    let handler = service_fn(move |_: Ask| {
        let client = client.clone();
        async move {
            tracing::info!("handling");
            let first = outbound("ours.internal", ends);
            let first = client.clone().oneshot(first).await?;
            first.into_body().collect().await?;
            let second = outbound("stranger.example", ends);
            let second = client.oneshot(second).await?;
            Ok::<_, BoxError>(second.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    });
    let trace = change(asked_for(TraceLayer::server(), ends));
    let trace = trace.propagator(Propagation::w3c().read_baggage());
    let trace = backend.layer(&telling.source, trace);
    let server = observe((trace, telling.counted(MetricsLayer::server))).layer(handler);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let response = server.oneshot(inbound(ends)).await?;
            response.into_body().collect().await
        })
    }));
    match ends {
        Ends::Complete | Ends::Refused => assert!(matches!(ended, Ok(Ok(_)))),
        Ends::Failed | Ends::Torn => assert!(matches!(ended, Ok(Err(_)))),
        Ends::Panicked => assert!(ended.is_err()),
    }

    let sent = sent.lock().unwrap();
    let to = |to: &str| {
        let (_, headers) = sent.iter().find(|(host, _)| host == to).unwrap();
        added(headers, outbound(to, ends).headers())
    };
    telling.told(3, to("ours.internal"), to("stranger.example"))
}

fn everywhere() -> impl Iterator<Item = (Backend, Ends)> {
    Backend::ALL
        .into_iter()
        .flat_map(|backend| ENDS.map(|ends| (backend, ends)))
}

#[test]
fn no_secret_of_a_request_or_an_answer_is_told_or_sent_on() {
    for (backend, ends) in everywhere() {
        let told = exchange(backend, ends, |layer| layer);
        for (channel, bytes) in told.channels() {
            let found = find(bytes, SECRET);
            assert_eq!(found, None, "{channel}: {ends:?} by {backend:?}");
        }
        let members = find(&told.strangers, MEMBER);
        assert_eq!(members, None, "{ends:?} by {backend:?}");
    }
}

#[test]
fn what_may_be_told_is_found_in_every_place_that_is_searched() {
    for (backend, ends) in everywhere() {
        let told = exchange(backend, ends, |layer| layer);
        let is_in = |bytes: &[u8], text| {
            assert!(
                find(bytes, text).is_some(),
                "{text}: {ends:?} by {backend:?}"
            );
        };
        is_in(&told.spans, HEADER);
        is_in(&told.meter, LABEL);
        is_in(&told.scrape, LABEL);
        is_in(&told.log, "handling");
        is_in(&told.ours, MEMBER);
        is_in(&told.ours, STATE);
        is_in(&told.strangers, STATE);
        if ends != Ends::Refused {
            is_in(&told.spans, QUERY);
            if backend.opens_tracing_spans() {
                is_in(&told.log, QUERY);
            }
        }
    }
}

#[test]
fn the_text_of_an_error_is_told_to_those_who_ask_for_it() {
    for backend in Backend::ALL {
        for ends in [Ends::Failed, Ends::Torn] {
            let told = exchange(backend, ends, TraceLayer::exceptions);
            let is_told = find(&told.log, MESSAGE).is_some();
            assert!(is_told, "{ends:?} by {backend:?}");
            let is_told = find(&told.spans, MESSAGE).is_some();
            assert_eq!(
                is_told,
                backend.opens_tracing_spans(),
                "{ends:?} by {backend:?}"
            );
            let told = exchange(backend, ends, |layer| layer);
            for (channel, bytes) in told.channels() {
                let found = find(bytes, MESSAGE);
                assert_eq!(found, None, "{channel}: {ends:?} by {backend:?}");
            }
        }
    }
}

#[test]
fn the_text_of_a_panic_is_told_to_nobody() {
    for backend in Backend::ALL {
        let told = exchange(backend, Ends::Panicked, TraceLayer::exceptions);
        for (channel, bytes) in told.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
    }
}

#[tokio::test]
async fn the_url_in_an_error_of_a_connection_is_not_told() {
    // Bound, and listened to by nobody: a connection is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    for backend in Backend::ALL {
        let telling = Telling::new();
        let trace = asked_for(TraceLayer::client(), Ends::Failed);
        let trace = backend.layer(&telling.source, trace);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let client = observe((trace, telling.counted(MetricsLayer::client))).layer(client);
        let url = format!("http://{address}/c?sig=c4n4ry-sig&page={QUERY}");
        let request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        let error = client.oneshot(request).await.unwrap_err();
        assert!(error.to_string().contains(SECRET), "{error}");
        let told = telling.told(1, Vec::new(), Vec::new());
        for (channel, bytes) in told.channels() {
            assert_eq!(find(bytes, SECRET), None, "{channel} by {backend:?}");
        }
        assert!(find(&told.spans, QUERY).is_some(), "{backend:?}");
    }
}
