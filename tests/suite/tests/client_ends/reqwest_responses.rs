//! The response of `reqwest::Client` and the id that its server receives.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use http::{HeaderValue, Request, StatusCode, Version, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use suite_tests::{
    backend::Backend,
    net::{BoxError, Step, serve},
    response::{BoxedResponse, boxed_response, full, scripted, with_status},
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::{
    exchange::{observed, traceparent, traceparent_server},
    expected::COMPLETE,
    reqwest_exchange::{reqwest_client, reqwest_get},
};

#[tokio::test]
async fn the_server_receives_the_id_of_the_exported_span() {
    for backend in Backend::ALL {
        let received_parents = Arc::new(Mutex::new(Vec::new()));
        let to = traceparent_server(received_parents.clone()).await;
        let span = observed(
            backend,
            reqwest_client(),
            to,
            async |client, url| drop(client.oneshot(reqwest_get(&url)).await.unwrap()),
            COMPLETE,
        )
        .await;
        assert_eq!(*received_parents.lock().unwrap(), [traceparent(&span)]);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Marker(u8);

type Body = fn() -> BoxedResponse;

/// Starts a server that redirects all requests to `/new`, which responds with `body`.
async fn redirecting_server(body: Body) -> SocketAddr {
    serve(service_fn(move |request: Request<Incoming>| async move {
        let (name, value) = match request.uri().path() {
            "/new" => {
                let mut response = body();
                let headers = response.headers_mut();
                headers.append("x-line", HeaderValue::from_static("one"));
                headers.append("x-line", HeaderValue::from_static("two"));
                return Ok::<_, BoxError>(response);
            }
            _ => (header::LOCATION, HeaderValue::from_static("/new")),
        };
        let mut response = with_status(StatusCode::FOUND, full("sorry"));
        response.headers_mut().insert(name, value);
        Ok(response)
    }))
    .await
}

#[tokio::test]
async fn a_response_keeps_its_url_headers_extensions_and_body() {
    let bodies: [(Body, Option<u64>, &str); 3] = [
        (|| full("whole"), Some(5), "whole"),
        (|| scripted([Step::Data("streamed")]), None, "streamed"),
        (|| boxed_response(Empty::new()), Some(0), ""),
    ];
    for (body, length, text) in bodies {
        for backend in Backend::ALL {
            let to = redirecting_server(body).await;
            let marking_client = ServiceBuilder::new()
                .map_response(|mut response: reqwest::Response| {
                    response.extensions_mut().insert(Marker(7));
                    response
                })
                .service(reqwest_client());
            observed(
                backend,
                marking_client,
                to,
                async |client, url| {
                    let bare = reqwest_client().execute(reqwest_get(&url)).await.unwrap();
                    let response = client.oneshot(reqwest_get(&url)).await.unwrap();
                    assert_eq!(response.url().as_str(), format!("http://{to}/new"));
                    assert_eq!(response.url(), bare.url());
                    assert_eq!(response.status(), StatusCode::OK);
                    assert_eq!(response.version(), Version::HTTP_11);
                    let lines = response.headers().get_all("x-line");
                    assert_eq!(lines.iter().collect::<Vec<_>>(), ["one", "two"]);
                    assert_eq!(response.headers().len(), bare.headers().len());
                    assert_eq!(response.extensions().get(), Some(&Marker(7)));
                    assert_eq!(response.content_length(), length);
                    assert_eq!(response.content_length(), bare.content_length());
                    assert_eq!(response.remote_addr(), Some(to));
                    assert_eq!(response.text().await.unwrap(), text);
                },
                COMPLETE,
            )
            .await;
        }
    }
}
