//! An upgrade ends at its handshake.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::Empty;
use suite_tests::{
    net::Http,
    response::{boxed_response, with_status},
};

use crate::exchange::{exchange_over, get, with_code};

#[tokio::test]
async fn an_upgrade_ends_at_its_handshake() {
    exchange_over(
        Http::One,
        |_| async {
            let switching = StatusCode::SWITCHING_PROTOCOLS;
            let mut response = with_status(switching, boxed_response(Empty::new()));
            upgrade(response.headers_mut());
            Ok(response)
        },
        async |mut connection| {
            let mut request = get();
            upgrade(request.headers_mut());
            let response = connection.send(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        },
        with_code(StatusCode::SWITCHING_PROTOCOLS, "101", None),
    )
    .await;
}

fn upgrade(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
}
