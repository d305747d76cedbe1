//! Which series gRPC calls create: known methods only on a server, at most the limit, equal for both
//! backends, and separate from the series of HTTP requests on the same port.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, SdkMeterProvider,
    data::{AggregatedMetrics, MetricData},
};
use suite_tests::{
    grpc_calls::{listen, path},
    grpc_service::CartService,
    net::{ClientConnection, Http, ScriptedBody, Step},
    telemetry::TestTelemetry,
};
use tonic::{
    Code, Status,
    body::Body,
    client::Grpc,
    server::NamedService,
    service::{Routes, interceptor::InterceptedService},
    transport::Endpoint,
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::observe;
use tower_otel_metrics::{MetricsLayer, Names};

const GRPC: &str = "application/grpc";

fn grpc_request(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::post(format!("http://shop.internal:50051{path}"));
    let request = request
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc");
    request.body(Empty::new()).unwrap()
}

type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

/// Responds to a call by the name of its method:
///
/// | method | response |
/// |---|---|
/// | `status-N` | this status in the head |
/// | `late-N` | this status in the trailers |
/// | `http-N` | this HTTP status with a text |
/// | `refused-N` | this HTTP status with the content type of gRPC, a text and the status `OK` in the trailers |
/// | `json-N` | JSON with this status in the trailers |
/// | `stream` | a stream that does not end |
/// | others | none |
fn respond(request: Request<Empty<Bytes>>) -> HandlerFuture {
    let path = request.uri().path().to_owned();
    let (_, method) = path.rsplit_once('/').unwrap();
    let (kind, number) = method.split_once('-').unwrap_or((method, ""));
    let number = number.split('/').next().and_then(|text| text.parse().ok());
    let response = match (kind, number) {
        ("status", Some(code)) => Status::new(Code::from_i32(code), "").into_http(),
        ("http", Some(status)) => Response::builder()
            .status(status as u16)
            .body(Body::new(Full::from("no")))
            .unwrap(),
        ("refused", Some(status)) => {
            let mut response = late(GRPC, "no", 0);
            *response.status_mut() = http::StatusCode::from_u16(status as u16).unwrap();
            response
        }
        ("json", Some(code)) => late("application/json", "{}", code),
        ("late", Some(code)) => late(GRPC, "", code),
        ("stream", _) => Response::builder()
            .header(CONTENT_TYPE, "application/grpc")
            .body(Body::new(ScriptedBody::new([
                Step::Data("a"),
                Step::Pending,
            ])))
            .unwrap(),
        _ => return Box::pin(pending()),
    };
    Box::pin(async { Ok(response) })
}

/// Returns a response whose status of gRPC is in its trailers.
fn late(content_type: &str, data: &'static str, code: i32) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    let data = (!data.is_empty()).then(|| Frame::data(Bytes::from(data)));
    let frames = data.into_iter().chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Status>)));
    let response = Response::builder().header(CONTENT_TYPE, content_type);
    response.body(Body::new(body)).unwrap()
}

/// Makes a call, and drops it when it is pending.
fn call<S, B>(service: &mut S, path: &str)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    send(service, grpc_request(path));
}

fn send<S, B>(service: &mut S, request: Request<Empty<Bytes>>)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
    }
}

/// Returns the value of each series. Histograms are represented by their count.
fn counted(telemetry: &TestTelemetry) -> BTreeMap<String, f64> {
    let series = telemetry.series();
    let series = series.iter().map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    series.collect()
}

