//! Long-lived streams and upgraded connections over sockets: how their ends are recorded in spans and metrics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Path, Request, State},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status, TraceContextExt},
};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, SdkMeterProvider,
        data::{AggregatedMetrics, MetricData},
    },
    trace::SpanData,
};
use suite_tests::{
    backend::Backend,
    net::{ClientConnection, Http, ScriptedBody, Step, pooled_client},
    server::send_raw,
    telemetry::{TestTelemetry, text, with_convention_names, with_timeout},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::{LongLived, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

/// The property that makes a response a long-lived stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    EventStream,
    Extension,
    /// The response is not a long-lived stream.
    None,
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ClientLeaves,
    StreamEnds,
    BodyFails,
    BodyPanics,
    HandlerPanics,
    ServerStops,
}

const ENDS: [End; 6] = [
    End::ClientLeaves,
    End::StreamEnds,
    End::BodyFails,
    End::BodyPanics,
    End::HandlerPanics,
    End::ServerStops,
];

impl End {
    /// Returns `error.type` of the exchange.
    fn error(self, mark: Mark) -> Option<&'static str> {
        match self {
            Self::ClientLeaves | Self::ServerStops if mark == Mark::None => Some("aborted"),
            Self::ClientLeaves | Self::StreamEnds | Self::ServerStops => None,
            Self::BodyFails => Some("timeout"),
            Self::BodyPanics | Self::HandlerPanics => Some("panic"),
        }
    }
}

/// The body of the next response. It sends an event, and continues when the test signals.
type NextBody = Arc<Mutex<Option<ScriptedBody>>>;

async fn stream(State((mark, end, body)): State<(Mark, End, NextBody)>) -> Response {
    assert!(end != End::HandlerPanics, "the handler");
    let body = body.lock().unwrap().take().unwrap();
    let mut response = Response::new(Body::new(body));
    match mark {
        Mark::EventStream => {
            let event_stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, event_stream);
        }
        Mark::Extension => {
            response.extensions_mut().insert(LongLived::default());
        }
        Mark::None => {}
    }
    response
}

/// A server. Its connections end when its task ends.
struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

/// Serves one connection.
async fn serve(router: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router);
        let builder =
            hyper_util::server::conn::auto::Builder::new(hyper_util::rt::TokioExecutor::new());
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let _ = connection.await;
    });
    Server { address, task }
}

fn layered(router: Router, telemetry: &TestTelemetry, backend: Backend) -> Router {
    let trace = backend.layer(telemetry.source(), TraceLayer::server());
    let metrics = MetricsLayer::server();
    let metrics = (metrics.clone(), with_convention_names(metrics));
    router.layer(
        ServiceBuilder::new()
            .map_response(IntoResponse::into_response)
            .layer(observe((trace, metrics))),
    )
}

