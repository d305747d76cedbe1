//! What the metrics layer does only where it is asked for.

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
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use suite_tests::{
    net::{BoxError, Script, Step},
    scene::Scene,
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::RequestHead;
use tower_otel_metrics::{MetricsLayer, Names};
use tower_otel_semconv::KnownMethods;

/// What a handler tells the metrics.
#[derive(Clone)]
struct Cache(&'static str);

type Answer = std::future::Ready<Result<Response<Full<Bytes>>, Infallible>>;

fn hello(_: Request<&'static str>) -> Answer {
    let mut response = Response::new(Full::from("hello"));
    response.extensions_mut().insert(Cache("hit"));
    ready(Ok(response))
}

fn get(uri: &str) -> Request<&'static str> {
    Request::get(uri).body("").unwrap()
}

async fn run<L, S, B>(layer: L, request: Request<&'static str>)
where
    L: Layer<tower::util::ServiceFn<fn(Request<&'static str>) -> Answer>, Service = S>,
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
async fn metrics_have_names_of_the_callers_choice() {
    let scene = Scene::new();
    let rename = |name: &str| match name {
        "http_requests_total" => "visits_total".to_owned(),
        other => format!("shop_{other}"),
    };
    run(MetricsLayer::server().rename(rename), get("/")).await;
    assert_eq!(
        scene.series(),
        [
            r#"shop_http_request_duration_seconds_count{method="GET",path="unmatched"} 1"#,
            r#"shop_http_requests_in_flight{method="GET"} 0"#,
            r#"shop_http_responses_aborted_total{method="GET",path="unmatched"} 0"#,
            r#"visits_total{method="GET",path="unmatched",status="200"} 1"#,
        ]
    );
}

#[tokio::test]
async fn a_label_or_a_route_that_panics_leaves_nothing_in_flight() {
    let scene = Scene::new();
    let calm = |request: &dyn RequestHead| assert_eq!(request.target().path, "/");
    let label = move |request: &dyn RequestHead| {
        calm(request);
        None
    };
    let route = move |request: &dyn RequestHead| {
        calm(request);
        None
    };
    let layers = [
        MetricsLayer::server().label("tenant", label),
        MetricsLayer::server().route(route),
    ];
    for layer in layers {
        run(layer.clone(), get("/")).await;
        let mut service = layer.layer(service_fn(hello));
        let call = AssertUnwindSafe(|| service.call(get("/angry")));
        assert!(catch_unwind(call).is_err());
    }
    assert_eq!(scene.sum("http_requests_total", &[]), 2.0);
    assert_eq!(scene.sum("http_requests_in_flight", &[]), 0.0);
}

#[tokio::test]
async fn a_method_is_known_or_not_however_often_it_comes() {
    let scene = Scene::new();
    let layer = MetricsLayer::server().known_methods(KnownMethods::new(["GET", "PURGE"]));
    for method in ["PURGE", "PUT", "GET", "PUT", "PURGE", "put"] {
        let request = Request::builder().method(method).body("").unwrap();
        run(layer.clone(), request).await;
    }
    let count = |method| scene.sum("http_requests_total", &[("method", method)]);
    assert_eq!(["GET", "PURGE", "_OTHER"].map(count), [1.0, 2.0, 3.0]);
    assert_eq!(scene.sum("http_requests_total", &[]), 6.0);
}

#[tokio::test]
async fn labels_come_from_request_and_response() {
    let scene = Scene::new();
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
            scene.sum("http_requests_total", labels),
            scene.sum("http_request_duration_seconds_count", labels),
        )
    };
    assert_eq!(count(&[("tenant", "acme"), ("cache", "hit")]), (1.0, 1.0));
    assert_eq!(count(&[("cache", "hit")]), (2.0, 2.0));
    assert!(
        scene.series().contains(&String::from(
            r#"http_requests_total{cache="hit",method="GET",path="unmatched",status="200"} 1"#
        )),
        "without a value there is no label: {:#?}",
        scene.series()
    );
    assert!(scene.spans().is_empty());
}

#[tokio::test]
async fn a_label_of_the_layers_own_is_not_written_twice() {
    let scene = Scene::new();
    let layer = MetricsLayer::server()
        .label("method", |_| Some("mine".into()))
        .label("status", |_| Some("mine".into()));
    run(layer, get("/")).await;
    let layer = MetricsLayer::server()
        .names(Names::Conventions)
        .label("http_request_method", |_| Some("mine".into()));
    run(layer, get("/")).await;
    assert!(!scene.metrics().contains("mine"), "{}", scene.metrics());
}

#[tokio::test]
async fn a_fifth_label_is_left_out() {
    let scene = Scene::new();
    let mut layer = MetricsLayer::server();
    for name in ["a", "b", "c", "d", "e"] {
        layer = layer.label(name, |_| Some("x".into()));
    }
    run(layer, get("/")).await;
    assert_eq!(scene.sum("http_requests_total", &[("d", "x")]), 1.0);
    assert_eq!(scene.sum("http_requests_total", &[("e", "x")]), 0.0);
}

#[tokio::test]
async fn labels_of_strangers_are_bounded_like_all_others() {
    let scene = Scene::new();
    let layer = by_tenant(MetricsLayer::server()).series_limit(10);
    for tenant in 0..100 {
        let mut request = get("/");
        let tenant = tenant.to_string().parse().unwrap();
        request.headers_mut().insert("x-tenant", tenant);
        run(layer.clone(), request).await;
    }
    let overflow = [("path", "overflow")];
    assert_eq!(scene.sum("http_requests_total", &overflow), 90.0);
    assert_eq!(scene.sum("http_requests_total", &[]), 100.0);
}

#[tokio::test]
async fn sizes_of_bodies_are_recorded_where_they_are_known() {
    let scene = Scene::new();
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
        assert_eq!(scene.sum(metric, &[]), value, "{metric}");
    }
    let metric = "http_client_request_body_size_bytes_bucket";
    assert_eq!(scene.sum(metric, &[("le", "1000")]), 0.0);
    assert_eq!(scene.sum(metric, &[("le", "10000")]), 1.0);
}

