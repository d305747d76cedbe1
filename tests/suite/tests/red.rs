//! The RED metrics: names, labels, limits and exact totals.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use metrics::with_local_recorder;
use suite_tests::{
    net::{BoxError, ScriptedBody, Step},
    telemetry::{TestTelemetry, sum},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::{Filter, observe};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::TraceLayer;

fn hello(
    _: Request<Empty<Bytes>>,
) -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::new(Full::from("hello"))))
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn run<L, S, B>(layer: L, request: Request<Empty<Bytes>>)
where
    L: Layer<
            tower::util::ServiceFn<
                fn(
                    Request<Empty<Bytes>>,
                )
                    -> std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>,
            >,
            Service = S,
        >,
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let Ok(response) = layer
        .layer(service_fn(hello as fn(_) -> _))
        .oneshot(request)
        .await;
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn a_server_records_the_short_names_by_default() {
    let telemetry = TestTelemetry::new();
    run(
        MetricsLayer::server().route(|_| Some("/a/{id}".into())),
        get("/a/7"),
    )
    .await;
    run(MetricsLayer::server(), get("/wp-admin.php")).await;
    assert_eq!(
        telemetry.series(),
        [
            r#"http_request_duration_seconds_count{method="GET",path="/a/{id}"} 1"#,
            r#"http_request_duration_seconds_count{method="GET",path="unmatched"} 1"#,
            r#"http_requests_in_flight{method="GET"} 0"#,
            r#"http_requests_total{method="GET",path="/a/{id}",status="200"} 1"#,
            r#"http_requests_total{method="GET",path="unmatched",status="200"} 1"#,
            r#"http_responses_aborted_total{method="GET",path="/a/{id}"} 0"#,
            r#"http_responses_aborted_total{method="GET",path="unmatched"} 0"#,
        ]
    );
}

#[tokio::test]
async fn a_client_records_the_short_names_by_default() {
    let telemetry = TestTelemetry::new();
    run(MetricsLayer::client(), get("http://stock.internal/items")).await;
    assert_eq!(
        telemetry.series(),
        [
            r#"http_client_request_duration_seconds_count{host="stock.internal:80",method="GET"} 1"#,
            r#"http_client_requests_in_flight{host="stock.internal:80"} 0"#,
            r#"http_client_requests_total{host="stock.internal:80",method="GET",status="200"} 1"#,
        ]
    );
}

#[tokio::test]
async fn the_names_of_the_conventions_are_recorded_by_option() {
    let telemetry = TestTelemetry::new();
    let route = |_: &dyn tower_otel_core::RequestHead| Some("/a/{id}".into());
    run(
        MetricsLayer::server()
            .names(Names::Conventions)
            .https()
            .route(route),
        get("/a/7"),
    )
    .await;
    run(
        MetricsLayer::client().names(Names::Conventions),
        get("https://stock.internal:8443/items"),
    )
    .await;
    assert_eq!(
        telemetry.series(),
        [
            r#"http_client_active_requests{http_request_method="GET",server_address="stock.internal",server_port="8443"} 0"#,
            r#"http_client_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",network_protocol_version="1.1",server_address="stock.internal",server_port="8443"} 1"#,
            r#"http_server_active_requests{http_request_method="GET",url_scheme="https"} 0"#,
            r#"http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="/a/{id}",network_protocol_version="1.1",url_scheme="https"} 1"#,
        ]
    );
}

#[tokio::test]
async fn an_unknown_method_is_other() {
    let telemetry = TestTelemetry::new();
    let mut request = get("/");
    *request.method_mut() = Method::from_bytes(b"BREW").unwrap();
    run(MetricsLayer::server(), request).await;
    assert_eq!(
        telemetry.sum("http_requests_total", &[("method", "_OTHER")]),
        1.0
    );
}

#[tokio::test]
async fn one_filter_excludes_a_request_from_both_signals() {
    let telemetry = TestTelemetry::new();
    let filter = Filter::skip_paths(["/healthz"]);
    let layer = || {
        observe((
            TraceLayer::server().filter(filter.clone()),
            MetricsLayer::server().filter(filter.clone()),
        ))
    };
    run(layer(), get("/healthz")).await;
    assert_eq!(telemetry.series(), Vec::<String>::new());
    assert!(telemetry.spans().is_empty());
    run(layer(), get("/")).await;
    assert_eq!(telemetry.sum("http_requests_total", &[]), 1.0);
    assert_eq!(telemetry.spans().len(), 1);
}

#[tokio::test]
async fn signals_observed_together_have_the_same_duration() {
    let telemetry = TestTelemetry::new();
    let spans = TraceLayer::server().tracer_provider(telemetry.provider());
    run(observe((spans, MetricsLayer::server())), get("/")).await;
    let spans = telemetry.spans();
    let duration = spans[0]
        .end_time
        .duration_since(spans[0].start_time)
        .unwrap();
    let counted = telemetry.sum("http_request_duration_seconds_sum", &[]);
    assert_eq!(Duration::from_secs_f64(counted), duration);
}

