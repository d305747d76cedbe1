//! Sampling, propagation and the recorded keys.

use std::{
    collections::BTreeSet,
    future::ready,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request as Received, routing::any};
use http::{StatusCode, header};
use opentelemetry::{
    Context,
    trace::{
        FutureExt, SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId, TraceState,
    },
};
use opentelemetry_sdk::trace::Sampler;
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request},
    keys::{NOT_RECORDED, known_keys},
    net::{Http, serve},
    sampler::RecordingSampler,
    server::{app, send_raw},
    table::{Int, Str, assert_attributes},
    telemetry::{TestTelemetry, with_timeout},
};
use tower::Layer;
use tower_otel_core::{Attempts, Filter, Route};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, filter_fn};

use crate::{Client, HttpClient, everything, refusing_server};

#[tokio::test]
async fn samplers_get_the_name_and_the_attributes_known_at_the_start() {
    for backend in Backend::ALL {
        let sampler = RecordingSampler::default();
        let telemetry = TestTelemetry::with_sampler_and_filter(sampler.clone(), LevelFilter::INFO);
        let server = serve(app()).await;
        let client = Client::for_server(backend, TraceLayer::client(), telemetry, server);
        let line = "PURGE http://me:s3cr3t@api.example/users/7?sig=s3cr3t";
        client.span_of(HttpClient::Hyper(Http::One), line).await;
        let inputs = sampler.inputs();
        let [input] = inputs.as_slice() else {
            panic!("one decision, not {inputs:#?}");
        };
        assert_eq!(input.name, "HTTP");
        assert_eq!(input.kind, SpanKind::Client);
        assert_attributes(
            &input.attributes,
            &[
                ("http.request.method", Str("_OTHER")),
                ("server.address", Str("api.example")),
                ("server.port", Int(80)),
                (
                    "url.full",
                    Str("http://REDACTED:REDACTED@api.example/users/7?sig=REDACTED"),
                ),
            ],
        );
    }
}

/// Sends a request and returns the `traceparent` that the server received.
async fn sent_traceparent(client: &Client) -> Option<String> {
    let parent = Arc::new(Mutex::new(None));
    let received = Arc::clone(&parent);
    let handler = move |request: Received| {
        let header = request.headers().get("traceparent").cloned();
        *received.lock().unwrap() = header.map(|header| header.to_str().unwrap().to_owned());
        ready(StatusCode::OK)
    };
    let server = serve(Router::new().fallback(any(handler))).await;
    let client_service = PropagateLayer::new().layer(hyper_client_to(Http::One, server));
    let status = client
        .send_with(client_service, request("GET http://api.example/"))
        .await;
    assert_eq!(status, Some(StatusCode::OK));
    parent.lock().unwrap().take()
}

#[tokio::test]
async fn the_server_receives_the_id_of_the_client_span() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let parent = sent_traceparent(&client).await;
        let span = client.next_span().await;
        let own = &span.span_context;
        let own = format!("00-{}-{}-01", own.trace_id(), own.span_id());
        assert_eq!(parent, Some(own));
    }
}

#[tokio::test]
async fn an_unsampled_span_is_propagated() {
    for backend in Backend::ALL {
        let telemetry =
            TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOff, LevelFilter::INFO);
        let (_socket, server) = refusing_server();
        let client = Client::for_server(backend, TraceLayer::client(), telemetry, server);
        let parent = sent_traceparent(&client)
            .await
            .expect("a traceparent is sent");
        assert!(parent.ends_with("-00"), "{parent}");
        assert_eq!(client.telemetry.spans(), []);
    }
}

#[tokio::test]
async fn a_filtered_request_propagates_its_parent() {
    let parent = SpanContext::new(
        TraceId::from(7),
        SpanId::from(7),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    let expected = format!("00-{}-{}-01", parent.trace_id(), parent.span_id());
    let hidden = || {
        filter_fn(|metadata| {
            metadata.target() != "tower_otel_trace" && *metadata.level() <= Level::INFO
        })
    };
    let by_layer = || TraceLayer::client().filter(Filter::new(|_| false));
    let by_tracing = || TestTelemetry::with_sampler_and_filter(Sampler::AlwaysOn, hidden());
    // Each telemetry is created in its turn, because a thread has one subscriber at a time.
    let cases: [(Backend, TraceLayer, &dyn Fn() -> TestTelemetry); 3] = [
        (Backend::Tracing, by_layer(), &TestTelemetry::new),
        (Backend::Tracer, by_layer(), &TestTelemetry::new),
        (Backend::Tracing, TraceLayer::client(), &by_tracing),
    ];
    for (backend, layer, telemetry) in cases {
        let (_socket, server) = refusing_server();
        let client = Client::for_server(backend, layer, telemetry(), server);
        let current = Context::new().with_remote_span_context(parent.clone());
        let sent = sent_traceparent(&client).with_context(current).await;
        assert_eq!(sent.as_ref(), Some(&expected), "{backend:?}");
        assert_eq!(client.telemetry.spans(), []);
    }
}

#[tokio::test]
async fn the_span_is_a_child_of_the_current_context() {
    use opentelemetry::trace::{Span as _, Tracer, TracerProvider};

    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        let mut parent = client
            .telemetry
            .provider()
            .tracer("test")
            .start("the caller");
        let context = parent.span_context().clone();
        parent.end();
        client.spans_returned.set(1);
        let current = Context::new().with_remote_span_context(context.clone());
        let sending = client.send(
            HttpClient::Hyper(Http::One),
            "GET http://api.example/users/7",
        );
        sending.with_context(current).await;
        let span = client.next_span().await;
        assert_eq!(span.parent_span_id, context.span_id());
        assert_eq!(span.span_context.trace_id(), context.trace_id());
    }
}

#[tokio::test]
async fn recorded_keys_are_exactly_those_of_the_conventions() {
    let mut recorded = BTreeSet::new();
    for backend in Backend::ALL {
        let client = Client::new(backend, everything()).await;
        let http_client = HttpClient::Reqwest(Http::One);
        let mut spans = vec![
            client
                .span_of(http_client, "PURGE http://api.example/users/7")
                .await,
        ];
        let attempts = Attempts::default();
        for line in [
            "POST http://api.example/users/7",
            "POST http://api.example/nowhere",
        ] {
            let mut request = request(line);
            let headers = request.headers_mut();
            headers.insert(header::CONTENT_LENGTH, "0".parse().unwrap());
            headers.insert(header::USER_AGENT, "Googlebot".parse().unwrap());
            request.extensions_mut().insert(attempts.clone());
            request.extensions_mut().insert(Route::from("/users/{id}"));
            client
                .send_with(hyper_client_to(Http::One, client.server), request)
                .await;
            spans.push(client.next_span().await);
        }
        let attributes = spans.into_iter().flat_map(|span| span.attributes);
        recorded.extend(attributes.map(|attribute| attribute.key.to_string()));
    }
    let missing: Vec<_> = known_keys(&SpanKind::Client)
        .iter()
        .filter(|key| !recorded.contains(**key))
        .collect();
    assert_eq!(missing, NOT_RECORDED.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn the_test_server_records_no_spans() {
    let telemetry = TestTelemetry::new();
    let server = serve(app()).await;
    let (head, _open) =
        with_timeout("the response", send_raw(server, "GET /users/7 HTTP/1.1")).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(telemetry.spans(), []);
}