#[test]
fn calls_of_methods_that_never_answer_are_counted_as_other() {
    let telemetry = TestTelemetry::new();
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().grpc().names(names);
        let mut service = layer.layer(service_fn(respond));
        // Responses that servers and middleware send for any path, and calls that their client cancels.
        for answer in [
            "status-1",
            "status-4",
            "status-7",
            "status-8",
            "status-12",
            "status-14",
            "status-16",
            "http-200",
            "http-401",
            "http-404",
            "http-405",
            "http-500",
            "refused-404",
            "refused-500",
            "json-0",
            "json-5",
            "late-12",
            "late-16",
            "cancelled",
        ] {
            for stranger in 0..20 {
                call(&mut service, &format!("/{stranger}.Service/{answer}"));
            }
        }
        for path in ["/", "/a", "/a/b/c", "/a//", "//"] {
            call(&mut service, path);
        }
        let long = "m".repeat(300);
        call(&mut service, &format!("/{long}.Service/status-0"));
        let server = "rpc_server_call_duration_seconds_count";
        let name = match names {
            Names::Short => "grpc_requests_total",
            _ => server,
        };
        assert_eq!(telemetry.sum(name, &[]), 386.0);
    }
    for (series, value) in counted(&telemetry) {
        assert!(series.contains(r#"method="_OTHER""#), "{series}");
        assert!(!series.contains("in_flight") || value == 0.0, "{series}");
    }
}

#[test]
fn a_method_is_known_once_a_handler_has_answered() {
    for answer in [
        "status-0",
        "status-2",
        "status-3",
        "status-5",
        "status-6",
        "status-9",
        "status-10",
        "status-11",
        "status-13",
        "status-15",
        "late-0",
        "late-5",
        "stream",
    ] {
        let telemetry = TestTelemetry::new();
        let mut service = MetricsLayer::server().grpc().layer(service_fn(respond));
        call(&mut service, &format!("/a.Service/{answer}"));
        let method = format!("a.Service/{answer}");
        let labels = [("method", &*method)];
        assert_eq!(
            telemetry.sum("grpc_requests_total", &labels),
            1.0,
            "{answer}"
        );
        assert_eq!(telemetry.sum("grpc_requests_total", &[]), 1.0, "{answer}");
    }
}

/// Returns the number of methods with a series.
fn methods(telemetry: &TestTelemetry) -> usize {
    let series = counted(telemetry).into_keys();
    let total = series.filter(|series| series.starts_with("grpc_requests_total"));
    let methods = total.filter_map(|series| Some(series.split('"').nth(1)?.to_owned()));
    methods.collect::<BTreeSet<_>>().len()
}

#[test]
fn failures_of_any_path_make_few_methods_known_and_leave_room_for_those_that_succeed() {
    for refusal in ["status-3", "status-13", "late-5"] {
        let telemetry = TestTelemetry::new();
        let layer = MetricsLayer::server().grpc().series_limit(160);
        let mut service = layer.layer(service_fn(respond));
        for stranger in 0..1_000 {
            call(&mut service, &format!("/{stranger}.Service/{refusal}"));
        }
        assert_eq!(methods(&telemetry), 10 + 1, "{refusal}");
        for answer in ["status-0", "late-0", "stream"] {
            let method = format!("a.Service/{answer}");
            call(&mut service, &format!("/{method}"));
            let total = telemetry.sum("grpc_requests_total", &[("method", &method)]);
            assert_eq!(total, 1.0, "{answer} after {refusal}");
        }
        assert_eq!(telemetry.sum("grpc_requests_total", &[]), 1_003.0);
        assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
    }
}

#[tokio::test]
async fn an_interceptor_that_refuses_calls_of_any_method_does_not_fill_the_table() {
    let telemetry = TestTelemetry::new();
    let refuse = |_: tonic::Request<()>| Err(Status::invalid_argument("no tenant"));
    let refused = InterceptedService::new(CartService::default(), refuse);
    let server = Routes::new(CartService::default()).add_service(Renamed(refused));
    let layer = MetricsLayer::server().grpc().series_limit(160);
    let mut service = layer.layer(server.into_axum_router());
    let mut send = async |path: &str| {
        let request = grpc_request(path).map(axum::body::Body::new);
        let response = service.call(request).await.unwrap();
        response.into_body().collect().await.unwrap();
    };
    for stranger in 0..500 {
        send(&format!("/shop.Refused/method-{stranger}")).await;
    }
    assert_eq!(methods(&telemetry), 10 + 1);
    assert_eq!(telemetry.sum("grpc_requests_total", &[]), 500.0);
}

/// A service with another name.
#[derive(Clone)]
struct Renamed<S>(S);

impl<S> NamedService for Renamed<S> {
    const NAME: &'static str = "shop.Refused";
}

impl<S: Service<R>, R> Service<R> for Renamed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}

#[test]
fn a_request_that_is_no_call_is_counted_as_http_whatever_its_content_type_is() {
    for (method, version, is_call) in [
        ("POST", Version::HTTP_2, [true, true]),
        ("POST", Version::HTTP_3, [true, true]),
        // A client does not know the version before it is connected.
        ("POST", Version::HTTP_11, [false, true]),
        ("GET", Version::HTTP_2, [false, false]),
        ("PUT", Version::HTTP_2, [false, false]),
        ("OPTIONS", Version::HTTP_11, [false, false]),
    ] {
        let layers = [
            (MetricsLayer::server(), ""),
            (MetricsLayer::client(), "client_"),
        ];
        for ((layer, kind), is_call) in layers.into_iter().zip(is_call) {
            let telemetry = TestTelemetry::new();
            let mut service = layer.grpc().layer(service_fn(respond));
            let mut request = grpc_request("/a.Service/status-0");
            *request.method_mut() = method.parse().unwrap();
            *request.version_mut() = version;
            send(&mut service, request);
            let total = |protocol| telemetry.sum(&format!("{protocol}_{kind}requests_total"), &[]);
            let expected = if is_call { (1.0, 0.0) } else { (0.0, 1.0) };
            let totals = (total("grpc"), total("http"));
            assert_eq!(totals, expected, "{method} {version:?} {kind}");
        }
    }
}

