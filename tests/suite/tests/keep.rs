//! Keep rules over sockets: which traces of a server, of a client and of jobs a collector receives, and which of them
//! `/metrics` has as exemplars.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::get,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use opentelemetry::{
    Context,
    trace::{Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode as SpanStatus},
};
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{
    grpc_calls,
    grpc_service::{CartService, StringCodec},
    net::{Http, ScriptedBody, Step, pooled_client, refusing_address},
    otlp::{Receiver, attribute},
    server::send_raw,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tonic::transport::{Endpoint, Server};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::{Keep, OtlpExporter, Recorder, RecorderSpanExt, keep_trace};
use tower_otel_trace::{AnyBackend, TraceLayer};
use tracing_subscriber::layer::SubscriberExt;

/// Longer than a request takes that is not slow on purpose.
const SLOW: Duration = Duration::from_secs(3);

const LONG: Duration = Duration::from_secs(30);

/// How the layer records its spans.
#[derive(Clone, Copy, Debug)]
enum Backend {
    Tracing,
    OpenTelemetry,
    Records,
}

const BACKENDS: [Backend; 3] = [Backend::Tracing, Backend::OpenTelemetry, Backend::Records];

/// A recorder that samples no trace, with a collector. Its layer is the subscriber of this thread.
struct Setup {
    recorder: Arc<Recorder>,
    receiver: Receiver,
    backend: Backend,
    prometheus: Prometheus,
    _metrics: metrics::LocalRecorderGuard<'static>,
    _subscriber: tracing::subscriber::DefaultGuard,
}

impl Setup {
    async fn new(backend: Backend, rules: Keep) -> Self {
        let receiver = Receiver::start().await;
        let none = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.0)));
        let recorder = Recorder::builder(OtlpExporter::grpc(receiver.endpoint()))
            .sampler_without_attributes(none)
            .keep(rules)
            .queue_size(10_000)
            .build()
            .unwrap();
        let subscriber = tracing_subscriber::registry().with(recorder.layer());
        let (metrics, prometheus) = Prometheus::builder().exemplars().build().unwrap();
        Self {
            recorder: Arc::new(recorder),
            receiver,
            backend,
            prometheus,
            _metrics: metrics::set_default_local_recorder(Box::leak(Box::new(metrics))),
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    fn layer(&self, layer: TraceLayer) -> TraceLayer<AnyBackend> {
        match self.backend {
            Backend::Tracing => layer.any_backend(),
            Backend::OpenTelemetry => {
                let provider = self.recorder.tracer_provider();
                layer.tracer_provider(&provider).any_backend()
            }
            Backend::Records => layer.recorder(&self.recorder).any_backend(),
        }
    }

    async fn serve(&self) -> SocketAddr {
        let router = Router::new()
            .route("/{action}", get(handle))
            .with_state(Arc::clone(&self.recorder))
            .layer(observe((
                self.layer(TraceLayer::server()),
                MetricsLayer::server(),
            )))
            .route_service("/metrics", self.prometheus.service());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// Returns the spans that the collector has received, by trace.
    async fn traces(&self) -> Vec<Vec<Span>> {
        let recorder = Arc::clone(&self.recorder);
        let flush = tokio::task::spawn_blocking(move || recorder.flush(LONG));
        flush.await.unwrap().unwrap();
        let mut traces: HashMap<Vec<u8>, Vec<Span>> = HashMap::new();
        for (_, span) in self.receiver.spans(0).await {
            traces.entry(span.trace_id.clone()).or_default().push(span);
        }
        traces.into_values().collect()
    }

    /// Waits until the spans of these traces have ended, and returns them.
    async fn wait_for(&self, count: usize) -> Vec<Vec<Span>> {
        let deadline = Instant::now() + LONG;
        loop {
            let traces = self.traces().await;
            if traces.len() >= count {
                return traces;
            }
            assert!(Instant::now() < deadline, "{count} traces: {traces:#?}");
        }
    }
}

/// Returns the trace ids of the exemplars on `/metrics`.
async fn exemplars(of: SocketAddr) -> BTreeSet<String> {
    let request = Request::get(format!("http://{of}/metrics"));
    let request = request.header("accept", "application/openmetrics-text");
    let request = request.body(Empty::new()).unwrap();
    let response = pooled_client(Http::One).request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let exemplars = text.lines().filter_map(|line| line.split_once(" # "));
    let ids = exemplars.map(|(_, exemplar)| exemplar.split('"').nth(1).unwrap().to_owned());
    ids.collect()
}

/// Returns the trace ids of spans as exemplars have them.
fn trace_ids<'a>(traces: impl IntoIterator<Item = &'a Vec<Span>>) -> BTreeSet<String> {
    let ids = traces.into_iter().map(|trace| {
        let id = &trace[0].trace_id;
        id.iter().map(|byte| format!("{byte:02x}")).collect()
    });
    ids.collect()
}

