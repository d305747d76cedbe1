//! Where trace headers go when a server sends a client elsewhere.

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
use reqwest::redirect::Policy;
use reqwest_middleware::ClientBuilder;
use suite_tests::{
    net::{Http, pooled, serve},
    scene::{Scene, text, within},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_otel_core::{Filter, Hosts, observe};
use tower_otel_propagate::{NoPropagation, PropagateLayer};
use tower_otel_trace::TraceLayer;

/// The headers of each request a server got.
type Seen = Arc<Mutex<Vec<HeaderMap>>>;

/// Redirects `/` to `there`, and answers everything else.
async fn server(there: Option<String>) -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let address = serve(service_fn({
        let seen = seen.clone();
        move |request: Request<Incoming>| {
            seen.lock().unwrap().push(request.headers().clone());
            let mut response = Response::new(Empty::<Bytes>::new());
            if let Some(there) = there.as_ref().filter(|_| request.uri().path() == "/") {
                *response.status_mut() = StatusCode::FOUND;
                let location = there.parse().unwrap();
                response.headers_mut().insert(header::LOCATION, location);
            }
            async { Ok::<_, Infallible>(response) }
        }
    }))
    .await;
    (address, seen)
}

/// A server of ours that redirects to one of somebody else, under another name.
struct World {
    start: String,
    ours: Seen,
    theirs: Seen,
}

impl World {
    async fn new() -> Self {
        let (theirs, seen_by_them) = server(None).await;
        let there = format!("http://localhost:{}/there", theirs.port());
        let (ours, seen_by_us) = server(Some(there)).await;
        Self {
            start: format!("http://{ours}/"),
            ours: seen_by_us,
            theirs: seen_by_them,
        }
    }

    /// Who has been sent a trace header: for each request to us, and to them.
    fn told(&self) -> (Vec<bool>, Vec<bool>) {
        let told = |seen: &Seen| {
            let seen = seen.lock().unwrap();
            seen.iter()
                .map(|headers| headers.contains_key("traceparent"))
                .collect()
        };
        (told(&self.ours), told(&self.theirs))
    }
}

fn ours() -> Hosts {
    Hosts::new(["127.0.0.1"])
}

fn only_to_us() -> PropagateLayer {
    PropagateLayer::new().filter(Filter::only_hosts(ours()))
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

#[tokio::test]
async fn reqwest_carries_headers_past_the_rule_on_its_own_redirects() {
    let _scene = Scene::new();
    let world = World::new().await;
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(only_to_us())
        .service(reqwest::Client::new());
    let client = client.ready().await.unwrap();
    let response = within("an answer", client.call(get(&world.start)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    // What the documentation warns of; should reqwest strip them one day, it can say so.
    assert_eq!(world.told(), (vec![true], vec![true]));
}

#[tokio::test]
async fn a_policy_that_asks_for_the_host_stops_in_front_of_the_other() {
    let _scene = Scene::new();
    let world = World::new().await;
    let ours = ours();
    let inside = Policy::custom(move |attempt| {
        let host = attempt.url().host_str();
        if host.is_some_and(|host| ours.contains(host)) {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    let client = reqwest::Client::builder().redirect(inside).build().unwrap();
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(only_to_us())
        .service(client);
    let client = client.ready().await.unwrap();
    let response = within("an answer", client.call(get(&world.start)))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(world.told(), (vec![true], vec![]));
}

#[tokio::test]
async fn redirects_above_the_layer_are_requests_of_their_own() {
    let scene = Scene::new();
    let world = World::new().await;
    let client = reqwest::Client::builder().redirect(Policy::none());
    let client = client.build().unwrap();
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(TraceLayer::client())
        .layer(only_to_us())
        .service(service_fn(move |request: Request<reqwest::Body>| {
            let client = client.clone();
            async move {
                let response = client.execute(request.try_into()?).await?;
                Ok::<Response<reqwest::Body>, reqwest::Error>(response.into())
            }
        }));
    let request = Request::get(&world.start).body(reqwest::Body::default());
    let client = client.ready().await.unwrap();
    let response = within("an answer", client.call(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    drop(response);
    assert_eq!(world.told(), (vec![true], vec![false]));

    let spans = scene.spans();
    let urls: Vec<_> = spans
        .iter()
        .filter_map(|span| text(span, "url.full"))
        .collect();
    assert_eq!(urls.len(), 2, "a span for every hop");
    assert_eq!(urls[0], world.start);
    assert!(urls[1].starts_with("http://localhost:"));
    assert!(spans.iter().all(|span| span.span_kind == SpanKind::Client));
}

#[tokio::test]
async fn clients_of_hyper_follow_above_the_layer_too() {
    let _scene = Scene::new();
    let world = World::new().await;
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(TraceLayer::client())
        .layer(only_to_us())
        .service(pooled(Http::One));
    let request = Request::get(&world.start).body(Empty::new());
    let client = client.ready().await.unwrap();
    let response = within("an answer", client.call(request.unwrap()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.told(), (vec![true], vec![false]));
}

#[tokio::test]
async fn an_opt_out_by_extension_holds_for_the_first_hop_only() {
    let _scene = Scene::new();
    let world = World::new().await;
    let mut client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(pooled(Http::One));
    let request = Request::get(&world.start).extension(NoPropagation);
    let request = request.body(Empty::new()).unwrap();
    let client = client.ready().await.unwrap();
    within("an answer", client.call(request)).await.unwrap();
    // tower-http makes the second request without the extensions of the first.
    assert_eq!(world.told(), (vec![false], vec![true]));
}

#[tokio::test]
async fn a_single_request_of_a_chain_opts_out() {
    let scene = Scene::new();
    let (address, seen) = server(None).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();
    let url = format!("http://{address}/");
    let silent = client.get(&url).with_extension(NoPropagation).send();
    within("an answer", silent)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    within("an answer", client.get(&url).send())
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let seen = seen.lock().unwrap();
    let told: Vec<_> = seen
        .iter()
        .map(|headers| headers.contains_key("traceparent"))
        .collect();
    assert_eq!(told, [false, true]);
    assert_eq!(scene.spans().len(), 2, "it is observed all the same");
}