#[tokio::test]
async fn a_method_is_known_from_the_end_of_its_first_call() {
    let telemetry = TestTelemetry::new();
    let mut service = MetricsLayer::server().grpc().layer(service_fn(respond));
    let gauge = "grpc_requests_in_flight";
    let (other, known) = ([("method", "_OTHER")], [("method", "a.Service/stream")]);
    let in_flight = || (telemetry.sum(gauge, &other), telemetry.sum(gauge, &known));
    let first = service.call(grpc_request("/a.Service/stream"));
    assert_eq!(in_flight(), (1.0, 0.0));
    let mut first = first.await.unwrap();
    first.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(in_flight(), (1.0, 0.0));
    drop(first);
    assert_eq!(in_flight(), (0.0, 0.0));
    let second = service.call(grpc_request("/a.Service/stream"));
    assert_eq!(in_flight(), (0.0, 1.0));
    drop(second);
    assert_eq!(in_flight(), (0.0, 0.0));
    let total = telemetry.sum("grpc_requests_total", &[("status", "CANCELLED")]);
    assert_eq!(total, 2.0);
    assert_eq!(telemetry.sum("grpc_requests_total", &known), 2.0);
}

#[tokio::test]
async fn failures_of_one_method_at_once_make_one_method_known() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server().grpc().series_limit(160);
    let mut service = layer.layer(service_fn(respond));
    let burst: Vec<_> = (0..10)
        .map(|_| service.call(grpc_request("/a.Service/status-5")))
        .collect();
    for call in burst {
        call.await.unwrap().into_body().collect().await.unwrap();
    }
    call(&mut service, "/b.Service/status-5");
    let total = |method| telemetry.sum("grpc_requests_total", &[("method", method)]);
    assert_eq!(total("a.Service/status-5"), 10.0);
    assert_eq!(total("b.Service/status-5"), 1.0);
}

#[test]
fn calls_beyond_the_limit_are_counted_in_the_overflow_series() {
    let telemetry = TestTelemetry::new();
    for layer in [MetricsLayer::server(), MetricsLayer::client()] {
        let layer = layer.grpc().series_limit(3);
        let mut service = layer.layer(service_fn(respond));
        for method in 0..10 {
            call(&mut service, &format!("/{method}.Service/status-0"));
        }
    }
    for (kind, series) in [("", 3), ("client_", 4)] {
        let total = format!("grpc_{kind}requests_total");
        let overflow = [("method", "overflow"), ("status", "overflow")];
        let counted = counted(&telemetry);
        let prefix = format!("{total}{{");
        let found = counted.keys().filter(|key| key.starts_with(&prefix));
        assert_eq!(found.count(), series, "{counted:#?}");
        assert_eq!(telemetry.sum(&total, &[]), 10.0);
        assert!(telemetry.sum(&total, &overflow) >= 7.0);
        assert_eq!(
            telemetry.sum(&format!("grpc_{kind}requests_in_flight"), &[]),
            0.0
        );
    }
}

#[test]
fn the_address_of_a_server_is_a_label_by_option() {
    let telemetry = TestTelemetry::new();
    let layer = MetricsLayer::server().grpc().server_address();
    call(&mut layer.layer(service_fn(respond)), "/a.Service/status-5");
    let labels = [("host", "shop.internal:50051"), ("status", "NOT_FOUND")];
    assert_eq!(telemetry.sum("grpc_requests_total", &labels), 1.0);
}

#[test]
fn calls_are_counted_from_the_installation_of_a_recorder_on() {
    let mut service = MetricsLayer::server().grpc().layer(service_fn(respond));
    call(&mut service, "/a.Service/status-0");
    let telemetry = TestTelemetry::new();
    call(&mut service, "/a.Service/status-0");
    call(&mut service, "/a.Service/status-0");
    let labels = [("method", "a.Service/status-0"), ("status", "OK")];
    assert_eq!(telemetry.sum("grpc_requests_total", &labels), 2.0);
    assert_eq!(telemetry.sum("grpc_requests_in_flight", &[]), 0.0);
}

#[test]
fn without_the_option_a_call_is_counted_as_http() {
    let telemetry = TestTelemetry::new();
    let mut service = MetricsLayer::server().layer(service_fn(respond));
    call(&mut service, "/a.Service/status-5");
    let labels = [("method", "POST"), ("status", "200")];
    assert_eq!(telemetry.sum("http_requests_total", &labels), 1.0);
    assert!(!telemetry.metrics().contains("grpc"));
}

