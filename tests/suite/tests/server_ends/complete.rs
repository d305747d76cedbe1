//! Responses that end as announced are complete.

use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Empty;
use suite_tests::{
    net::Step,
    response::{boxed_response, full, scripted, with_status},
};

use crate::exchange::{COMPLETE, exchange, read, read_get, request, with_code};

#[tokio::test]
async fn a_body_that_is_never_polled_past_its_content_length_is_complete() {
    exchange(|_| async { Ok(full("whole")) }, read_get, COMPLETE).await;
}

#[tokio::test]
async fn a_stream_with_a_content_length_header_is_complete() {
    exchange(
        |_| async {
            let mut response = scripted([Step::Data("who"), Step::Data("le")]);
            let length = HeaderValue::from_static("5");
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            Ok(response)
        },
        read_get,
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    exchange(
        |_| async { Ok(scripted([Step::Data("a"), Step::Data("b")])) },
        read_get,
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers_is_complete() {
    exchange(
        |_| async {
            let mut response = scripted([Step::Data("a"), Step::Trailers]);
            let names = HeaderValue::from_static("x-checked");
            response.headers_mut().insert(header::TRAILER, names);
            Ok(response)
        },
        read_get,
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn an_empty_body_is_complete() {
    exchange(
        |_| async { Ok(boxed_response(Empty::new())) },
        read_get,
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_response_to_head_is_complete_without_its_body() {
    exchange(
        |_| async { Ok(scripted([Step::Data("dropped unread")])) },
        |connection| read(connection, request(Method::HEAD)),
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_are_complete_without_a_body() {
    for (status, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        exchange(
            move |_| async move {
                Ok(with_status(
                    status,
                    scripted([Step::Data("dropped unread")]),
                ))
            },
            read_get,
            with_code(status, label, None),
        )
        .await;
    }
}
