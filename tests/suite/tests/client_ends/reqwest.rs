//! The ends of a client exchange with `reqwest::Client` as a tower service.

use super::*;

/// Returns a client without a proxy. Its timeout elapses only when a test pauses the clock.
fn reqwest() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

async fn exchange<H, F, C>(
    backend: Backend,
    handle: H,
    drive: impl FnOnce(Layered<reqwest::Client>, String) -> C,
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
{
    let to = serve(service_fn(handle)).await;
    let span = observed(backend, reqwest(), to, drive, expected).await;
    let has_response = expected.code.is_some();
    assert_eq!(
        text(&span, "network.protocol.version"),
        has_response.then(|| "1.1".to_owned())
    );
    assert_eq!(
        integer(&span, "network.peer.port"),
        has_response.then(|| i64::from(to.port()))
    );
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

/// Pauses the clock of tokio until it is dropped. A paused clock advances to the next timer.
struct PausedTime;

impl PausedTime {
    fn start() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for PausedTime {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_body_with_a_content_length_is_complete() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(boxed_response(Full::new(Bytes::from_static(b"whole")))) },
            |client, url| async move {
                let response = client.oneshot(get(&url)).await.unwrap();
                assert_eq!(response.content_length(), Some(5));
                assert_eq!(response.text().await.unwrap(), "whole");
            },
            COMPLETE,
        )
        .await;
    }
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Data("b"),
                ])))
            },
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                assert_eq!(response.content_length(), None);
                let mut bytes = Vec::new();
                while let Some(chunk) = response.chunk().await.unwrap() {
                    bytes.extend(chunk);
                }
                assert_eq!(bytes, b"ab");
            },
            COMPLETE,
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_error_is_an_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(status(StatusCode::INTERNAL_SERVER_ERROR)) },
            |client, url| async move {
                let response = client.oneshot(get(&url)).await.unwrap();
                let error = response.error_for_status().unwrap_err();
                assert_eq!(error.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
                assert_eq!(error.url().unwrap().as_str(), url);
            },
            Expected {
                status: "500",
                code: Some(500),
                error: Some("500"),
                ..COMPLETE
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    for backend in Backend::ALL {
        let (_socket, to) = refusing_address();
        observed(
            backend,
            reqwest(),
            to,
            |client, url| async move {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            without_response("error", Some("connection_refused")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_connection_reset_before_the_response_is_an_error() {
    for backend in Backend::ALL {
        let (started_tx, started) = oneshot::channel();
        let server = ResettableServer::serve(pending_handler(started_tx)).await;
        observed(
            backend,
            reqwest(),
            server.address(),
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                started.await.unwrap();
                server.reset();
                assert!(request.await.unwrap().unwrap_err().is_request());
            },
            without_response("error", Some("connection_reset")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_response_is_an_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Err("no answer".into()) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap_err();
            },
            without_response("error", Some("connection_closed")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_body_that_the_server_fails_to_finish_is_an_error() {
    for backend in Backend::ALL {
        let (fail, failure) = oneshot::channel();
        exchange(
            backend,
            failing_body(failure),
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
                fail.send(()).unwrap();
                response.chunk().await.unwrap_err();
            },
            Expected {
                error: Some("connection_closed"),
                ..COMPLETE
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_timeout_before_the_response_is_an_error() {
    for backend in Backend::ALL {
        let (started_tx, started) = oneshot::channel();
        let started_tx = send_once(started_tx);
        exchange(
            backend,
            move |_| {
                started_tx();
                pending()
            },
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                started.await.unwrap();
                let _time = PausedTime::start();
                assert!(request.await.unwrap().unwrap_err().is_timeout());
            },
            without_response("error", Some("timeout")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_timeout_during_the_body_is_an_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Pending,
                ])))
            },
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
                let _time = PausedTime::start();
                assert!(response.chunk().await.unwrap_err().is_timeout());
            },
            Expected {
                error: Some("timeout"),
                ..COMPLETE
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_request_dropped_before_the_response_is_not_an_error() {
    for backend in Backend::ALL {
        let (started_tx, started) = oneshot::channel();
        let started_tx = send_once(started_tx);
        exchange(
            backend,
            move |_| {
                started_tx();
                pending()
            },
            |client, url| async move {
                tokio::select! {
                    _ = client.oneshot(get(&url)) => panic!("unexpected response"),
                    result = started => result.unwrap(),
                }
            },
            without_response("cancelled", None),
        )
        .await;
    }
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_not_an_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async {
                Ok(boxed_response(ScriptedBody::new([
                    Step::Data("a"),
                    Step::Pending,
                ])))
            },
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
            },
            COMPLETE,
        )
        .await;
    }
}

#[tokio::test]
async fn a_redirect_loop_is_an_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |request| async move {
                let mut response = status(StatusCode::FOUND);
                let back = HeaderValue::from_str(request.uri().path()).unwrap();
                response.headers_mut().insert(header::LOCATION, back);
                Ok(response)
            },
            |client, url| async move {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_redirect());
            },
            without_response("error", Some("redirect")),
        )
        .await;
    }
}

#[tokio::test]
async fn the_server_receives_the_id_of_the_exported_span() {
    for backend in Backend::ALL {
        let received_parents = Arc::new(Mutex::new(Vec::new()));
        let to = traceparent_server(received_parents.clone()).await;
        let span = observed(
            backend,
            reqwest(),
            to,
            |client, url| async move { drop(client.oneshot(get(&url)).await.unwrap()) },
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
        let mut response = status(StatusCode::FOUND);
        response.headers_mut().insert(name, value);
        Ok(response)
    }))
    .await
}

#[tokio::test]
async fn a_response_keeps_its_url_headers_extensions_and_body() {
    let bodies: [(Body, Option<u64>, &str); 3] = [
        (
            || boxed_response(Full::new(Bytes::from_static(b"whole"))),
            Some(5),
            "whole",
        ),
        (
            || boxed_response(ScriptedBody::new([Step::Data("streamed")])),
            None,
            "streamed",
        ),
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
                .service(reqwest());
            observed(
                backend,
                marking_client,
                to,
                |client, url| async move {
                    let bare = reqwest().execute(get(&url)).await.unwrap();
                    let response = client.oneshot(get(&url)).await.unwrap();
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
