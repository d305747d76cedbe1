//! Exchanges with a marker in every place that can have a secret.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header, request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use suite_tests::{backend::Backend, keys::OPT_INS, net::BoxError, response::BoxedResponse};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::{Hosts, PeerAddr, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::{BaggagePolicy, PropagateLayer, Propagation};
use tower_otel_semconv::SensitiveKeys;
use tower_otel_trace::TraceLayer;

use crate::outputs::{Outputs, Recording, added};

/// The marker in every value that must not be recorded or forwarded.
pub(crate) const SECRET: &str = "c4n4ry";

// Markers in allowed values, one for each place.
pub(crate) const HEADER: &str = "4ll0wed-header";
pub(crate) const QUERY: &str = "4ll0wed-query";
pub(crate) const LABEL: &str = "4ll0wed-label";
pub(crate) const MESSAGE: &str = "4ll0wed-message";
pub(crate) const MEMBER: &str = "4ll0wed-member";
pub(crate) const STATE: &str = "4ll0wed-state";

type BufferedRequest = Request<Full<Bytes>>;

/// The end of the client exchange and of the server exchange around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Complete,
    /// The service fails with an error that contains a URL.
    Failed,
    /// The body fails.
    BodyFailed,
    /// The service panics with a secret in the message.
    Panicked,
    /// A gRPC call ends with an error status and a message.
    GrpcError,
}

const ENDS: [End; 5] = [
    End::Complete,
    End::Failed,
    End::BodyFailed,
    End::Panicked,
    End::GrpcError,
];

/// Adds headers with secrets, and some with allowed values.
fn headers(request: request::Builder) -> request::Builder {
    request
        .header(header::AUTHORIZATION, "Bearer c4n4ry-authorization")
        .header(header::PROXY_AUTHORIZATION, "Basic c4n4ry-proxy")
        .header(header::COOKIE, "session=c4n4ry-cookie")
        .header("x-api-key", "c4n4ry-api-key")
        .header("x-c4n4ry-name", "1")
        .header(header::REFERER, "https://a.example/?sig=c4n4ry-referer")
        .header("x-token", {
            let mut value = HeaderValue::from_static("c4n4ry-sensitive");
            value.set_sensitive(true);
            value
        })
        .header("x-request-id", HEADER)
        .header("x-tenant", LABEL)
}

/// Returns the request to the server.
fn inbound(end: End) -> BufferedRequest {
    let uri = format!("http://us.example/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}");
    let uri = match end {
        End::GrpcError => uri.replace("/users/7", "/shop.Users/Get"),
        _ => uri,
    };
    let mut request = headers(Request::post(uri))
        .header("traceparent", PARENT)
        .header("tracestate", format!("vendor={STATE}"))
        .header("baggage", format!("user=c4n4ry-member,tenant={MEMBER}"))
        .header("forwarded", "for=c4n4ry.example;host=c4n4ry-host.example")
        .header("x-forwarded-for", "_c4n4ry")
        .header("x-forwarded-host", "c4n4ry-forwarded.example")
        .header("x-forwarded-proto", "c4n4ry")
        .header("x-real-ip", "c4n4ry")
        .body(Full::from("c4n4ry-request-body"))
        .unwrap();
    let peer = PeerAddr("192.0.2.1:4711".parse().unwrap());
    request.extensions_mut().insert(peer);
    set_grpc_content_type(&mut request, end);
    request
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Returns a request of the handler to another host.
fn outbound(host: &str, end: End) -> BufferedRequest {
    let uri = format!(
        "http://me:c4n4ry-password@{host}/users/7?sig=c4n4ry-sig&token=c4n4ry-token&page={QUERY}"
    );
    let mut request = headers(Request::post(uri))
        .body(Full::from("c4n4ry-request-body"))
        .unwrap();
    set_grpc_content_type(&mut request, end);
    request
}

fn set_grpc_content_type(request: &mut BufferedRequest, end: End) {
    if end == End::GrpcError {
        let kind = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        *request.version_mut() = Version::HTTP_2;
    }
}

/// Returns the response of another host.
fn respond(end: End) -> Result<BoxedResponse, BoxError> {
    let data = Ok(Frame::data(Bytes::from_static(b"c4n4ry-response-body")));
    let last = match end {
        End::Failed => {
            return Err(format!("{MESSAGE}: http://me:c4n4ry-error@a/?sig=c4n4ry-error").into());
        }
        End::Panicked => panic!("c4n4ry-panic"),
        End::BodyFailed => Err(BoxError::from(format!("{MESSAGE}: c4n4ry-torn"))),
        End::Complete | End::GrpcError => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-trailer", HeaderValue::from_static("c4n4ry-trailer"));
            if end == End::GrpcError {
                trailers.insert("grpc-status", HeaderValue::from_static("13"));
                trailers.insert("grpc-message", HeaderValue::from_static("c4n4ry-grpc"));
            }
            Ok(Frame::trailers(trailers))
        }
    };
    let frames = tokio_stream::iter([data, last]);
    let response = Response::builder()
        .status(if end == End::BodyFailed { 500 } else { 200 })
        .header(header::SET_COOKIE, "session=c4n4ry-set-cookie")
        .header(header::LOCATION, "/?sig=c4n4ry-location")
        .header("x-answer-id", HEADER);
    Ok(response.body(StreamBody::new(frames).boxed_unsync())?)
}

