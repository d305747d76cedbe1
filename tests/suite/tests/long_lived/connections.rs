//! The ends of upgraded connections.

use std::sync::{Arc, Mutex};

use axum::{
    Extension, Router,
    extract::{Path, Request, State},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status, TraceContextExt},
};
use suite_tests::{
    backend::Backend,
    server::send_raw,
    telemetry::{TestTelemetry, text, with_timeout},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinHandle,
};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::LongLived;
use tower_otel_trace::TraceLayer;

use crate::server::{layered, named, serve};

/// How an upgraded connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionEnd {
    ClientLeaves,
    ServerEnds,
    HandlerPanics,
    ServerStops,
    /// The connection is never passed to `LongLived::run`.
    NotRun,
}

const CONNECTION_ENDS: [ConnectionEnd; 5] = [
    ConnectionEnd::ClientLeaves,
    ConnectionEnd::ServerEnds,
    ConnectionEnd::HandlerPanics,
    ConnectionEnd::ServerStops,
    ConnectionEnd::NotRun,
];

type Tasks = Arc<Mutex<Vec<JoinHandle<()>>>>;

/// Upgrades the connection and echoes what it receives, in a task.
async fn upgrade(
    State(tasks): State<Tasks>,
    Path(observed): Path<bool>,
    mut request: Request,
) -> impl IntoResponse {
    let connection = LongLived::default();
    let extension = connection.clone();
    let upgraded = hyper::upgrade::on(&mut request);
    let runs = !request.headers().contains_key("x-not-run");
    let task = tokio::spawn(async move {
        match (upgraded.await, runs) {
            (Ok(upgraded), true) if observed => connection.run(echo(upgraded)).await,
            (Ok(upgraded), true) => echo(upgraded).await,
            _ => {}
        }
    });
    tasks.lock().unwrap().push(task);
    let head = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    let response = (StatusCode::SWITCHING_PROTOCOLS, head);
    match observed {
        true => (Extension(extension), response).into_response(),
        false => response.into_response(),
    }
}

/// Echoes bytes until one is `p`, which causes a panic, or `e`, which ends the connection.
async fn echo(upgraded: Upgraded) {
    let mut io = TokioIo::new(upgraded);
    while let Ok(byte) = io.read_u8().await {
        assert!(byte != b'p', "the connection");
        tracing::info_span!("message").in_scope(|| {});
        if byte == b'e' || io.write_u8(byte).await.is_err() {
            return;
        }
    }
}

async fn assert_connection_end(backend: Backend, observed: bool, end: ConnectionEnd) {
    let case = format!("{backend:?} {observed} {end:?}");
    let telemetry = TestTelemetry::new();
    let tasks = Tasks::default();
    let router = Router::new()
        .route("/{observed}", get(upgrade))
        .with_state(Arc::clone(&tasks));
    let server = serve(layered(router, &telemetry, backend)).await;
    let not_run = match end {
        ConnectionEnd::NotRun => "\nx-not-run: 1",
        _ => "",
    };
    let request = format!("GET /{observed} HTTP/1.1\nhost: a\nconnection: upgrade\nupgrade: echo");
    let (head, mut stream) = send_raw(server.address, &format!("{request}{not_run}")).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{case}: {head}");
    let open = |telemetry: &TestTelemetry| {
        let conventions = telemetry.sum("conventions_http_server_open_streams", &[]);
        let short = telemetry.sum("http_streams_open", &[("method", "GET")]);
        assert_eq!(short, conventions, "{case}");
        short
    };
    if end != ConnectionEnd::NotRun {
        stream.write_all(b"a").await.unwrap();
        let echoed = with_timeout("the echo", stream.read_u8()).await;
        assert_eq!(echoed.unwrap(), b'a');
        assert_eq!(open(&telemetry), f64::from(u8::from(observed)), "{case}");
    }
    // The exchange ended at its response head.
    assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 0.0, "{case}");
    let total = telemetry.sum("http_requests_total", &[("status", "101")]);
    assert_eq!(total, 1.0, "{case}");
    match end {
        ConnectionEnd::ClientLeaves => drop(stream),
        ConnectionEnd::ServerEnds => stream.write_all(b"e").await.unwrap(),
        ConnectionEnd::HandlerPanics => stream.write_all(b"p").await.unwrap(),
        ConnectionEnd::ServerStops => tasks.lock().unwrap().iter().for_each(JoinHandle::abort),
        ConnectionEnd::NotRun => {}
    }
    let task = tasks.lock().unwrap().pop().unwrap();
    let _ = with_timeout("the connection", task).await;
    telemetry
        .wait_until("the connection ends", |telemetry| {
            open(telemetry) == 0.0
                && named(&telemetry.spans(), "upgraded connection").is_some() == observed
        })
        .await;
    let spans = telemetry.spans();
    let request = named(&spans, "GET /{observed}").unwrap();
    assert_eq!(request.status, Status::Unset, "{case}");
    let message = named(&spans, "message");
    assert_eq!(message.is_some(), end != ConnectionEnd::NotRun, "{case}");
    let Some(connection) = named(&spans, "upgraded connection") else {
        return;
    };
    assert_eq!(connection.span_kind, SpanKind::Internal, "{case}");
    let links: Vec<_> = connection
        .links
        .iter()
        .map(|link| &link.span_context)
        .collect();
    assert_eq!(links.len(), 1, "{case}");
    assert_eq!(links[0].span_id(), request.span_context.span_id(), "{case}");
    let trace = connection.span_context.trace_id();
    assert_ne!(trace, request.span_context.trace_id(), "{case}");
    let panics = end == ConnectionEnd::HandlerPanics;
    let error = text(connection, "error.type");
    assert_eq!(error.as_deref(), panics.then_some("panic"), "{case}");
    assert_eq!(connection.status != Status::Unset, panics, "{case}");
    if end != ConnectionEnd::NotRun {
        assert!(connection.end_time >= request.end_time, "{case}");
    }
    if let Some(message) = message {
        assert_eq!(message.parent_span_id, connection.span_context.span_id());
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_counted_and_has_a_span_until_it_ends() {
    for backend in Backend::ALL {
        for observed in [true, false] {
            for end in CONNECTION_ENDS {
                assert_connection_end(backend, observed, end).await;
            }
        }
    }
}

#[tokio::test]
async fn a_connection_runs_in_the_opentelemetry_context_of_its_span() {
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let connection = LongLived::default();
        let extension = connection.clone();
        let trace = backend.layer(telemetry.source(), TraceLayer::server());
        let respond = tower::service_fn(move |_: http::Request<()>| {
            let mut response = http::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            response.extensions_mut().insert(extension.clone());
            async { Ok::<_, std::convert::Infallible>(response) }
        });
        let service = ServiceBuilder::new().layer(trace).service(respond);
        service.oneshot(http::Request::new(())).await.unwrap();
        let current = connection
            .run(async {
                tokio::task::yield_now().await;
                let context = opentelemetry::Context::current();
                context.span().set_attribute(KeyValue::new("shop.room", 7));
                context.span().span_context().clone()
            })
            .await;
        let spans = telemetry.spans();
        let span = named(&spans, "upgraded connection").unwrap();
        assert_eq!(span.span_context.span_id(), current.span_id());
        assert!(span.attributes.contains(&KeyValue::new("shop.room", 7)));
    }
}