async fn assert_stream_end(backend: Backend, http: Http, mark: Mark, end: End) {
    let case = format!("{backend:?} {http:?} {mark:?} {end:?}");
    let telemetry = TestTelemetry::new();
    let (proceed, signal) = oneshot::channel();
    let last = match end {
        End::StreamEnds => Vec::new(),
        End::BodyFails => vec![Step::Error],
        End::BodyPanics => vec![Step::Panic],
        End::ClientLeaves | End::HandlerPanics | End::ServerStops => vec![Step::Pending],
    };
    let steps = [Step::Data("data: 1\n\n"), Step::WaitFor(signal)].into_iter();
    let body = ScriptedBody::new(steps.chain(last));
    let state = (mark, end, Arc::new(Mutex::new(Some(body))));
    let router = Router::new()
        .route("/events", get(stream))
        .with_state(state);
    let server = serve(layered(router, &telemetry, backend)).await;

    let mut client = ClientConnection::connect(http, server.address).await;
    let request = Request::get(format!("http://{}/events", server.address));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let sent = Instant::now();
    let response = with_timeout("a response", client.send(request)).await;
    let head_took = sent.elapsed();
    let open = |telemetry: &TestTelemetry| {
        let conventions = telemetry.sum("conventions_http_server_open_streams", &[]);
        let short = telemetry.sum("http_streams_open", &[("method", "GET")]);
        assert_eq!(short, conventions, "{case}");
        short
    };
    if end == End::HandlerPanics {
        assert!(response.is_err() || response.unwrap().status().is_server_error());
    } else {
        let mut response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        with_timeout("an event", response.body_mut().frame())
            .await
            .unwrap()
            .unwrap();
        let is_marked = mark != Mark::None;
        assert_eq!(open(&telemetry), f64::from(u8::from(is_marked)), "{case}");
        assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 1.0, "{case}");
        let head = Instant::now();
        while head.elapsed() < Duration::from_millis(20) {}
        match end {
            End::ClientLeaves => drop((response, client)),
            End::ServerStops => server.task.abort(),
            _ => {
                proceed.send(()).unwrap();
                let _ = with_timeout("the end", response.body_mut().collect()).await;
            }
        }
    }
    telemetry
        .wait_until("the exchange ends", |telemetry| {
            telemetry.spans().len() == 1 && telemetry.sum("http_requests_in_flight", &[]) == 0.0
        })
        .await;
    assert_eq!(open(&telemetry), 0.0, "{case}");

    let error = end.error(mark);
    let spans = telemetry.spans();
    assert_eq!(text(&spans[0], "error.type").as_deref(), error, "{case}");
    assert_eq!(spans[0].status != Status::Unset, error.is_some(), "{case}");
    let metrics = telemetry.metrics();
    let status = if end == End::HandlerPanics {
        "panic"
    } else {
        "200"
    };
    let total = telemetry.sum("http_requests_total", &[("status", status)]);
    assert_eq!(total, 1.0, "{case}: {metrics}");
    let aborted = telemetry.sum("http_responses_aborted_total", &[]);
    let is_aborted = error.is_some() && end != End::HandlerPanics;
    assert_eq!(aborted, f64::from(u8::from(is_aborted)), "{case}");
    let count = "conventions_http_server_request_duration_seconds_count";
    let labels: Vec<_> = error
        .map(|error| ("error_type", error))
        .into_iter()
        .collect();
    assert_eq!(telemetry.sum(count, &labels), 1.0, "{case}: {metrics}");
    assert_eq!(metrics.contains("error_type"), error.is_some(), "{case}");
    let seconds = telemetry.sum("http_request_duration_seconds_sum", &[]);
    let is_of_head = seconds <= head_took.as_secs_f64();
    let has_stream = mark == Mark::None && end != End::HandlerPanics;
    assert_eq!(is_of_head, !has_stream, "{case}: {seconds} s");
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_no_error_and_the_duration_is_that_of_the_head() {
    for backend in Backend::ALL {
        for http in [Http::One, Http::Two] {
            for mark in [Mark::EventStream, Mark::Extension, Mark::None] {
                for end in ENDS {
                    assert_stream_end(backend, http, mark, end).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn a_client_counts_the_event_streams_that_it_receives() {
    let telemetry = TestTelemetry::new();
    let (_proceed, signal) = oneshot::channel();
    let steps = [Step::Data("data: 1\n\n"), Step::WaitFor(signal)];
    let body = Arc::new(Mutex::new(Some(ScriptedBody::new(steps))));
    let state = (Mark::EventStream, End::ClientLeaves, body);
    let server = serve(Router::new().route("/", get(stream)).with_state(state)).await;
    let metrics = MetricsLayer::client();
    let client = ServiceBuilder::new()
        .layer(observe((metrics.clone(), with_convention_names(metrics))))
        .service(pooled_client(Http::One));
    let request = http::Request::get(format!("http://{}/", server.address));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let mut response = client.oneshot(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    let open = || {
        [
            telemetry.sum("http_client_streams_open", &[]),
            telemetry.sum("conventions_http_client_open_streams", &[]),
        ]
    };
    assert_eq!(open(), [1.0, 1.0]);
    drop(response);
    assert_eq!(open(), [0.0, 0.0]);
}

/// How an upgraded connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionEnd {
    ClientLeaves,
    ServerEnds,
    HandlerPanics,
    ServerStops,
    /// The connection is never passed to `LongLived::run`.
    NotRun,
}

const CONNECTION_ENDS: [ConnectionEnd; 5] = [
    ConnectionEnd::ClientLeaves,
    ConnectionEnd::ServerEnds,
    ConnectionEnd::HandlerPanics,
    ConnectionEnd::ServerStops,
    ConnectionEnd::NotRun,
];

type Tasks = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// Upgrades the connection and echoes what it receives, in a task.
async fn upgrade(
    State(tasks): State<Tasks>,
    Path(observed): Path<bool>,
    mut request: Request,
) -> impl IntoResponse {
    let connection = LongLived::default();
    let extension = connection.clone();
    let upgraded = hyper::upgrade::on(&mut request);
    let runs = !request.headers().contains_key("x-not-run");
    let task = tokio::spawn(async move {
        match (upgraded.await, runs) {
            (Ok(upgraded), true) if observed => connection.run(echo(upgraded)).await,
            (Ok(upgraded), true) => echo(upgraded).await,
            _ => {}
        }
    });
    tasks.lock().unwrap().push(task);
    let head = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    let response = (StatusCode::SWITCHING_PROTOCOLS, head);
    match observed {
        true => (Extension(extension), response).into_response(),
        false => response.into_response(),
    }
}

/// Echoes bytes until one is `p`, which causes a panic, or `e`, which ends the connection.
async fn echo(upgraded: Upgraded) {
    let mut io = TokioIo::new(upgraded);
    while let Ok(byte) = io.read_u8().await {
        assert!(byte != b'p', "the connection");
        tracing::info_span!("message").in_scope(|| {});
        if byte == b'e' || io.write_u8(byte).await.is_err() {
            return;
        }
    }
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> Option<&'a SpanData> {
    spans.iter().find(|span| span.name == name)
}

async fn assert_connection_end(backend: Backend, observed: bool, end: ConnectionEnd) {
    let case = format!("{backend:?} {observed} {end:?}");
    let telemetry = TestTelemetry::new();
    let tasks = Tasks::default();
    let router = Router::new()
        .route("/{observed}", get(upgrade))
        .with_state(Arc::clone(&tasks));
    let server = serve(layered(router, &telemetry, backend)).await;
    let not_run = match end {
        ConnectionEnd::NotRun => "\nx-not-run: 1",
        _ => "",
    };
    let request = format!("GET /{observed} HTTP/1.1\nhost: a\nconnection: upgrade\nupgrade: echo");
    let (head, mut stream) = send_raw(server.address, &format!("{request}{not_run}")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{case}: {head}");
    let open = |telemetry: &TestTelemetry| {
        let conventions = telemetry.sum("conventions_http_server_open_streams", &[]);
        let short = telemetry.sum("http_streams_open", &[("method", "GET")]);
        assert_eq!(short, conventions, "{case}");
        short
    };
    if end != ConnectionEnd::NotRun {
        stream.write_all(b"a").await.unwrap();
        let echoed = with_timeout("the echo", stream.read_u8()).await;
        assert_eq!(echoed.unwrap(), b'a');
        assert_eq!(open(&telemetry), f64::from(u8::from(observed)), "{case}");
    }
    // The exchange ended at its response head.
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0, "{case}");
    let total = telemetry.sum("http_requests_total", &[("status", "101")]);
    assert_eq!(total, 1.0, "{case}");
    match end {
        ConnectionEnd::ClientLeaves => drop(stream),
        ConnectionEnd::ServerEnds => stream.write_all(b"e").await.unwrap(),
        ConnectionEnd::HandlerPanics => stream.write_all(b"p").await.unwrap(),
        ConnectionEnd::ServerStops => tasks.lock().unwrap().iter().for_each(JoinHandle::abort),
        ConnectionEnd::NotRun => {}
    }
    let task = tasks.lock().unwrap().pop().unwrap();
    let _ = with_timeout("the connection", task).await;
    telemetry
        .wait_until("the connection ends", |telemetry| {
            open(telemetry) == 0.0
                && named(&telemetry.spans(), "upgraded connection").is_some() == observed
        })
        .await;
    let spans = telemetry.spans();
    let request = named(&spans, "GET /{observed}").unwrap();
    assert_eq!(request.status, Status::Unset, "{case}");
    let message = named(&spans, "message");
    assert_eq!(message.is_some(), end != ConnectionEnd::NotRun, "{case}");
    let Some(connection) = named(&spans, "upgraded connection") else {
        return;
    };
    assert_eq!(connection.span_kind, SpanKind::Internal, "{case}");
    let links: Vec<_> = connection
        .links
        .iter()
        .map(|link| &link.span_context)
        .collect();
    assert_eq!(links.len(), 1, "{case}");
    assert_eq!(links[0].span_id(), request.span_context.span_id(), "{case}");
    let trace = connection.span_context.trace_id();
    assert_ne!(trace, request.span_context.trace_id(), "{case}");
    let panics = end == ConnectionEnd::HandlerPanics;
    let error = text(connection, "error.type");
    assert_eq!(error.as_deref(), panics.then_some("panic"), "{case}");
    assert_eq!(connection.status != Status::Unset, panics, "{case}");
    if end != ConnectionEnd::NotRun {
        assert!(connection.end_time >= request.end_time, "{case}");
    }
    if let Some(message) = message {
        assert_eq!(message.parent_span_id, connection.span_context.span_id());
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_counted_and_has_a_span_until_it_ends() {
    for backend in Backend::ALL {
        for observed in [true, false] {
            for end in CONNECTION_ENDS {
                assert_connection_end(backend, observed, end).await;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_runs_in_the_opentelemetry_context_of_its_span() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let connection = LongLived::default();
        let extension = connection.clone();
        let trace = backend.layer(telemetry.source(), TraceLayer::server());
        let respond = tower::service_fn(move |_: http::Request<()>| {
            let mut response = http::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.extensions_mut().insert(extension.clone());
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        let service = ServiceBuilder::new().layer(trace).service(respond);
        service.oneshot(http::Request::new(())).await.unwrap();
        let current = connection
            .run(async {
                tokio::task::yield_now().await;
                let context = opentelemetry::Context::current();
                context.span().set_attribute(KeyValue::new("shop.room", 7));
                context.span().span_context().clone()
            })
            .await;
        let spans = telemetry.spans();
        let span = named(&spans, "upgraded connection").unwrap();
        assert_eq!(span.span_context.span_id(), current.span_id());
        assert!(span.attributes.contains(&KeyValue::new("shop.room", 7)));
    }
}

/// Returns the values of the gauge of open streams in a meter.
fn streams(exporter: &InMemoryMetricExporter, name: &str) -> Vec<i64> {
    let finished = exporter.get_finished_metrics().unwrap();
    let scopes = finished.last().unwrap().scope_metrics();
    let metrics = scopes.flat_map(|scope| scope.metrics());
    let named = metrics.filter(|metric| metric.name() == name);
    let values = named.map(|metric| match metric.data() {
        AggregatedMetrics::I64(MetricData::Sum(sum)) if metric.unit() == "{stream}" => {
            sum.data_points().map(|point| point.value()).sum()
        }
        other => panic!("unexpected {other:?}"),
    });
    values.collect()
}

#[tokio::test]
async fn a_meter_counts_open_streams_too() {
    for (names, name) in [
        (tower_otel_metrics::Names::Short, "http_streams_open"),
        (
            tower_otel_metrics::Names::Conventions,
            "http.server.open_streams",
        ),
    ] {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let layer = MetricsLayer::server()
            .names(names)
            .meter_provider(&provider);
        let respond = tower::service_fn(|_: http::Request<()>| async {
            let response = http::Response::builder().header("content-type", "text/event-stream");
            let body = ScriptedBody::new([Step::Pending]);
            Ok::<_, std::convert::Infallible>(response.body(body).unwrap())
        });
        let service = ServiceBuilder::new().layer(layer).service(respond);
        let response = service.oneshot(http::Request::new(())).await.unwrap();
        provider.force_flush().unwrap();
        assert_eq!(streams(&exporter, name), [1]);
        drop(response);
        provider.force_flush().unwrap();
        assert_eq!(streams(&exporter, name), [0]);
    }
}

#[tokio::test]
async fn a_grpc_stream_that_is_marked_is_counted_as_open_and_its_duration_is_that_of_the_head() {
    for is_marked in [true, false] {
        let telemetry = TestTelemetry::new();
        let trace = Backend::Recorder.layer(telemetry.source(), TraceLayer::server().grpc());
        let metrics = MetricsLayer::server().grpc();
        let respond = tower::service_fn(move |_: http::Request<()>| {
            let body = ScriptedBody::new([Step::Data("a"), Step::Pending]);
            let mut response = http::Response::new(body);
            let grpc = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, grpc);
            if is_marked {
                response.extensions_mut().insert(LongLived::default());
            }
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        let service = ServiceBuilder::new()
            .layer(observe((trace, metrics)))
            .service(respond);
        let request = http::Request::post("http://a/shop.Cart/Watch")
            .version(http::Version::HTTP_2)
            .header(header::CONTENT_TYPE, "application/grpc");
        let sent = Instant::now();
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        let head_took = sent.elapsed().as_secs_f64();
        let open = || telemetry.sum("grpc_streams_open", &[]);
        assert_eq!(open(), f64::from(u8::from(is_marked)));
        let head = Instant::now();
        while head.elapsed() < Duration::from_millis(20) {}
        // The client disconnects.
        drop(response);
        assert_eq!(open(), 0.0);
        let cancelled = [("status", "CANCELLED")];
        assert_eq!(telemetry.sum("grpc_requests_total", &cancelled), 1.0);
        assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
        let seconds = telemetry.sum("grpc_request_duration_seconds_sum", &[]);
        assert_eq!(seconds <= head_took, is_marked, "{seconds}");
        let spans = telemetry.spans();
        assert_eq!(spans[0].status, Status::Unset);
        assert_eq!(text(&spans[0], "error.type"), None);
    }
}
