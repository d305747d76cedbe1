//! Clients and servers of gRPC with middleware.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use http::Response;
use suite_tests::{
    backend::Backend,
    grpc_calls::{listen, path, unary},
    grpc_service::CartService,
    net::BoxError,
    telemetry::with_timeout,
};
use tokio::{
    task::{JoinSet, LocalSet},
    time::timeout,
};
use tonic::client::Grpc;
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::stack::{ALL, BoxedBody, Observed, Stack, WAIT, boxed};

#[tokio::test]
async fn grpc_clients_with_middleware_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for backend in Backend::ALL {
                let (to, incoming) = listen().await;
                let server =
                    tonic::transport::Server::builder().add_service(CartService::default());
                tokio::spawn(server.serve_with_incoming(incoming));
                let uri = format!("http://{to}");
                for middleware in ALL {
                    for is_inside in [false, true] {
                        let observed = Observed::new(backend);
                        let channel = tonic::transport::Endpoint::new(uri.clone()).unwrap();
                        let channel: Stack<tonic::body::Body> = boxed(channel.connect_lazy());
                        let client = if is_inside {
                            observed.client(middleware.around(channel))
                        } else {
                            middleware.around(observed.client(channel))
                        };
                        let mut callers = JoinSet::new();
                        for message in ["ok", "stall", "ok", "stall", "ok"] {
                            let service = client.clone().boxed();
                            let origin = uri.parse().unwrap();
                            callers.spawn_local(async move {
                                let service =
                                    service.map_response(|response: Response<BoxedBody>| {
                                        response.map(tonic::body::Body::new)
                                    });
                                let mut client = Grpc::with_origin(service.boxed(), origin);
                                let call = unary(&mut client, path("Unary"), message);
                                if message == "stall" {
                                    let _ = timeout(WAIT, call).await;
                                } else {
                                    let _ = with_timeout(message, call).await;
                                }
                            });
                        }
                        callers.join_all().await;
                        let case = format!("{middleware:?} inside {is_inside} {backend:?}");
                        observed.assert_each_ended_once("http_client_", &case).await;
                    }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn grpc_servers_with_limits_of_tonic() {
    LocalSet::new()
        .run_until(async {
            for backend in Backend::ALL {
                let observed = Observed::new(backend);
                let (to, incoming) = listen().await;
                let calls = Arc::clone(&observed.calls);
                let layers = ServiceBuilder::new()
                    .map_request(move |request| {
                        calls.fetch_add(1, Relaxed);
                        request
                    })
                    .layer(backend.layer(observed.telemetry.source(), TraceLayer::server().grpc()))
                    .layer(MetricsLayer::server());
                let server = tonic::transport::Server::builder()
                    .timeout(WAIT / 2)
                    .concurrency_limit_per_connection(2)
                    .load_shed(true)
                    .layer(layers.into_inner())
                    .add_service(CartService::default());
                tokio::spawn(server.serve_with_incoming(incoming));
                let uri = format!("http://{to}");
                let channel = tonic::transport::Endpoint::new(uri.clone())
                    .unwrap()
                    .connect_lazy();
                let mut callers = JoinSet::new();
                for message in ["ok", "stall", "ok", "stall", "ok", "panic"] {
                    let mut client = Grpc::with_origin(
                        channel.clone().map_err(BoxError::from).boxed(),
                        uri.parse().unwrap(),
                    );
                    callers.spawn_local(async move {
                        let call = unary(&mut client, path("Unary"), message);
                        let _ = with_timeout(message, call).await;
                    });
                }
                callers.join_all().await;
                let case = format!("{backend:?}");
                observed.assert_each_ended_once("http_", &case).await;
            }
        })
        .await;
}