/// A client can choose the host, the method and, if the path is used as the route, the route.
#[tokio::test]
async fn series_over_the_limit_are_counted_in_one_overflow_series() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server()
        .route(|request| Some(request.target().path.to_owned().into()))
        .series_limit(100);
    for path in 0..5_000 {
        run(layer.clone(), get(&format!("/{path}"))).await;
    }
    let hosts = MetricsLayer::client().series_limit(100);
    for host in 0..5_000 {
        run(hosts.clone(), get(&format!("http://host-{host}/"))).await;
    }
    let overflow = ("path", "overflow");
    assert_eq!(telemetry.sum("http_requests_total", &[]), 5_000.0);
    assert_eq!(telemetry.sum("http_requests_total", &[overflow]), 4_900.0);
    let labels = [overflow, ("status", "overflow")];
    assert_eq!(telemetry.sum("http_requests_total", &labels), 4_900.0);
    assert_eq!(
        telemetry.sum("http_request_duration_seconds_count", &[]),
        5_000.0
    );
    assert_eq!(telemetry.sum("http_client_requests_total", &[]), 5_000.0);
    assert_eq!(
        telemetry.sum("http_client_requests_total", &[("host", "overflow")]),
        4_900.0
    );
    assert_eq!(telemetry.sum("http_client_requests_in_flight", &[]), 0.0);
    let series = telemetry
        .metrics()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .count();
    assert!(series < 6_000, "{series} lines, including buckets");
}

// === exact totals ===

/// The end of a random exchange.
#[derive(Clone, Copy)]
enum ScriptedEnd {
    Ok,
    NotFound,
    Broken,
    Failed,
    Cancelled,
    Aborted,
    BodyFails,
    Panics,
}

const ENDS: [(ScriptedEnd, &str); 8] = [
    (ScriptedEnd::Ok, "200"),
    (ScriptedEnd::NotFound, "404"),
    (ScriptedEnd::Broken, "500"),
    (ScriptedEnd::Failed, "error"),
    (ScriptedEnd::Cancelled, "cancelled"),
    (ScriptedEnd::Aborted, "200"),
    (ScriptedEnd::BodyFails, "200"),
    (ScriptedEnd::Panics, "panic"),
];

fn handle(
    end: ScriptedEnd,
) -> Pin<Box<dyn Future<Output = Result<Response<ScriptedBody>, BoxError>>>> {
    Box::pin(async move {
        let script = match end {
            ScriptedEnd::Aborted => ScriptedBody::new([Step::Data("a"), Step::Pending]),
            ScriptedEnd::BodyFails => ScriptedBody::new([Step::Data("a"), Step::Error]),
            _ => ScriptedBody::new([Step::Data("a")]),
        };
        let mut response = Response::new(script);
        match end {
            ScriptedEnd::NotFound => *response.status_mut() = StatusCode::NOT_FOUND,
            ScriptedEnd::Broken => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
            ScriptedEnd::Failed => return Err("no".into()),
            ScriptedEnd::Cancelled => pending().await,
            // Unwinds like a panic, without printing a message.
            ScriptedEnd::Panics => std::panic::resume_unwind(Box::new(())),
            _ => {}
        }
        Ok(response)
    })
}

/// Runs one exchange to its end, without a runtime.
fn exchange<S, B>(service: &mut S, end: ScriptedEnd)
where
    S: Service<Request<ScriptedEnd>, Response = Response<B>, Error = BoxError>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let driven = catch_unwind(AssertUnwindSafe(|| {
        let mut future = pin!(service.call(Request::new(end)));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    }));
    assert_eq!(driven.is_err(), matches!(end, ScriptedEnd::Panics));
}

#[test]
fn a_million_exchanges_on_eight_threads_are_counted_exactly() {
    const THREADS: usize = 8;
    const EACH: usize = 125_000;
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    let layer = MetricsLayer::server();
    let done = std::sync::atomic::AtomicBool::new(false);
    let counts_by_thread: Vec<[u32; ENDS.len()]> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (recorder, layer) = (&recorder, layer.clone());
                scope.spawn(move || {
                    with_local_recorder(recorder, || {
                        let mut service =
                            layer.layer(service_fn(|request: Request<ScriptedEnd>| {
                                handle(*request.body())
                            }));
                        // Each run draws the same random ends and counts them.
                        let mut random = thread as u64 + 1;
                        let mut counts = [0_u32; ENDS.len()];
                        for _ in 0..EACH {
                            random ^= random << 13;
                            random ^= random >> 7;
                            random ^= random << 17;
                            let drawn = random as usize % ENDS.len();
                            counts[drawn] += 1;
                            exchange(&mut service, ENDS[drawn].0);
                        }
                        counts
                    })
                })
            })
            .collect();
        // Scrapes run concurrently.
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::black_box(prometheus.render());
            }
        });
        let counts_by_thread: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        counts_by_thread.into_iter().map(Result::unwrap).collect()
    });
    let text = prometheus.render();
    let all = (THREADS * EACH) as f64;
    let expected = |is: &dyn Fn(ScriptedEnd, &str) -> bool| -> f64 {
        ENDS.iter()
            .enumerate()
            .filter(|(_, (end, status))| is(*end, status))
            .map(|(at, _)| {
                f64::from(
                    counts_by_thread
                        .iter()
                        .map(|counts| counts[at])
                        .sum::<u32>(),
                )
            })
            .sum()
    };
    for status in ["200", "404", "500", "error", "cancelled", "panic"] {
        let counted = sum(&text, "http_requests_total", &[("status", status)]);
        assert_eq!(counted, expected(&|_, of| of == status), "{status}");
    }
    assert_eq!(sum(&text, "http_requests_total", &[]), all);
    assert_eq!(sum(&text, "http_request_duration_seconds_count", &[]), all);
    assert_eq!(
        sum(&text, "http_responses_aborted_total", &[]),
        expected(&|end, _| matches!(end, ScriptedEnd::Aborted | ScriptedEnd::BodyFails))
    );
    assert_eq!(sum(&text, "http_requests_in_flight", &[]), 0.0);
}
