//! The same through `reqwest::Client` as a tower service.

use super::*;

/// No proxy from the environment, and a wait that only ends when the test makes it.
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
    told: Told,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
{
    let to = serve(service_fn(handle)).await;
    let span = observed(backend, reqwest(), to, drive, told).await;
    let answered = told.code.is_some();
    assert_eq!(
        text(&span, "network.protocol.version"),
        answered.then(|| "1.1".to_owned())
    );
    assert_eq!(
        integer(&span, "network.peer.port"),
        answered.then(|| i64::from(to.port()))
    );
}

fn get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}

/// Lets time run out for whoever waits for nothing else.
struct TimeRunsOut;

impl TimeRunsOut {
    fn now() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for TimeRunsOut {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_body_with_a_content_length() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(answer(Full::new(Bytes::from_static(b"whole")))) },
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
async fn a_stream_of_unknown_length() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Data("b")]))) },
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                assert_eq!(response.content_length(), None);
                let mut whole = Vec::new();
                while let Some(chunk) = response.chunk().await.unwrap() {
                    whole.extend(chunk);
                }
                assert_eq!(whole, b"ab");
            },
            COMPLETE,
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_error() {
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
            Told {
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
async fn a_connection_that_is_refused() {
    for backend in Backend::ALL {
        let (_held, to) = silent();
        observed(
            backend,
            reqwest(),
            to,
            |client, url| async move {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            unanswered("error", Some("connection_refused")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_that_dies_before_the_head() {
    for backend in Backend::ALL {
        let (began, has_begun) = oneshot::channel();
        let server = Mortal::serve(stuck(began)).await;
        observed(
            backend,
            reqwest(),
            server.address(),
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                has_begun.await.unwrap();
                server.die();
                assert!(request.await.unwrap().unwrap_err().is_request());
            },
            unanswered("error", Some("connection_reset")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_before_the_head() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Err("no answer".into()) },
            |client, url| async move {
                client.oneshot(get(&url)).await.unwrap_err();
            },
            unanswered("error", Some("connection_closed")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_body_that_the_server_breaks_off() {
    for backend in Backend::ALL {
        let (go_on, told) = oneshot::channel();
        exchange(
            backend,
            breaking_off(told),
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
                go_on.send(()).unwrap();
                response.chunk().await.unwrap_err();
            },
            Told {
                error: Some("connection_closed"),
                ..COMPLETE
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_request_that_times_out_before_the_head() {
    for backend in Backend::ALL {
        let (began, has_begun) = oneshot::channel();
        let began = once(began);
        exchange(
            backend,
            move |_| {
                began();
                pending()
            },
            |client, url| async move {
                let request = tokio::spawn(client.oneshot(get(&url)));
                has_begun.await.unwrap();
                let _time = TimeRunsOut::now();
                assert!(request.await.unwrap().unwrap_err().is_timeout());
            },
            unanswered("error", Some("timeout")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_body_that_times_out() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Stall]))) },
            |client, url| async move {
                let mut response = client.oneshot(get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
                let _time = TimeRunsOut::now();
                assert!(response.chunk().await.unwrap_err().is_timeout());
            },
            Told {
                error: Some("timeout"),
                ..COMPLETE
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_before_the_head_is_no_error() {
    for backend in Backend::ALL {
        let (began, has_begun) = oneshot::channel();
        let began = once(began);
        exchange(
            backend,
            move |_| {
                began();
                pending()
            },
            |client, url| async move {
                tokio::select! {
                    _ = client.oneshot(get(&url)) => panic!("nobody answers"),
                    begun = has_begun => begun.unwrap(),
                }
            },
            unanswered("cancelled", None),
        )
        .await;
    }
}

#[tokio::test]
async fn a_body_that_is_given_up_is_no_error() {
    for backend in Backend::ALL {
        exchange(
            backend,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Stall]))) },
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
async fn a_circle_of_redirects() {
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
            unanswered("error", Some("redirect")),
        )
        .await;
    }
}

#[tokio::test]
async fn the_server_is_told_the_span_that_is_exported() {
    for backend in Backend::ALL {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let to = listener(seen.clone()).await;
        let span = observed(
            backend,
            reqwest(),
            to,
            |client, url| async move { drop(client.oneshot(get(&url)).await.unwrap()) },
            COMPLETE,
        )
        .await;
        assert_eq!(*seen.lock().unwrap(), [traceparent(&span)]);
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Marked(u8);

type Body = fn() -> Answer;

/// Redirects from anywhere but `/new`, where `body` is.
async fn redirecting(body: Body) -> SocketAddr {
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
async fn nothing_of_a_response_is_lost() {
    let bodies: [(Body, Option<u64>, &str); 3] = [
        (
            || answer(Full::new(Bytes::from_static(b"whole"))),
            Some(5),
            "whole",
        ),
        (
            || answer(Script::of([Step::Data("streamed")])),
            None,
            "streamed",
        ),
        (|| answer(Empty::new()), Some(0), ""),
    ];
    for (body, length, text) in bodies {
        for backend in Backend::ALL {
            let to = redirecting(body).await;
            let marking = ServiceBuilder::new()
                .map_response(|mut response: reqwest::Response| {
                    response.extensions_mut().insert(Marked(7));
                    response
                })
                .service(reqwest());
            observed(
                backend,
                marking,
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
                    assert_eq!(response.extensions().get(), Some(&Marked(7)));
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
