//! A server counts a method by its name once a handler has answered.

use std::{
    collections::BTreeSet,
    task::{Context, Poll},
};

use http_body_util::BodyExt;
use suite_tests::{grpc_service::CartService, telemetry::TestTelemetry};
use tonic::{
    Status,
    server::NamedService,
    service::{Routes, interceptor::InterceptedService},
};
use tower::{Layer, Service, service_fn};
use tower_otel_metrics::{MetricsLayer, Names};

use crate::calls::{call, counted, grpc_request, respond};

#[test]
fn calls_of_methods_that_never_answer_are_counted_as_other() {
    let telemetry = TestTelemetry::new();
    for names in [Names::Short, Names::Conventions] {
        let layer = MetricsLayer::server().grpc().names(names);
        let mut service = layer.layer(service_fn(respond));
        // Responses that servers and middleware send for any path, and calls that their client cancels.
        for answer in "status-1 status-4 status-7 status-8 status-12 status-14 status-16 http-200 \
            http-401 http-404 http-405 http-500 refused-404 refused-500 json-0 json-5 \
            late-12 late-16 cancelled"
            .split(' ')
        {
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
    for answer in "status-0 status-2 status-3 status-5 status-6 status-9 status-10 status-11 \
        status-13 status-15 late-0 late-5 stream"
        .split(' ')
    {
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