#[tokio::test]
async fn requests_in_flight_are_told_apart_by_route_where_it_is_known() {
    let scene = Scene::new();
    let route =
        |request: &dyn RequestHead| (request.target().path == "/a/7").then(|| "/a/{id}".into());
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().names(names).in_flight_by_route();
        run(layer.route(route), get("/a/7")).await;
    }
    let series = scene.series();
    for gauge in [
        r#"http_requests_in_flight{method="GET",path="/a/{id}"} 0"#,
        r#"http_server_active_requests{http_request_method="GET",http_route="/a/{id}",url_scheme="http"} 0"#,
    ] {
        assert!(series.contains(&gauge.to_owned()), "{series:#?}");
    }
}

#[tokio::test]
async fn a_server_says_at_which_address_it_was_asked() {
    let scene = Scene::new();
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().names(names).server_address();
        run(layer, get("http://shop.example:8443/")).await;
    }
    let series = scene.series();
    for expected in [
        r#"http_requests_in_flight{host="shop.example:8443",method="GET"} 0"#,
        r#"http_requests_total{host="shop.example:8443",method="GET",path="unmatched",status="200"} 1"#,
        r#"http_server_active_requests{http_request_method="GET",server_address="shop.example",server_port="8443",url_scheme="http"} 0"#,
    ] {
        assert!(series.contains(&expected.to_owned()), "{series:#?}");
    }
}

/// Hosts are written by strangers: the gauge overflows, and so does what is counted.
#[tokio::test]
async fn addresses_of_strangers_are_bounded() {
    let scene = Scene::new();
    let layer = MetricsLayer::server().server_address().series_limit(10);
    for host in 0..100 {
        run(layer.clone(), get(&format!("http://host-{host}/"))).await;
    }
    assert_eq!(scene.sum("http_requests_total", &[]), 100.0);
    assert_eq!(
        scene.sum("http_requests_total", &[("host", "overflow")]),
        90.0
    );
    assert_eq!(scene.sum("http_requests_in_flight", &[]), 0.0);
}

/// An exchange without room among the routes is counted out where it was counted in.
#[tokio::test]
async fn the_gauge_stays_exact_where_routes_overflow() {
    let scene = Scene::new();
    let layer = MetricsLayer::server()
        .route(|request| Some(request.target().path.to_owned().into()))
        .series_limit(2);
    for path in ["/a", "/b"] {
        run(layer.clone(), get(path)).await;
    }
    let mut service = layer.layer(service_fn(hello as fn(_) -> _));
    let beyond = service.call(get("/c"));
    let gauge = || scene.sum("http_requests_in_flight", &[("method", "GET")]);
    assert_eq!(gauge(), 1.0);
    drop(beyond);
    assert_eq!(gauge(), 0.0);
    assert_eq!(
        scene.sum("http_requests_total", &[("path", "overflow")]),
        1.0
    );
}

#[tokio::test]
async fn a_duration_may_end_with_the_head_and_the_rest_does_not() {
    let scene = Scene::new();
    let service = MetricsLayer::server()
        .duration_to_head()
        .layer(service_fn(|_: Request<()>| {
            let body = Script::of([Step::Data("a"), Step::Error]);
            ready(Ok::<_, BoxError>(Response::new(body)))
        }));
    let response = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(scene.sum("http_requests_in_flight", &[]), 1.0);
    assert_eq!(scene.sum("http_requests_total", &[]), 0.0);
    let head = std::time::Instant::now();
    while head.elapsed() < std::time::Duration::from_millis(20) {}
    let _ = response.into_body().collect().await;
    assert_eq!(scene.sum("http_requests_in_flight", &[]), 0.0);
    assert_eq!(scene.sum("http_requests_total", &[]), 1.0);
    assert_eq!(scene.sum("http_responses_aborted_total", &[]), 1.0);
    assert_eq!(scene.sum("http_request_duration_seconds_count", &[]), 1.0);
    let lasted = scene.sum("http_request_duration_seconds_sum", &[]);
    assert!(lasted < 0.02, "{lasted} s");
}