/// Serves a gRPC service and a route of HTTP behind one layer.
async fn mixed_server(layer: MetricsLayer) -> SocketAddr {
    let (address, incoming) = listen().await;
    let listener = incoming.into_inner();
    let router = Routes::new(CartService::default()).into_axum_router();
    let router = router.route("/health", get(|| async { "ok" })).layer(layer);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn on_one_port_each_request_is_counted_as_what_it_is() {
    let telemetry = TestTelemetry::new();
    let address = mixed_server(MetricsLayer::server().grpc()).await;
    let uri = format!("http://{address}");
    let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
    let mut client = Grpc::with_origin(channel, uri.parse().unwrap());
    for message in ["ok", "13"] {
        client.ready().await.unwrap();
        let request = tonic::Request::new(message.to_owned());
        let codec = suite_tests::grpc_service::StringCodec;
        let _ = client.unary(request, path("Unary"), codec).await;
    }
    let mut connection = ClientConnection::connect(Http::Two, address).await;
    for (method, path) in [(Method::GET, "/health"), (Method::POST, "/shop.Cart/Unary")] {
        let request = Request::builder()
            .method(method)
            .uri(format!("{uri}{path}"))
            .header(CONTENT_TYPE, "application/json");
        let response = connection.send(request.body(Empty::new()).unwrap()).await;
        response.unwrap().into_body().collect().await.unwrap();
    }
    telemetry
        .wait_until("four requests have ended", |telemetry| {
            let total = |name| telemetry.sum(name, &[]);
            total("grpc_requests_total") + total("http_requests_total") >= 4.0
        })
        .await;
    let counted = counted(&telemetry);
    let totals: Vec<_> = counted
        .iter()
        .filter(|(series, _)| series.contains("requests_total"))
        .map(|(series, value)| (&**series, *value))
        .collect();
    assert_eq!(
        totals,
        [
            (
                r#"grpc_requests_total{method="shop.Cart/Unary",status="INTERNAL"}"#,
                1.0
            ),
            (
                r#"grpc_requests_total{method="shop.Cart/Unary",status="OK"}"#,
                1.0
            ),
            (
                r#"http_requests_total{method="GET",path="/health",status="200"}"#,
                1.0
            ),
            (
                r#"http_requests_total{method="POST",path="/shop.Cart/{*rest}",status="200"}"#,
                1.0
            ),
        ]
    );
}

/// Returns the value of each series of a meter, in the notation of Prometheus.
fn exported(exporter: &InMemoryMetricExporter) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let finished = exporter.get_finished_metrics().unwrap();
    let scopes = finished.last().unwrap().scope_metrics();
    for metric in scopes.flat_map(|scope| scope.metrics()) {
        let name = metric.name().replace('.', "_");
        let mut add = |suffix: &str, attributes: Vec<String>, value: f64| {
            let mut attributes = attributes;
            attributes.sort();
            let labels = attributes.join(",");
            series.insert(format!("{name}{suffix}{{{labels}}}"), value);
        };
        let labels = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>| {
            attributes
                .map(|label| {
                    let key = label.key.as_str().replace('.', "_");
                    format!(r#"{key}="{}""#, label.value)
                })
                .collect::<Vec<_>>()
        };
        match metric.data() {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                for point in sum.data_points() {
                    add("", labels(&mut point.attributes()), point.value() as f64);
                }
            }
            AggregatedMetrics::I64(MetricData::Sum(sum)) => {
                for point in sum.data_points() {
                    add("", labels(&mut point.attributes()), point.value() as f64);
                }
            }
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                assert_eq!(metric.unit(), "s");
                let suffix = if name.ends_with("_seconds") {
                    "_count"
                } else {
                    "_seconds_count"
                };
                for point in histogram.data_points() {
                    let count = point.count() as f64;
                    add(suffix, labels(&mut point.attributes()), count);
                }
            }
            other => panic!("unexpected {other:?}"),
        }
    }
    series
}

#[tokio::test]
async fn a_meter_and_the_facade_record_the_same() {
    for names in [Names::Short, Names::Conventions] {
        let telemetry = TestTelemetry::new();
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(exporter.clone())
            .build();
        let both = |layer: MetricsLayer| {
            let layer = layer
                .grpc()
                .names(names)
                .label("tenant", |_| Some("acme".into()));
            observe((layer.clone(), layer.meter_provider(&provider)))
        };
        let service = both(MetricsLayer::client()).layer(service_fn(respond));
        let mut service = both(MetricsLayer::server()).layer(service);
        for answer in [
            "status-0",
            "status-13",
            "status-12",
            "status-16",
            "http-503",
            "stream",
            "x",
        ] {
            call(&mut service, &format!("/a.Service/{answer}"));
            call(&mut service, &format!("/a.Service/{answer}"));
        }
        provider.force_flush().unwrap();
        let exported = exported(&exporter);
        assert!(exported.len() > 20, "{exported:#?}");
        assert_eq!(exported, counted(&telemetry));
    }
}