/// Enables all options except `exceptions`.
pub(crate) fn with_all_options(layer: TraceLayer, end: End) -> TraceLayer {
    let layer = layer
        .route(|_| Some("/users/{id}".into()))
        .opt_in(OPT_INS)
        .body_sizes()
        .access_log()
        .sensitive_query_keys(SensitiveKeys::new(["sig", "token"]))
        .capture_request_headers([
            header::AUTHORIZATION,
            header::PROXY_AUTHORIZATION,
            header::COOKIE,
            HeaderName::from_static("x-token"),
            HeaderName::from_static("x-request-id"),
        ])
        .capture_response_headers([header::SET_COOKIE, HeaderName::from_static("x-answer-id")]);
    match end {
        End::GrpcError => layer.grpc(),
        _ => layer,
    }
}

/// Sends one request through a server, which calls two other hosts. Returns all outputs.
pub(crate) fn exchange(
    backend: Backend,
    end: End,
    change: fn(TraceLayer) -> TraceLayer,
) -> Outputs {
    let recording = Recording::new(backend);
    let policy = BaggagePolicy::default()
        .keys(["tenant"])
        .hosts(Hosts::new(["ours.internal"]));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent);
    let other_hosts = service_fn(move |request: BufferedRequest| {
        let host = request.uri().host().unwrap().to_owned();
        received
            .lock()
            .unwrap()
            .push((host, request.headers().clone()));
        // The second request has the end `end`.
        let last = received.lock().unwrap().len() == 2;
        async move { respond(if last { end } else { End::Complete }) }
    });
    let trace = change(with_all_options(TraceLayer::client(), end));
    let trace = backend.layer_below_subscriber(&recording.source, trace);
    let propagate = PropagateLayer::new().baggage(policy);
    let client = observe((
        trace,
        recording.metrics_layer(MetricsLayer::client),
        propagate,
    ))
    .layer(other_hosts);

    let handler = service_fn(move |_: BufferedRequest| {
        let client = client.clone();
        async move {
            tracing::info!("handling");
            let first = outbound("ours.internal", end);
            let first = client.clone().oneshot(first).await?;
            first.into_body().collect().await?;
            let second = outbound("stranger.example", end);
            let second = client.oneshot(second).await?;
            Ok::<_, BoxError>(second.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    });
    let trace = change(with_all_options(TraceLayer::server(), end));
    let trace = trace.propagator(Propagation::w3c().read_baggage());
    let trace = backend.layer_below_subscriber(&recording.source, trace);
    let server = observe((trace, recording.metrics_layer(MetricsLayer::server))).layer(handler);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let response = server.oneshot(inbound(end)).await?;
            response.into_body().collect().await
        })
    }));
    match end {
        End::Complete | End::GrpcError => assert!(matches!(ended, Ok(Ok(_)))),
        End::Failed | End::BodyFailed => assert!(matches!(ended, Ok(Err(_)))),
        End::Panicked => assert!(ended.is_err()),
    }

    let sent = sent.lock().unwrap();
    let to = |to: &str| {
        let (_, headers) = sent.iter().find(|(host, _)| host == to).unwrap();
        added(headers, outbound(to, end).headers())
    };
    recording.outputs(3, to("ours.internal"), to("stranger.example"))
}

pub(crate) fn backends_and_ends() -> impl Iterator<Item = (Backend, End)> {
    Backend::ALL
        .into_iter()
        .flat_map(|backend| ENDS.map(|end| (backend, end)))
}
