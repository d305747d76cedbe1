//! Options of the metrics layer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    future::ready,
    io::{Read, pipe},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Mutex,
    task::{Context, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use opentelemetry::KeyValue;
use suite_tests::{
    backend::Backend,
    net::{BoxError, ScriptedBody, Step},
    telemetry::TestTelemetry,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::{RequestHead, Route, observe};
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_semconv::KnownMethods;
use tower_otel_trace::TraceLayer;

/// A response extension that a label is read from.
#[derive(Clone)]
struct Cache(&'static str);

type HelloFuture = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn hello(_: Request<&'static str>) -> HelloFuture {
    let mut response = Response::new(Full::from("hello"));
    response.extensions_mut().insert(Cache("hit"));
    ready(Ok(response))
}

fn get(uri: &str) -> Request<&'static str> {
    Request::get(uri).body("").unwrap()
}

async fn run<L, S, B>(layer: L, request: Request<&'static str>)
where
    L: Layer<tower::util::ServiceFn<fn(Request<&'static str>) -> HelloFuture>, Service = S>,
    S: Service<Request<&'static str>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let Ok(response) = layer
        .layer(service_fn(hello as fn(_) -> _))
        .oneshot(request)
        .await;
    response.into_body().collect().await.unwrap();
}

fn by_tenant(layer: MetricsLayer) -> MetricsLayer {
    layer.label("tenant", |request| {
        let tenant = request.headers().get("x-tenant")?.to_str().ok()?;
        Some(tenant.to_owned().into())
    })
}

#[tokio::test]
async fn rename_sets_the_names_of_the_metrics() {
    let telemetry = TestTelemetry::new();
    let rename = |name: &str| match name {
        "http_requests_total" => "visits_total".to_owned(),
        other => format!("shop_{other}"),
    };
    run(MetricsLayer::server().rename(rename), get("/")).await;
    assert_eq!(
        telemetry.series(),
        [
            r#"shop_http_request_duration_seconds_count{method="GET",path="unmatched"} 1"#,
            r#"shop_http_requests_in_flight{method="GET"} 0"#,
            r#"shop_http_responses_aborted_total{method="GET",path="unmatched"} 0"#,
            r#"visits_total{method="GET",path="unmatched",status="200"} 1"#,
        ]
    );
}

#[tokio::test]
async fn a_panic_in_a_label_or_route_function_is_counted_and_leaves_nothing_in_flight() {
    let telemetry = TestTelemetry::new();
    let expect_root = |request: &dyn RequestHead| assert_eq!(request.target().path, "/");
    let label = move |request: &dyn RequestHead| {
        expect_root(request);
        None
    };
    let route = move |request: &dyn RequestHead| {
        expect_root(request);
        None
    };
    let layers = [
        MetricsLayer::server().label("tenant", label),
        MetricsLayer::server().route(route),
    ];
    for layer in layers {
        run(layer.clone(), get("/")).await;
        let mut service = layer.layer(service_fn(hello));
        let mut exchange = pin!(service.call(get("/panic")));
        let cx = &mut Context::from_waker(Waker::noop());
        let poll = || exchange.as_mut().poll(cx).map(|_| ());
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
    }
    let count = |status| telemetry.sum("http_requests_total", &[("status", status)]);
    assert_eq!((count("200"), count("panic")), (2.0, 2.0));
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0);
}

#[test]
fn a_panic_in_a_response_label_is_recorded_as_panic_in_span_and_metrics() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let metrics = MetricsLayer::server().response_label("cache", |_| panic!("in a label"));
        let trace = backend.layer(telemetry.source(), TraceLayer::server());
        let service = observe((trace, metrics)).layer(service_fn(hello));
        let mut exchange = pin!(service.oneshot(get("/")));
        let poll = || {
            exchange
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
        };
        assert!(catch_unwind(AssertUnwindSafe(poll)).is_err());
        let spans = telemetry.spans();
        let [span] = spans.as_slice() else {
            panic!("one span, not {spans:#?}");
        };
        let error = KeyValue::new("error.type", "panic");
        assert!(span.attributes.contains(&error), "{span:#?}");
        assert_eq!(telemetry.sum("http_requests_total", &[]), 1.0);
        assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0);
    }
}

#[tokio::test]
async fn known_methods_applies_to_every_request() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server().known_methods(KnownMethods::new(["GET", "PURGE"]));
    for method in ["PURGE", "PUT", "GET", "PUT", "PURGE", "put"] {
        let request = Request::builder().method(method).body("").unwrap();
        run(layer.clone(), request).await;
    }
    let count = |method| telemetry.sum("http_requests_total", &[("method", method)]);
    assert_eq!(["GET", "PURGE", "_OTHER"].map(count), [1.0, 2.0, 3.0]);
    assert_eq!(telemetry.sum("http_requests_total", &[]), 6.0);
}

