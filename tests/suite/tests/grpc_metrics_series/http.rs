//! Requests that are no calls are counted as HTTP.

use std::net::SocketAddr;

use axum::routing::get;
use http::{Method, Request, Version, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Empty};
use suite_tests::{
    grpc_calls::{listen, path},
    grpc_service::CartService,
    net::{ClientConnection, Http},
    telemetry::TestTelemetry,
};
use tonic::{client::Grpc, service::Routes, transport::Endpoint};
use tower::{Layer, service_fn};
use tower_otel_metrics::MetricsLayer;

use crate::calls::{counted, grpc_request, respond, send};

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
