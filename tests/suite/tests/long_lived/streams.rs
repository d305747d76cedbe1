//! The ends of streams.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use opentelemetry::trace::Status;
use suite_tests::{
    backend::Backend,
    net::{ClientConnection, Http, ScriptedBody, Step},
    telemetry::{TestTelemetry, text, with_timeout},
};
use tokio::sync::oneshot;
use tower_otel_core::LongLived;

use crate::server::{layered, serve};

/// The property that makes a response a long-lived stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    EventStream,
    Extension,
    /// The response is not a long-lived stream.
    None,
}

/// How an exchange ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    ClientLeaves,
    StreamEnds,
    BodyFails,
    BodyPanics,
    HandlerPanics,
    ServerStops,
}

const ENDS: [End; 6] = [
    End::ClientLeaves,
    End::StreamEnds,
    End::BodyFails,
    End::BodyPanics,
    End::HandlerPanics,
    End::ServerStops,
];

impl End {
    /// Returns `error.type` of the exchange.
    fn error(self, mark: Mark) -> Option<&'static str> {
        match self {
            Self::ClientLeaves | Self::ServerStops if mark == Mark::None => Some("aborted"),
            Self::ClientLeaves | Self::StreamEnds | Self::ServerStops => None,
            Self::BodyFails => Some("timeout"),
            Self::BodyPanics | Self::HandlerPanics => Some("panic"),
        }
    }
}

/// The body of the next response. It sends an event, and continues when the test signals.
type NextBody = Arc<Mutex<Option<ScriptedBody>>>;

pub(crate) async fn stream(State((mark, end, body)): State<(Mark, End, NextBody)>) -> Response {
    assert!(end != End::HandlerPanics, "the handler");
    let body = body.lock().unwrap().take().unwrap();
    let mut response = Response::new(Body::new(body));
    match mark {
        Mark::EventStream => {
            let event_stream = HeaderValue::from_static("text/event-stream; charset=utf-8");
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, event_stream);
        }
        Mark::Extension => {
            response.extensions_mut().insert(LongLived::default());
        }
        Mark::None => {}
    }
    response
}

async fn assert_stream_end(backend: Backend, http: Http, mark: Mark, end: End) {
    let case = format!("{backend:?} {http:?} {mark:?} {end:?}");
    let telemetry = TestTelemetry::new();
    let (proceed, signal) = oneshot::channel();
    let last = match end {
        End::StreamEnds => Vec::new(),
        End::BodyFails => vec![Step::Error],
        End::BodyPanics => vec![Step::Panic],
        End::ClientLeaves | End::HandlerPanics | End::ServerStops => vec![Step::Pending],
    };
    let steps = [Step::Data("data: 1\n\n"), Step::WaitFor(signal)].into_iter();
    let body = ScriptedBody::new(steps.chain(last));
    let state = (mark, end, Arc::new(Mutex::new(Some(body))));
    let router = Router::new()
        .route("/events", get(stream))
        .with_state(state);
    let server = serve(layered(router, &telemetry, backend)).await;

    let mut client = ClientConnection::connect(http, server.address).await;
    let request = Request::get(format!("http://{}/events", server.address));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let sent = Instant::now();
    let response = with_timeout("a response", client.send(request)).await;
    let head_took = sent.elapsed();
    let open = |telemetry: &TestTelemetry| {
        let conventions = telemetry.sum("conventions_http_server_open_streams", &[]);
        let short = telemetry.sum("http_streams_open", &[("method", "GET")]);
        assert_eq!(short, conventions, "{case}");
        short
    };
    if end == End::HandlerPanics {
        assert!(response.is_err() || response.unwrap().status().is_server_error());
    } else {
        let mut response = response.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        with_timeout("an event", response.body_mut().frame())
            .await
            .unwrap()
            .unwrap();
        let is_marked = mark != Mark::None;
        assert_eq!(open(&telemetry), f64::from(u8::from(is_marked)), "{case}");
        assert_eq!(telemetry.sum("http_requests_in_flight", &[]), 1.0, "{case}");
        let head = Instant::now();
        while head.elapsed() < Duration::from_millis(20) {}
        match end {
            End::ClientLeaves => drop((response, client)),
            End::ServerStops => server.task.abort(),
            _ => {
                proceed.send(()).unwrap();
                let _ = with_timeout("the end", response.body_mut().collect()).await;
            }
        }
    }
    telemetry
        .wait_until("the exchange ends", |telemetry| {
            telemetry.spans().len() == 1 && telemetry.sum("http_requests_in_flight", &[]) == 0.0
        })
        .await;
    assert_eq!(open(&telemetry), 0.0, "{case}");

    let error = end.error(mark);
    let spans = telemetry.spans();
    assert_eq!(text(&spans[0], "error.type").as_deref(), error, "{case}");
    assert_eq!(spans[0].status != Status::Unset, error.is_some(), "{case}");
    let metrics = telemetry.metrics();
    let status = if end == End::HandlerPanics {
        "panic"
    } else {
        "200"
    };
    let total = telemetry.sum("http_requests_total", &[("status", status)]);
    assert_eq!(total, 1.0, "{case}: {metrics}");
    let aborted = telemetry.sum("http_responses_aborted_total", &[]);
    let is_aborted = error.is_some() && end != End::HandlerPanics;
    assert_eq!(aborted, f64::from(u8::from(is_aborted)), "{case}");
    let count = "conventions_http_server_request_duration_seconds_count";
    let labels: Vec<_> = error
        .map(|error| ("error_type", error))
        .into_iter()
        .collect();
    assert_eq!(telemetry.sum(count, &labels), 1.0, "{case}: {metrics}");
    assert_eq!(metrics.contains("error_type"), error.is_some(), "{case}");
    let seconds = telemetry.sum("http_request_duration_seconds_sum", &[]);
    let is_of_head = seconds <= head_took.as_secs_f64();
    let has_stream = mark == Mark::None && end != End::HandlerPanics;
    assert_eq!(is_of_head, !has_stream, "{case}: {seconds} s");
}

#[tokio::test]
async fn a_client_that_leaves_a_stream_is_no_error_and_the_duration_is_that_of_the_head() {
    for backend in Backend::ALL {
        for http in [Http::One, Http::Two] {
            for mark in [Mark::EventStream, Mark::Extension, Mark::None] {
                for end in ENDS {
                    assert_stream_end(backend, http, mark, end).await;
                }
            }
        }
    }
}