/// Handles a request inside a `tracing` span and a span of the OpenTelemetry API.
async fn handle(State(recorder): State<Arc<Recorder>>, Path(action): Path<String>) -> Response {
    {
        let _load = tracing::info_span!("load", action).entered();
        let tracer = recorder.tracer_provider().tracer("shop");
        tracer.in_span("query", |_| {});
    }
    match &*action {
        "fails" => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        "slow" => {
            tokio::time::sleep(SLOW + Duration::from_millis(100)).await;
            "late".into_response()
        }
        "marked" => {
            keep_trace();
            "marked".into_response()
        }
        "panics" => panic!("the handler panics"),
        "pending" => std::future::pending().await,
        "endless" => axum::body::Body::new(ScriptedBody::new([Step::Data("a"), Step::Pending]))
            .into_response(),
        "body-fails" => {
            axum::body::Body::new(ScriptedBody::new([Step::Data("a"), Step::Error])).into_response()
        }
        _ => "good".into_response(),
    }
}

/// Sends so many requests, some of them at once.
async fn send(to: SocketAddr, action: &'static str, count: usize) {
    let client = pooled_client(Http::One);
    let tasks: Vec<_> = (0..10)
        .map(|task| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in (task..count).step_by(10) {
                    let request = Request::get(format!("http://{to}/{action}"));
                    let request = request.body(Empty::new()).unwrap();
                    let response = client.request(request).await.unwrap();
                    response.into_body().collect().await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

fn reason(span: &Span) -> String {
    match attribute(span, "sampling.keep.reason") {
        Some(Value::StringValue(reason)) => reason,
        other => panic!("{other:?} in {span:#?}"),
    }
}

/// Asserts that all spans of the trace are there, marked, and not sampled. Returns why they were kept.
fn assert_whole(trace: &[Span]) -> String {
    let mut names: Vec<_> = trace.iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /{action}", "load", "query"], "{trace:#?}");
    let find = |name| trace.iter().find(|span| span.name == name).unwrap();
    let (root, load, query) = (find("GET /{action}"), find("load"), find("query"));
    assert_eq!(root.parent_span_id, [0_u8; 0]);
    assert_eq!(load.parent_span_id, root.span_id);
    assert_eq!(query.parent_span_id, load.span_id);
    assert!(trace.iter().all(|span| span.flags & 1 == 0), "{trace:#?}");
    let why = reason(root);
    assert!(trace.iter().all(|span| reason(span) == why), "{trace:#?}");
    why
}

#[tokio::test]
async fn all_failing_and_slow_requests_and_no_others_arrive() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors().slower_than(SLOW)).await;
        let to = setup.serve().await;
        let mut named = BTreeSet::new();
        let sent = async {
            tokio::join!(
                send(to, "good", 1_000),
                send(to, "fails", 37),
                send(to, "slow", 5)
            )
        };
        // After each scrape the next kept trace of a bucket is its exemplar.
        let scrapes = async {
            loop {
                named.extend(exemplars(to).await);
            }
        };
        tokio::select! {
            _ = sent => {}
            () = scrapes => {}
        }
        named.extend(exemplars(to).await);
        let traces = setup.traces().await;
        assert_eq!(traces.len(), 42, "{backend:?}");
        let received = trace_ids(&traces);
        let missing: Vec<_> = named.difference(&received).collect();
        assert!(missing.is_empty(), "{backend:?}: {missing:?}");
        for why in ["error", "slow"] {
            let of_reason = |trace: &&Vec<Span>| assert_whole(trace) == why;
            let kept = trace_ids(traces.iter().filter(of_reason));
            assert!(
                !named.is_disjoint(&kept),
                "{backend:?}: no exemplar of {why}"
            );
        }
        let mut reasons: Vec<_> = traces.iter().map(|trace| assert_whole(trace)).collect();
        reasons.sort_unstable();
        assert!(reasons[..37].iter().all(|reason| reason == "error"));
        assert!(reasons[37..].iter().all(|reason| reason == "slow"));
        let counts = setup.recorder.counts();
        assert_eq!((counts.started, counts.exported), (3 * 42, 3 * 42));
        assert_eq!((counts.not_held, counts.keep_limited), (0, 0));
    }
}

#[tokio::test]
async fn a_flood_of_failures_keeps_the_limit_of_each_second_and_counts_the_rest() {
    let setup = Setup::new(Backend::Records, Keep::errors().per_second(10)).await;
    let to = setup.serve().await;
    let started = Instant::now();
    send(to, "fails", 1_000).await;
    let seconds = started.elapsed().as_secs_f64();
    let traces = setup.traces().await;
    for trace in &traces {
        assert_whole(trace);
    }
    let kept = traces.len();
    assert!(kept >= 10, "{kept}");
    assert!(
        kept as f64 <= 10.0 * (seconds + 1.0),
        "{kept} in {seconds} s"
    );
    let named = exemplars(to).await;
    assert!(!named.is_empty() && named.is_subset(&trace_ids(&traces)));
    let limited = usize::try_from(setup.recorder.counts().keep_limited).unwrap();
    assert_eq!(limited, 3 * (1_000 - kept));
}

#[tokio::test]
async fn a_request_that_ends_in_another_way_than_its_response_is_kept() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let to = setup.serve().await;
        for (number, action) in ["panics", "pending", "endless", "body-fails", "marked"]
            .into_iter()
            .enumerate()
        {
            let request = format!("GET /{action} HTTP/1.1\nhost: shop");
            if action == "pending" {
                // The client leaves before the response.
                let mut stream = TcpStream::connect(to).await.unwrap();
                let request = format!("{}\r\n\r\n", request.replace('\n', "\r\n"));
                stream.write_all(request.as_bytes()).await.unwrap();
            } else {
                let (_, mut stream) = send_raw(to, &request).await;
                if action != "endless" {
                    let mut body = [0; 64];
                    // The connection of a failing body is closed.
                    _ = stream.read(&mut body).await;
                }
            }
            let traces = setup.wait_for(number + 1).await;
            assert_eq!(traces.len(), number + 1, "{backend:?} {action}");
            let (named, received) = (exemplars(to).await, trace_ids(&traces));
            assert!(!named.is_empty(), "{backend:?} {action}");
            assert!(
                named.is_subset(&received),
                "{backend:?} {action}: {named:?}"
            );
        }
        let mut ends: Vec<_> = setup
            .traces()
            .await
            .iter()
            .map(|trace| {
                let why = assert_whole(trace);
                let root = trace
                    .iter()
                    .find(|span| span.name == "GET /{action}")
                    .unwrap();
                match attribute(root, "error.type") {
                    Some(Value::StringValue(error)) => format!("{why} {error}"),
                    _ => why,
                }
            })
            .collect();
        ends.sort_unstable();
        let expected = [
            "error aborted",
            "error cancelled",
            "error panic",
            "error timeout",
            "marked",
        ];
        assert_eq!(ends, expected, "{backend:?}");
    }
}