#[tokio::test]
async fn a_long_label_value_is_cut() {
    let telemetry = TestTelemetry::new();
    let layer = by_tenant(MetricsLayer::server())
        .response_label("note", |_| Some("ä".repeat(10_000).into()));
    let mut request = get("/");
    let tenant = "t".repeat(60_000).parse().unwrap();
    request.headers_mut().insert("x-tenant", tenant);
    run(layer, request).await;
    let (tenant, note) = ("t".repeat(125) + "…", "ä".repeat(62) + "…");
    let labels = [("tenant", &*tenant), ("note", &*note)];
    assert_eq!(telemetry.sum("http_requests_total", &labels), 1.0);
}

#[tokio::test]
async fn a_long_host_and_a_long_route_are_cut() {
    let telemetry = TestTelemetry::new();
    let route = |_: &dyn RequestHead| Some(Route::from("/r".repeat(30_000)));
    let layer = MetricsLayer::server().server_address().route(route);
    for end in ["a", "b"] {
        let mut request = get("/");
        let host = format!("{}{end}", "h".repeat(200));
        let headers = request.headers_mut();
        headers.insert("host", host.parse().unwrap());
        run(layer.clone(), request).await;
    }
    let (host, path) = ("h".repeat(125) + "…", "/r".repeat(126) + "/…");
    let labels = [("host", &*host), ("path", &*path)];
    assert_eq!(telemetry.sum("http_requests_total", &labels), 2.0);
}

#[tokio::test]
async fn labels_are_read_from_request_and_response() {
    let telemetry = TestTelemetry::new();
    let layer = by_tenant(MetricsLayer::server()).response_label("cache", |response| {
        let Cache(outcome) = response.extensions().get()?;
        Some((*outcome).into())
    });
    let mut request = get("/");
    request
        .headers_mut()
        .insert("x-tenant", "acme".parse().unwrap());
    run(layer.clone(), request).await;
    run(layer, get("/")).await;
    let count = |labels: &[(&str, &str)]| {
        (
            telemetry.sum("http_requests_total", labels),
            telemetry.sum("http_request_duration_seconds_count", labels),
        )
    };
    assert_eq!(count(&[("tenant", "acme"), ("cache", "hit")]), (1.0, 1.0));
    assert_eq!(count(&[("cache", "hit")]), (2.0, 2.0));
    assert!(
        telemetry.series().contains(&String::from(
            r#"http_requests_total{cache="hit",method="GET",path="unmatched",status="200"} 1"#
        )),
        "a label without a value is omitted: {:#?}",
        telemetry.series()
    );
    assert!(telemetry.spans().is_empty());
}

#[tokio::test]
async fn a_custom_label_with_a_built_in_name_is_omitted() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server()
        .label("method", |_| Some("mine".into()))
        .label("status", |_| Some("mine".into()));
    run(layer, get("/")).await;
    let layer = MetricsLayer::server()
        .names(Names::Conventions)
        .label("http_request_method", |_| Some("mine".into()));
    run(layer, get("/")).await;
    assert!(
        !telemetry.metrics().contains("mine"),
        "{}",
        telemetry.metrics()
    );
}

#[test]
fn a_label_named_status_is_omitted_with_a_warning() {
    let (mut log, writer) = pipe().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Mutex::new(writer))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let _ = MetricsLayer::server().response_label("status", |_| None);
    });
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    assert!(text.contains("the custom label is omitted"), "{text}");
}

#[tokio::test]
async fn a_fifth_label_is_omitted() {
    let telemetry = TestTelemetry::new();
    let mut layer = MetricsLayer::server();
    for name in ["a", "b", "c", "d", "e"] {
        layer = layer.label(name, |_| Some("x".into()));
    }
    run(layer, get("/")).await;
    assert_eq!(telemetry.sum("http_requests_total", &[("d", "x")]), 1.0);
    assert_eq!(telemetry.sum("http_requests_total", &[("e", "x")]), 0.0);
}

#[tokio::test]
async fn label_values_from_clients_are_bounded_by_the_series_limit() {
    let telemetry = TestTelemetry::new();
    let layer = by_tenant(MetricsLayer::server()).series_limit(10);
    for tenant in 0..100 {
        let mut request = get("/");
        let tenant = tenant.to_string().parse().unwrap();
        request.headers_mut().insert("x-tenant", tenant);
        run(layer.clone(), request).await;
    }
    let overflow = [("path", "overflow")];
    assert_eq!(telemetry.sum("http_requests_total", &overflow), 90.0);
    assert_eq!(telemetry.sum("http_requests_total", &[]), 100.0);
}

