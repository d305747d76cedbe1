//! Spans of similar requests, whose common attributes a recorder writes once.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Request, Response, Version};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter, SpanLimits},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_core::{PeerAddr, Route};
use tower_otel_recorder::Recorder;
use tower_otel_trace::{TraceLayer, TrustedProxies};

#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

type Described = (String, BTreeMap<String, String>, u32);

/// Sends each request to a layer of its own, in turn. Returns names and attributes of the spans.
fn spans(
    limits: SpanLimits,
    times: usize,
    requests: &[&dyn Fn() -> Request<()>],
) -> Vec<Described> {
    let memory = Memory::default();
    let recorder = Recorder::builder(memory.clone()).limits(limits);
    let recorder = recorder.delay(Duration::from_secs(3600)).build().unwrap();
    for _ in 0..times {
        for request in requests {
            let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
            let layer = TraceLayer::server().recorder(&recorder);
            let response = layer.layer(inner).oneshot(request());
            assert!(futures_executor::block_on(response).is_ok());
        }
    }
    recorder.flush(Duration::from_secs(20)).unwrap();
    let spans = memory.0.lock().unwrap();
    let describe = |span: &SpanData| {
        let attributes = span.attributes.iter();
        let attributes = attributes.map(|kv| (kv.key.to_string(), kv.value.to_string()));
        let attributes: BTreeMap<_, _> = attributes.collect();
        assert_eq!(attributes.len(), span.attributes.len(), "a key is repeated");
        (
            span.name.to_string(),
            attributes,
            span.dropped_attributes_count,
        )
    };
    spans.iter().map(describe).collect()
}

fn get(uri: &str, host: &str) -> Request<()> {
    let mut request = Request::get(uri);
    for host in host.split_whitespace() {
        request = request.header("host", host);
    }
    request.body(()).unwrap()
}

fn routed(uri: &str, host: &str, route: &'static str) -> Request<()> {
    let mut request = get(uri, host);
    request.extensions_mut().insert(Route::from(route));
    request
}

#[test]
fn every_request_has_the_attributes_that_it_has_as_the_first_of_its_kind() {
    let address = PeerAddr(([10, 0, 0, 7], 4711).into());
    let requests: [&dyn Fn() -> Request<()>; 12] = [
        &|| routed("/users/1?a=b", "shop.example:8080", "/users/{id}"),
        &|| routed("/users/2", "shop.example:8080", "/users/{id}"),
        &|| routed("/users/1", "shop.example:8081", "/users/{id}"),
        &|| routed("/users/1", "other.example:8080", "/users/{ID}"),
        &|| get("/users/1", "shop.example:8080"),
        &|| get("/", ""),
        &|| get("/", "a b"),
        &|| get("/", "one.example two.example"),
        &|| get("http://shop.example/", "shop.example:8080"),
        &|| {
            let mut request = routed("/users/1", "shop.example:8080", "/users/{id}");
            *request.version_mut() = Version::HTTP_2;
            *request.method_mut() = http::Method::PUT;
            request
        },
        &|| {
            let mut request = routed("/users/1", "shop.example:8080", "/users/{id}");
            request.extensions_mut().insert(address);
            let agent = http::HeaderValue::from_static("test/1.0");
            request.headers_mut().insert("user-agent", agent);
            request
        },
        &|| {
            let mut request = get("/", "shop.example:8080");
            *request.method_mut() = http::Method::from_bytes(b"BREW").unwrap();
            request
        },
    ];
    let first: Vec<_> = requests
        .iter()
        // On a thread of its own, which has no cache.
        .flat_map(|request| {
            let alone = request();
            std::thread::spawn(move || spans_of(alone)).join().unwrap()
        })
        .collect();
    let all = spans(SpanLimits::default(), 5, &requests);
    for (round, spans) in all.chunks(requests.len()).enumerate() {
        assert_eq!(spans, first, "round {round}");
    }
}

fn spans_of(request: Request<()>) -> Vec<Described> {
    let once = Mutex::new(Some(request));
    let request = || once.lock().unwrap().take().unwrap();
    spans(SpanLimits::default(), 1, &[&request])
}

#[test]
fn a_limit_of_attributes_holds_for_every_request() {
    let limits = SpanLimits {
        max_attributes_per_span: 3,
        ..SpanLimits::default()
    };
    let request = || routed("/users/1", "shop.example", "/users/{id}");
    let spans = spans(limits, 4, &[&request]);
    let first = spans.first().unwrap().clone();
    assert_eq!(first.1.len(), 3);
    assert!(first.2 > 0);
    assert!(spans.iter().all(|span| *span == first), "{spans:?}");
}

#[test]
fn options_of_a_layer_are_not_those_of_another_layer_with_the_same_requests() {
    let memory = Memory::default();
    let recorder = Recorder::builder(memory.clone()).build().unwrap();
    let trace = || TraceLayer::server().recorder(&recorder);
    let layers = [
        trace(),
        trace().https(),
        trace().trusted_proxies(TrustedProxies::all()),
    ];
    for _ in 0..4 {
        for layer in &layers {
            let inner = service_fn(|_| async { Ok::<_, Infallible>(Response::new(String::new())) });
            let mut request = get("/", "shop.example");
            let host = http::HeaderValue::from_static("outside.example");
            request.headers_mut().insert("x-forwarded-host", host);
            let response = layer.layer(inner).oneshot(request);
            assert!(futures_executor::block_on(response).is_ok());
        }
    }
    recorder.flush(Duration::from_secs(20)).unwrap();
    let spans = memory.0.lock().unwrap();
    let value = |span: &SpanData, key: &str| {
        let mut attributes = span.attributes.iter();
        let attribute = attributes.find(|attribute| attribute.key.as_str() == key);
        attribute
            .map(|attribute| attribute.value.to_string())
            .unwrap_or_default()
    };
    let seen: Vec<_> = spans
        .iter()
        .map(|span| value(span, "url.scheme") + "://" + &value(span, "server.address"))
        .collect();
    let expected = [
        "http://shop.example",
        "https://shop.example",
        "http://outside.example",
    ];
    assert_eq!(seen, expected.repeat(4));
}
