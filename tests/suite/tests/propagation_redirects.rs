//! Trace headers of requests that a server redirects to another host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use opentelemetry::trace::SpanKind;
use reqwest_middleware::ClientBuilder;
use suite_tests::{
    net::{Http, pooled_client, serve},
    telemetry::{TestTelemetry, text, with_timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::{
    FollowRedirectLayer,
    policy::{FilterCredentials, Policy},
};
use tower_otel_core::{Filter, Hosts, observe};
use tower_otel_propagate::{NoPropagation, PropagateLayer};
use tower_otel_trace::TraceLayer;

/// The headers of each request that a server received.
type ReceivedHeaders = Arc<Mutex<Vec<HeaderMap>>>;

/// A server that redirects `/` to `target` and responds to all other requests.
async fn server(target: Option<String>) -> (SocketAddr, ReceivedHeaders) {
    let received = ReceivedHeaders::default();
    let address = serve(service_fn({
        let received = received.clone();
        move |request: Request<Incoming>| {
            received.lock().unwrap().push(request.headers().clone());
            let mut response = Response::new(Empty::<Bytes>::new());
            if let Some(target) = target.as_ref().filter(|_| request.uri().path() == "/") {
                *response.status_mut() = StatusCode::FOUND;
                let location = target.parse().unwrap();
                response.headers_mut().insert(header::LOCATION, location);
            }
            async { Ok::<_, Infallible>(response) }
        }
    }))
    .await;
    (address, received)
}

/// A server of an allowed host that redirects to a server of another host.
struct Servers {
    start: String,
    internal: ReceivedHeaders,
    other: ReceivedHeaders,
}

impl Servers {
    async fn new() -> Self {
        let (other, other_received) = server(None).await;
        let target = format!("http://localhost:{}/there", other.port());
        let (internal, internal_received) = server(Some(target)).await;
        Self {
            start: format!("http://{internal}/"),
            internal: internal_received,
            other: other_received,
        }
    }

    /// Whether each request to the allowed and to the other host had a `traceparent`.
    fn had_traceparent(&self) -> (Vec<bool>, Vec<bool>) {
        let had = |received: &ReceivedHeaders| {
            let received = received.lock().unwrap();
            received
                .iter()
                .map(|headers| headers.contains_key("traceparent"))
                .collect()
        };
        (had(&self.internal), had(&self.other))
    }
}

fn allowed_hosts() -> Hosts {
    Hosts::new(["127.0.0.1"])
}

fn only_to_allowed_hosts() -> PropagateLayer {
    PropagateLayer::new().filter(Filter::only_hosts(allowed_hosts()))
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

#[tokio::test]
async fn redirects_that_reqwest_follows_itself_keep_the_headers_despite_the_filter() {
    let _telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(only_to_allowed_hosts())
        .service(reqwest::Client::new());
    let client = client.ready().await.unwrap();
    let response = with_timeout("a response", client.call(get(&servers.start)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    // The documentation warns of this. If a later version of reqwest removes the headers, update the documentation.
    assert_eq!(servers.had_traceparent(), (vec![true], vec![true]));
}

#[tokio::test]
async fn a_redirect_policy_by_host_does_not_follow_to_other_hosts() {
    let _telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    let allowed = allowed_hosts();
    let policy = reqwest::redirect::Policy::custom(move |attempt| {
        let host = attempt.url().host_str();
        if host.is_some_and(|host| allowed.contains(host)) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let client = reqwest::Client::builder().redirect(policy).build().unwrap();
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(only_to_allowed_hosts())
        .service(client);
    let client = client.ready().await.unwrap();
    let response = with_timeout("a response", client.call(get(&servers.start)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(servers.had_traceparent(), (vec![true], vec![]));
}

#[tokio::test]
async fn redirects_followed_outside_the_layer_are_requests_with_their_own_span_and_filter() {
    let telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().unwrap();
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(TraceLayer::client())
        .layer(only_to_allowed_hosts())
        .service(service_fn(move |request: Request<reqwest::Body>| {
            let client = client.clone();
            async move {
                let response = client.execute(request.try_into()?).await?;
                Ok::<Response<reqwest::Body>, reqwest::Error>(response.into())
            }
        }));
    let request = Request::get(&servers.start).body(reqwest::Body::default());
    let client = client.ready().await.unwrap();
    let response = with_timeout("a response", client.call(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    assert_eq!(servers.had_traceparent(), (vec![true], vec![false]));

    let spans = telemetry.spans();
    let urls: Vec<_> = spans
        .iter()
        .filter_map(|span| text(span, "url.full"))
        .collect();
    assert_eq!(urls.len(), 2, "one span for each request");
    assert_eq!(urls[0], servers.start);
    assert!(urls[1].starts_with("http://localhost:"));
    assert!(spans.iter().all(|span| span.span_kind == SpanKind::Client));
}

#[tokio::test]
async fn redirects_followed_outside_the_layer_are_filtered_with_hyper_too() {
    let _telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(TraceLayer::client())
        .layer(only_to_allowed_hosts())
        .service(pooled_client(Http::One));
    let request = Request::get(&servers.start).body(Empty::new());
    let client = client.ready().await.unwrap();
    let response = with_timeout("a response", client.call(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(servers.had_traceparent(), (vec![true], vec![false]));
}

/// Sends a request with [`NoPropagation`] to `url`, and follows redirects outside the layer.
async fn send_without_propagation<P>(redirects: FollowRedirectLayer<P>, url: &str)
where
    P: Policy<Empty<Bytes>, hyper_util::client::legacy::Error> + Clone,
{
    let mut client = ServiceBuilder::new()
        .layer(redirects)
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(pooled_client(Http::One));
    let request = Request::get(url).extension(NoPropagation);
    let request = request.body(Empty::new()).unwrap();
    let client = client.ready().await.unwrap();
    let response = with_timeout("a response", client.call(request)).await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn no_propagation_is_kept_by_a_redirect_to_the_same_origin() {
    let _telemetry = TestTelemetry::new();
    let (address, received) = server(Some("/there".to_owned())).await;
    send_without_propagation(FollowRedirectLayer::new(), &format!("http://{address}/")).await;
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 2);
    let has_header = |headers: &HeaderMap| headers.contains_key("traceparent");
    assert!(!received.iter().any(has_header));
}

#[tokio::test]
async fn no_propagation_is_dropped_by_a_redirect_to_another_origin() {
    let _telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    send_without_propagation(FollowRedirectLayer::new(), &servers.start).await;
    // The documentation warns of this. If a later version of tower-http keeps the extension, update the documentation.
    assert_eq!(servers.had_traceparent(), (vec![false], vec![true]));
}

#[tokio::test]
async fn no_propagation_is_kept_by_every_redirect_if_the_policy_allows_the_extension() {
    let _telemetry = TestTelemetry::new();
    let servers = Servers::new().await;
    let policy = FilterCredentials::new().allow_extension::<NoPropagation>();
    let redirects = FollowRedirectLayer::with_policy(policy);
    send_without_propagation(redirects, &servers.start).await;
    assert_eq!(servers.had_traceparent(), (vec![false], vec![false]));
}

#[tokio::test]
async fn no_propagation_excludes_a_single_request_of_a_middleware_client() {
    let telemetry = TestTelemetry::new();
    let (address, received) = server(None).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();
    let url = format!("http://{address}/");
    let excluded = client.get(&url).with_extension(NoPropagation).send();
    with_timeout("a response", excluded)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    with_timeout("a response", client.get(&url).send())
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let received = received.lock().unwrap();
    let had: Vec<_> = received
        .iter()
        .map(|headers| headers.contains_key("traceparent"))
        .collect();
    assert_eq!(had, [false, true]);
    assert_eq!(telemetry.spans().len(), 2, "both requests are observed");
}