#[tokio::test]
async fn a_failing_grpc_call_is_kept_on_both_ends_and_a_good_one_is_not() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let (to, incoming) = grpc_calls::listen().await;
        tokio::spawn(
            Server::builder()
                .layer(setup.layer(TraceLayer::server().grpc()))
                .add_service(CartService::default())
                .serve_with_incoming(incoming),
        );
        let uri = format!("http://{to}");
        let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
        let service = ServiceBuilder::new()
            .layer(setup.layer(TraceLayer::client().grpc()))
            .layer(tower_otel_propagate::PropagateLayer::new())
            .service(channel);
        let mut client = tonic::client::Grpc::with_origin(service, uri.parse().unwrap());
        for message in ["ok", "13", "ok"] {
            client.ready().await.unwrap();
            let request = tonic::Request::new(message.to_owned());
            let path = grpc_calls::path("Unary");
            let _ = client
                .unary::<String, String, _>(request, path, StringCodec)
                .await;
        }
        let traces = setup.wait_for(1).await;
        assert_eq!(traces.len(), 1, "{backend:?}: {traces:#?}");
        let spans = &traces[0];
        assert_eq!(spans.len(), 2, "{backend:?}: {spans:#?}");
        for span in spans {
            assert_eq!(span.name, "shop.Cart/Unary");
            assert_eq!(reason(span), "error");
        }
    }
}

#[tokio::test]
async fn a_failing_client_without_a_server_is_kept() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let to = setup.serve().await;
        let (_socket, refusing) = refusing_address();
        let client = ServiceBuilder::new()
            .layer(setup.layer(TraceLayer::client()))
            .service(pooled_client(Http::One));
        for (address, action) in [(to, "good"), (refusing, "good")] {
            let request = Request::get(format!("http://{address}/{action}"));
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            if let Ok(response) = client.clone().oneshot(request).await {
                response.into_body().collect().await.unwrap();
            }
        }
        let traces = setup.traces().await;
        assert_eq!(traces.len(), 1, "{backend:?}: {traces:#?}");
        assert_eq!(traces[0][0].name, "GET");
        assert_eq!(reason(&traces[0][0]), "error");
    }
}

#[tokio::test]
async fn a_failing_job_is_kept_with_the_tasks_that_it_has_spawned() {
    let setup = Setup::new(Backend::Tracing, Keep::errors()).await;
    for fails in [false, true] {
        let job = tracing::info_span!("job");
        let context = job.context();
        let done = Arc::new(Notify::new());
        let notified = Arc::clone(&done);
        let tracer = setup.recorder.tracer_provider().tracer("jobs");
        let task = tokio::spawn(async move {
            let span = tracer.start_with_context("task", &context);
            let context = Context::new().with_span(span);
            notified.notified().await;
            drop(context);
        });
        job.in_scope(|| tracing::info!("started"));
        if fails {
            job.set_status(Status::error("no paper"));
        }
        done.notify_one();
        task.await.unwrap();
        drop(job);
    }
    let traces = setup.traces().await;
    assert_eq!(traces.len(), 1, "{traces:#?}");
    let mut names: Vec<_> = traces[0].iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["job", "task"]);
    let job = traces[0].iter().find(|span| span.name == "job").unwrap();
    assert_eq!(job.events.len(), 1);
    assert_eq!(job.status.as_ref().unwrap().code(), SpanStatus::Error);
}
