//! Status codes and errors.

use std::sync::Arc;

use axum::{Router, response::Response, routing::any};
use http::StatusCode;
use http_body_util::{Empty, Full};
use opentelemetry::trace::{SpanKind, Status};
use suite_tests::{
    backend::Backend,
    net::{ClientConnection, Http, ScriptedBody, Step},
    server::Server,
    table::{Absent, Int, Str, assert_span_attributes},
    telemetry::{TestTelemetry, with_timeout},
};
use tokio::sync::Notify;
use tower_otel_trace::TraceLayer;

use crate::table;

#[tokio::test]
async fn http_response_status_code_is_that_of_the_response_and_error_type_that_of_a_server_error() {
    table(
        TraceLayer::server,
        "
        GET /users/7    => http.response.status_code=200 | error.type=-
        GET /moved      => http.response.status_code=303 | error.type=-
        GET /nowhere    => http.response.status_code=404 | error.type=-
        GET /status/500 => http.response.status_code=500 | error.type=500
        GET /status/503 => http.response.status_code=503 | error.type=503
        ",
    )
    .await;
}

#[tokio::test]
async fn the_span_status_is_error_from_500_up_and_never_ok_or_described() {
    for backend in Backend::ALL {
        let server = Server::start(backend, TraceLayer::server()).await;
        for (code, status) in [
            (200, Status::Unset),
            (204, Status::Unset),
            (302, Status::Unset),
            (400, Status::Unset),
            (404, Status::Unset),
            (499, Status::Unset),
            (500, Status::error("")),
            (503, Status::error("")),
            (599, Status::error("")),
            (600, Status::error("")),
            (999, Status::error("")),
        ] {
            let span = server
                .span_of(&format!("GET /status/{code} HTTP/1.1"))
                .await;
            assert_eq!(span.status, status, "{code}");
            let code = i64::from(code);
            assert_span_attributes(&span, &[("http.response.status_code", Int(code))]);
        }
    }
}

#[tokio::test]
async fn a_body_that_fails_is_an_error_with_any_status_code() {
    for backend in Backend::ALL {
        let body = || async {
            Response::new(axum::body::Body::new(ScriptedBody::new([
                Step::Data("a"),
                Step::Error,
            ])))
        };
        let router = Router::new().route("/", any(body));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Int(200)),
                ("error.type", Str("timeout")),
            ],
        );
    }
}

#[tokio::test]
async fn a_disconnect_before_the_response_is_an_error_without_a_status_code() {
    for backend in Backend::ALL {
        let started = Arc::new(Notify::new());
        let handler_started = Arc::clone(&started);
        let handler = move || {
            handler_started.notify_one();
            std::future::pending::<StatusCode>()
        };
        let router = Router::new().route("/stall", any(handler));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        let mut connection = ClientConnection::connect(Http::One, server.address).await;
        let request = http::Request::get("/stall").body(Empty::new()).unwrap();
        tokio::select! {
            _ = connection.send(request) => panic!("unexpected response"),
            () = with_timeout("the handler runs", started.notified()) => {}
        }
        connection.close();
        let span = server.next_span().await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("cancelled")),
            ],
        );
    }
}

#[tokio::test]
async fn a_service_error_is_recorded_by_class_without_its_message() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let service = tower::service_fn(|_: http::Request<hyper::body::Incoming>| async {
            let error = std::io::Error::other("user 42 has the password s3cr3t");
            Err::<http::Response<Full<bytes::Bytes>>, _>(error)
        });
        let address = backend
            .serve(&telemetry, TraceLayer::server(), service)
            .await;
        let server = Server::running_at(backend, telemetry, address);
        let span = server.span_of("GET / HTTP/1.1").await;
        assert_eq!(span.status, Status::error(""));
        assert_span_attributes(
            &span,
            &[
                ("http.response.status_code", Absent),
                ("error.type", Str("_OTHER")),
            ],
        );
    }
}

#[tokio::test]
async fn spans_opened_by_a_handler_are_children() {
    async fn handler() {
        tracing::info_span!("the handler's own").in_scope(|| ());
    }
    for backend in Backend::ALL {
        let router = Router::new().route("/", any(handler));
        let server =
            Server::with_router(backend, TestTelemetry::new(), TraceLayer::server(), router).await;
        server.send("GET / HTTP/1.1").await;
        server
            .telemetry
            .wait_until("both spans end", |telemetry| telemetry.spans().len() == 2)
            .await;
        let spans = server.telemetry.spans();
        assert_eq!(spans[0].name, "the handler's own");
        assert_eq!(spans[0].parent_span_id, spans[1].span_context.span_id());
        assert_eq!(spans[1].span_kind, SpanKind::Server);
    }
}