#[tokio::test]
async fn body_sizes_are_recorded_if_known() {
    let telemetry = TestTelemetry::new();
    run(MetricsLayer::server().body_sizes(), get("/")).await;
    let request = Request::post("http://stock.internal/items").header("content-length", 1_500);
    run(
        MetricsLayer::client().body_sizes(),
        request.body("").unwrap(),
    )
    .await;
    for (metric, value) in [
        ("http_server_request_body_size_bytes_count", 0.0),
        ("http_server_response_body_size_bytes_count", 1.0),
        ("http_server_response_body_size_bytes_sum", 5.0),
        ("http_client_request_body_size_bytes_sum", 1_500.0),
        ("http_client_response_body_size_bytes_sum", 5.0),
    ] {
        assert_eq!(telemetry.sum(metric, &[]), value, "{metric}");
    }
    let metric = "http_client_request_body_size_bytes_bucket";
    assert_eq!(telemetry.sum(metric, &[("le", "1000")]), 0.0);
    assert_eq!(telemetry.sum(metric, &[("le", "10000")]), 1.0);
}

#[tokio::test]
async fn in_flight_by_route_adds_the_route_if_known() {
    let telemetry = TestTelemetry::new();
    let route =
        |request: &dyn RequestHead| (request.target().path == "/a/7").then(|| "/a/{id}".into());
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().names(names).in_flight_by_route();
        run(layer.route(route), get("/a/7")).await;
    }
    let series = telemetry.series();
    for gauge in [
        r#"http_requests_in_flight{method="GET",path="/a/{id}"} 0"#,
        r#"http_server_active_requests{http_request_method="GET",http_route="/a/{id}",url_scheme="http"} 0"#,
    ] {
        assert!(series.contains(&gauge.to_owned()), "{series:#?}");
    }
}

#[tokio::test]
async fn server_address_adds_the_host_of_the_request() {
    let telemetry = TestTelemetry::new();
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().names(names).server_address();
        run(layer, get("http://shop.example:8443/")).await;
    }
    let series = telemetry.series();
    for expected in [
        r#"http_requests_in_flight{host="shop.example:8443",method="GET"} 0"#,
        r#"http_requests_total{host="shop.example:8443",method="GET",path="unmatched",status="200"} 1"#,
        r#"http_server_active_requests{http_request_method="GET",server_address="shop.example",server_port="8443",url_scheme="http"} 0"#,
    ] {
        assert!(series.contains(&expected.to_owned()), "{series:#?}");
    }
}

/// Clients choose the host, so gauge and counter use the overflow series.
#[tokio::test]
async fn server_addresses_are_bounded_by_the_series_limit() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server().server_address().series_limit(10);
    for host in 0..100 {
        run(layer.clone(), get(&format!("http://host-{host}/"))).await;
    }
    assert_eq!(telemetry.sum("http_requests_total", &[]), 100.0);
    assert_eq!(
        telemetry.sum("http_requests_total", &[("host", "overflow")]),
        90.0
    );
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0);
}

/// An exchange over the limit increments and decrements the same gauge.
#[tokio::test]
async fn the_in_flight_gauge_is_exact_in_the_overflow_series() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server()
        .route(|request| Some(request.target().path.to_owned().into()))
        .series_limit(2);
    for path in ["/a", "/b"] {
        run(layer.clone(), get(path)).await;
    }
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let over_limit = service.call(get("/c"));
    let gauge = || telemetry.sum("http_requests_in_flight", &[("method", "GET")]);
    assert_eq!(gauge(), 1.0);
    drop(over_limit);
    assert_eq!(gauge(), 0.0);
    assert_eq!(
        telemetry.sum("http_requests_total", &[("path", "overflow")]),
        1.0
    );
}

#[tokio::test]
async fn duration_to_head_ends_only_the_duration_at_the_head() {
    let telemetry = TestTelemetry::new();
    let service = MetricsLayer::server()
        .duration_to_head()
        .layer(service_fn(|_: Request<()>| {
            let body = ScriptedBody::new([Step::Data("a"), Step::Error]);
            ready(Ok::<_, BoxError>(Response::new(body)))
        }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 1.0);
    assert_eq!(telemetry.sum("http_requests_total", &[]), 0.0);
    let head = std::time::Instant::now();
    while head.elapsed() < std::time::Duration::from_millis(20) {}
    let _ = response.into_body().collect().await;
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0);
    assert_eq!(telemetry.sum("http_requests_total", &[]), 1.0);
    assert_eq!(telemetry.sum("http_responses_aborted_total", &[]), 1.0);
    assert_eq!(
        telemetry.sum("http_request_duration_seconds_count", &[]),
        1.0
    );
    let duration = telemetry.sum("http_request_duration_seconds_sum", &[]);
    assert!(duration < 0.02, "{duration} s");
}
