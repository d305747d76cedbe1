//! The layers as middleware of a client.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{Extensions, Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use reqwest_middleware::ClientBuilder;
use suite_tests::{
    net::serve,
    telemetry::{TestTelemetry, integer, text, with_timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::{Attempts, Route, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::server::{chain, failing, parent_id, resends, retry};

#[tokio::test]
async fn each_layer_alone_and_all_three_together_are_middleware() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let url = format!("http://{address}/");
    let chains = [
        chain().with(observe(TraceLayer::client()).into_middleware()),
        chain().with(observe(MetricsLayer::client()).into_middleware()),
        chain().with(observe(PropagateLayer::new()).into_middleware()),
        chain().with(
            observe((
                TraceLayer::client(),
                MetricsLayer::client(),
                PropagateLayer::new(),
            ))
            .into_middleware(),
        ),
    ];
    for chain in chains {
        let client = chain.build();
        let response = with_timeout("the response", client.get(&url).send())
            .await
            .unwrap();
        response.bytes().await.unwrap();
    }
    // The first chain makes three attempts, the others one each.
    assert_eq!(received_requests.lock().unwrap().len(), 6);
    assert_eq!(telemetry.spans().len(), 4);
    assert_eq!(telemetry.sum("http_client_requests_total", &[]), 2.0);
    assert_eq!(telemetry.sum("http_client_requests_in_flight", &[]), 0.0);
}

#[tokio::test]
async fn layers_around_the_whole_chain_record_one_exchange() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(chain().build());

    let request = reqwest::Request::new(Method::GET, format!("http://{address}/").parse().unwrap());
    let response = with_timeout("the third response", async {
        client.ready().await.unwrap().call(request).await
    });
    let response = response.await.unwrap();
    assert_eq!(response.url().as_str(), format!("http://{address}/"));
    response.bytes().await.unwrap();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(integer(&spans[0], "http.response.status_code"), Some(200));
    assert_eq!(
        telemetry.sum("http_client_requests_total", &[("status", "200")]),
        1.0
    );
    let span = spans[0].span_context.span_id().to_string();
    let received_requests = received_requests.lock().unwrap();
    let parents = received_requests.iter();
    let parents: Vec<_> = parents.map(|(head, _)| parent_id(&head.headers)).collect();
    assert_eq!(parents, [&*span; 3]);
}

#[tokio::test]
async fn a_refused_connection_has_its_error_type_as_middleware_and_as_layer() {
    let telemetry = TestTelemetry::new();
    // A port that refuses connections.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);

    let inside = chain()
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    with_timeout("the refused connection", inside.get(&url).send())
        .await
        .unwrap_err();
    assert_eq!(telemetry.spans().len(), 4);

    let mut around = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .service(chain().build());
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    let refused = with_timeout("the refused connection", async {
        around.ready().await.unwrap().call(request).await
    });
    refused.await.unwrap_err();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 5);
    for span in spans {
        assert_eq!(
            text(&span, "error.type").as_deref(),
            Some("connection_refused")
        );
    }
}

#[tokio::test]
async fn a_client_timeout_has_its_error_type_as_middleware_and_as_layer() {
    let telemetry = TestTelemetry::new();
    let address = serve(service_fn(|_: Request<Incoming>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    }))
    .await;
    let url = format!("http://{address}/");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(20))
        .build()
        .unwrap();

    let inside = ClientBuilder::new(client.clone())
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    let error = with_timeout("the timeout", inside.get(&url).send())
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "the error is unchanged");

    let chain = ClientBuilder::new(client).with(retry()).build();
    let mut around = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .service(chain);
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    let timed_out = with_timeout("the timeout", async {
        around.ready().await.unwrap().call(request).await
    });
    timed_out.await.unwrap_err();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!(text(&span, "error.type").as_deref(), Some("timeout"));
    }
}

#[tokio::test]
async fn request_extensions_of_the_chain_are_read() {
    let telemetry = TestTelemetry::new();
    let (address, _) = failing(0).await;
    let client = chain()
        .with(observe(TraceLayer::client()).into_middleware())
        .build();

    let counted = Attempts::default();
    let mut earlier = Extensions::new();
    earlier.insert(counted.clone());
    assert_eq!(Attempts::begin(&earlier), None);

    let sending = client
        .get(format!("http://{address}/users/7"))
        .with_extension(Route::from("/users/{id}"))
        .with_extension(counted)
        .send();
    with_timeout("the response", sending)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let spans = telemetry.spans();
    assert_eq!(
        text(&spans[0], "url.template").as_deref(),
        Some("/users/{id}")
    );
    assert_eq!(resends(&telemetry), [Some(1)], "a started count continues");
}
