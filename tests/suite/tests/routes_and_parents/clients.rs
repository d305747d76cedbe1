//! Requests that a handler sends.

use axum::Router;
use http::Request;
use http_body_util::Empty;
use opentelemetry_sdk::trace::SpanData;
use suite_tests::{
    backend::Backend,
    net::Http,
    server::{Server, send_raw},
    table::{Absent, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tower::{Layer, ServiceExt, util::MapRequestLayer};
use tower_otel_core::Route;
use tower_otel_trace::TraceLayer;

#[tokio::test]
async fn the_route_of_a_server_is_not_the_template_of_a_request_that_it_forwards() {
    use suite_tests::client::hyper_client_to;

    for backend in Backend::ALL {
        for own in [None, Some("/own/{id}")] {
            let telemetry = TestTelemetry::new();
            let remote = suite_tests::net::serve(suite_tests::server::app()).await;
            let layer = backend.layer(telemetry.source(), TraceLayer::client());
            // A proxy that also forwards the extensions of the received request.
            let forward = move |received: axum::extract::Request| {
                let layer = layer.clone();
                async move {
                    let (mut parts, _) = received.into_parts();
                    parts.uri = "http://api.example/users/7".parse().unwrap();
                    if let Some(own) = own {
                        parts.extensions.insert(Route::from(own));
                    }
                    let outgoing = Request::from_parts(parts, Empty::new());
                    let client = layer.layer(hyper_client_to(Http::One, remote));
                    client.oneshot(outgoing).await.unwrap().status()
                }
            };
            let router = Router::new()
                .fallback(forward)
                .layer(backend.layer(telemetry.source(), TraceLayer::server()))
                .layer(MapRequestLayer::new(
                    |mut request: axum::extract::Request| {
                        request
                            .extensions_mut()
                            .insert(Route::from("/received/{id}"));
                        request
                    },
                ));
            let server = Server::serve_router(backend, telemetry, router).await;
            let (_, _open) = send_raw(server.address, "GET /x HTTP/1.1\nHost: front.example").await;
            let [client, front] = &two_spans(&server).await;
            assert_span_attributes(front, &[("http.route", Str("/received/{id}"))]);
            assert_span_attributes(client, &[("url.template", own.map_or(Absent, Str))]);
        }
    }
}

#[tokio::test]
async fn a_client_span_in_a_handler_is_a_child_of_the_server_span() {
    use suite_tests::{
        client::{hyper_client_to, request},
        server::app,
    };

    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let remote = suite_tests::net::serve(app()).await;
        let layer = backend.layer(telemetry.source(), TraceLayer::client());
        let router = Router::new().fallback(move || {
            let layer = layer.clone();
            async move {
                let connection = hyper_client_to(Http::One, remote);
                let outgoing = request("GET http://api.example/users/7");
                let client = layer.layer(connection);
                client.oneshot(outgoing).await.unwrap().status()
            }
        });
        let server = Server::with_router(backend, telemetry, TraceLayer::server(), router).await;
        let (_, _open) = send_raw(server.address, "GET / HTTP/1.1\nHost: front.example").await;
        let [client, front] = &two_spans(&server).await;
        assert_eq!(client.parent_span_id, front.span_context.span_id());
        assert_eq!(
            client.span_context.trace_id(),
            front.span_context.trace_id()
        );
        // Client and server have different server addresses.
        assert_span_attributes(client, &[("server.address", Str("api.example"))]);
        assert_span_attributes(front, &[("server.address", Str("front.example"))]);
    }
}

/// Waits until two spans have ended and returns them.
async fn two_spans(server: &Server) -> [SpanData; 2] {
    server
        .telemetry
        .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
        .await;
    server.telemetry.spans().try_into().unwrap()
}
