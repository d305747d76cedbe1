//! Responses that end as announced are complete.

use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use suite_tests::{
    net::Step,
    response::{boxed_response, full, scripted, with_status},
};
use tower::ServiceExt;

use crate::{
    exchange::{exchanges, get, read, request},
    expected::{COMPLETE, Expected, with_code},
};

#[tokio::test]
async fn a_body_with_a_content_length_is_complete() {
    exchanges(
        |_| async { Ok(full("whole")) },
        async |client, url| assert_eq!(read(client, url).await, "whole"),
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    exchanges(
        |_| async { Ok(scripted([Step::Data("a"), Step::Data("b")])) },
        async |client, url| assert_eq!(read(client, url).await, "ab"),
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers_is_complete_and_the_trailers_arrive() {
    exchanges(
        |_| async {
            let mut response = scripted([Step::Data("a"), Step::Trailers]);
            let names = HeaderValue::from_static("x-checked");
            response.headers_mut().insert(header::TRAILER, names);
            Ok(response)
        },
        async |client, url| {
            let response = client.oneshot(get(&url)).await.unwrap();
            let collected = response.into_body().collect().await.unwrap();
            assert_eq!(collected.trailers().unwrap()["x-checked"], "yes");
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn an_empty_body_is_complete_at_the_head() {
    exchanges(
        |_| async { Ok(boxed_response(Empty::new())) },
        async |client, url| {
            let response = client.oneshot(get(&url)).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK);
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_response_to_head_is_complete_at_the_head() {
    exchanges(
        |_| async { Ok(full("never sent")) },
        async |client, url| {
            let request = request(Method::HEAD, &url);
            let response = client.oneshot(request).await.unwrap();
            assert_eq!(response.headers()[header::CONTENT_LENGTH], "10");
        },
        Expected {
            method: "HEAD",
            ..COMPLETE
        },
    )
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_are_complete_at_the_head() {
    for (code, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        exchanges(
            move |_| async move { Ok(with_status(code, boxed_response(Empty::new()))) },
            async |client, url| assert_eq!(read(client, url).await, ""),
            with_code(code, label, None),
        )
        .await;
    }
}
