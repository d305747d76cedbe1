//! An upgrade ends at its handshake.

use http::{HeaderValue, StatusCode, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use suite_tests::{
    backend::Backend,
    net::Http,
    response::{boxed_response, with_status},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::{
    exchange::{Setup, exchange, get},
    expected::with_code,
};

#[tokio::test]
async fn an_upgrade_ends_at_its_handshake_and_the_connection_works() {
    for backend in Backend::ALL {
        let http = Http::One;
        exchange(
            Setup { http, backend },
            |mut request| async move {
                tokio::spawn(async move {
                    let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
                    TokioIo::new(upgraded).write_all(b"hello").await.unwrap();
                });
                let switching = StatusCode::SWITCHING_PROTOCOLS;
                let mut response = with_status(switching, boxed_response(Empty::new()));
                upgrade(response.headers_mut());
                Ok(response)
            },
            async |client, url| {
                let mut request = get(&url);
                upgrade(request.headers_mut());
                let response = client.oneshot(request).await.unwrap();
                let upgraded = hyper::upgrade::on(response).await.unwrap();
                let mut received = String::new();
                let mut upgraded = TokioIo::new(upgraded);
                upgraded.read_to_string(&mut received).await.unwrap();
                assert_eq!(received, "hello");
            },
            with_code(StatusCode::SWITCHING_PROTOCOLS, "101", None),
        )
        .await;
    }
}

fn upgrade(headers: &mut http::HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("hello"));
}
