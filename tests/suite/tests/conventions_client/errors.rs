//! Status codes and errors.

use std::time::Duration;

use opentelemetry::trace::Status;
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request, reqwest_client_to},
    net::Http,
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::TestTelemetry,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_otel_trace::TraceLayer;

use crate::{ALL, Client, HttpClient, refusing_server};

#[tokio::test]
async fn the_span_status_is_error_from_400_up_and_never_ok_or_described() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for (code, error) in [
            (200, None),
            (204, None),
            (304, None),
            (400, Some("400")),
            (404, Some("404")),
            (499, Some("499")),
            (500, Some("500")),
            (599, Some("599")),
            (600, Some("600")),
        ] {
            for http_client in ALL {
                let line = format!("GET http://api.example/status/{code}");
                let span = client.span_of(http_client, &line).await;
                let status = error.map_or(Status::Unset, |_| Status::error(""));
                assert_eq!(span.status, status, "{http_client:?} {code}");
                assert_span_attributes(
                    &span,
                    &[
                        ("http.response.status_code", Int(code)),
                        ("error.type", error.map_or(Absent, Str)),
                    ],
                );
            }
        }
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error_without_a_status_code() {
    for backend in Backend::ALL {
        let (_socket, server) = refusing_server();
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in ALL {
            let span = client
                .span_of(http_client, "GET http://api.example/users/7")
                .await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Str("connection_refused")),
                    ("http.response.status_code", Absent),
                    ("server.address", Str("api.example")),
                    ("server.port", Int(80)),
                    ("url.full", Str("http://api.example/users/7")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_reqwest_timeout_has_error_type_timeout() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let url = "http://api.example/stall".parse().unwrap();
        let mut request = reqwest::Request::new(http::Method::GET, url);
        *request.timeout_mut() = Some(Duration::from_millis(20));
        client
            .send_reqwest_with(reqwest_client_to(Http::One, client.server), request)
            .await;
        assert_timeout(&client).await;
    }
}

#[tokio::test]
async fn a_tower_timeout_inside_the_layer_has_error_type_timeout() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let with_timeout_layer = ServiceBuilder::new()
            .timeout(Duration::from_millis(20))
            .service(hyper_client_to(Http::One, client.server));
        client
            .send_with(with_timeout_layer, request("GET http://api.example/stall"))
            .await;
        assert_timeout(&client).await;
    }
}

#[tokio::test]
async fn a_failed_connection_has_error_type_connect() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        // Neither client is built with TLS.
        let url = "https://api.example/users/7";
        let reqwest_request = reqwest::Request::new(http::Method::GET, url.parse().unwrap());
        client
            .send_reqwest_with(reqwest_client_to(Http::One, client.server), reqwest_request)
            .await;
        let expected = [
            ("error.type", Str("connect")),
            ("http.response.status_code", Absent),
            ("server.port", Int(443)),
        ];
        assert_span_attributes(&client.next_span().await, &expected);
        let hyper_request = request(&format!("GET {url}"));
        client
            .send_with(suite_tests::net::pooled_client(Http::One), hyper_request)
            .await;
        assert_span_attributes(&client.next_span().await, &expected);
    }
}

#[tokio::test]
async fn a_redirect_loop_has_error_type_redirect() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in [
            HttpClient::Reqwest(Http::One),
            HttpClient::Reqwest(Http::Two),
        ] {
            let span = client
                .span_of(http_client, "GET http://api.example/round")
                .await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Str("redirect")),
                    ("url.full", Str("http://api.example/round")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_response_has_error_type_connection_closed() {
    for backend in Backend::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 1024];
                // All received bytes are read, so that the connection is closed and not reset.
                tokio::io::AsyncReadExt::read(&mut stream, &mut head)
                    .await
                    .unwrap();
            }
        });
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in [HttpClient::Hyper(Http::One), HttpClient::Reqwest(Http::One)] {
            let span = client.span_of(http_client, "GET http://api.example/").await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("http.response.status_code", Absent),
                    ("error.type", Str("connection_closed")),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_request_that_its_caller_drops_is_not_an_error() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        for http_client in ALL {
            tokio::select! {
                biased;
                _ = client.send(http_client, "GET http://api.example/stall") => panic!("unexpected response"),
                () = tokio::task::yield_now() => {}
            }
            let span = client.next_span().await;
            assert_eq!(span.status, Status::Unset);
            assert_span_attributes(
                &span,
                &[
                    ("error.type", Absent),
                    ("http.response.status_code", Absent),
                ],
            );
        }
    }
}

#[tokio::test]
async fn a_truncated_response_has_an_error_type_and_a_status_code() {
    for backend in Backend::ALL {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut byte = [0; 4];
                while !byte.ends_with(b"\r\n\r\n") {
                    byte.rotate_left(1);
                    byte[3] = stream.read_u8().await.unwrap();
                }
                let part = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart";
                stream.write_all(part).await.unwrap();
            }
        });
        let client =
            Client::for_server(backend, TraceLayer::client(), TestTelemetry::new(), server);
        for http_client in [HttpClient::Hyper(Http::One), HttpClient::Reqwest(Http::One)] {
            let span = client.span_of(http_client, "GET http://api.example/").await;
            assert_eq!(span.status, Status::error(""));
            assert_span_attributes(
                &span,
                &[
                    ("http.response.status_code", Int(200)),
                    ("error.type", Str("connection_closed")),
                ],
            );
        }
    }
}

async fn assert_timeout(client: &Client) {
    let span = client.next_span().await;
    assert_eq!(span.status, Status::error(""));
    assert_span_attributes(
        &span,
        &[
            ("error.type", Str("timeout")),
            ("http.response.status_code", Absent),
        ],
    );
}
