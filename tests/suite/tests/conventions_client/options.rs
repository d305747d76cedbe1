//! What is recorded by option only.

use http::{HeaderName, header};
use suite_tests::{
    backend::Backend,
    client::{hyper_client_to, request},
    net::Http,
    table::{Absent, Int, List, Str, assert_span_attributes},
};
use tower_otel_trace::{OptIn, TraceLayer};

use crate::{ALL, Client, everything, table};

#[tokio::test]
async fn headers_and_body_sizes_are_recorded_by_option() {
    for backend in Backend::ALL {
        let layer = TraceLayer::client()
            .body_sizes()
            .capture_request_headers([header::ACCEPT, header::AUTHORIZATION])
            .capture_response_headers([HeaderName::from_static("content-type")]);
        let client = Client::new(backend, layer).await;
        let mut request = request("POST http://api.example/users/7");
        let headers = request.headers_mut();
        headers.append(header::ACCEPT, "text/plain".parse().unwrap());
        headers.append(header::AUTHORIZATION, "Bearer s3cr3t".parse().unwrap());
        headers.append(header::CONTENT_LENGTH, "0".parse().unwrap());
        client
            .send_with(hyper_client_to(Http::One, client.server), request)
            .await;
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("http.request.header.accept", List(&["*/*", "text/plain"])),
                ("http.request.header.authorization", List(&["REDACTED"])),
                (
                    "http.response.header.content-type",
                    List(&["text/plain; charset=utf-8"]),
                ),
                ("http.request.body.size", Int(0)),
                ("http.response.body.size", Int(6)),
            ],
        );
    }
}

/// Sends a request with this user agent.
async fn send_with_user_agent(client: &Client, user_agent: &str) {
    let mut request = request("GET http://api.example/users/7");
    let user_agent = user_agent.parse().unwrap();
    request.headers_mut().insert(header::USER_AGENT, user_agent);
    let http = hyper_client_to(Http::One, client.server);
    client.send_with(http, request).await;
}

#[tokio::test]
async fn opt_in_attributes_are_absent_by_default() {
    for backend in Backend::ALL {
        let client = Client::new(backend, TraceLayer::client()).await;
        send_with_user_agent(&client, "Googlebot/2.1").await;
        assert_span_attributes(
            &client.next_span().await,
            &[
                ("url.scheme", Absent),
                ("user_agent.original", Absent),
                ("user_agent.synthetic.type", Absent),
                ("network.transport", Absent),
            ],
        );
    }
}

#[tokio::test]
async fn user_agent_original_and_synthetic_type_are_recorded_by_option() {
    let layer = || TraceLayer::client().opt_in([OptIn::UserAgent, OptIn::UserAgentSynthetic]);
    for backend in Backend::ALL {
        for (client_layer, original) in [
            (layer(), Str("a Bingbot")),
            // `personal_data(false)` omits the user agent. Its type is not personal data.
            (layer().personal_data(false), Absent),
        ] {
            let client = Client::new(backend, client_layer).await;
            send_with_user_agent(&client, "a Bingbot").await;
            assert_span_attributes(
                &client.next_span().await,
                &[
                    ("user_agent.original", original),
                    ("user_agent.synthetic.type", Str("bot")),
                ],
            );
        }
    }
    table(
        &ALL,
        layer,
        "GET http://api.example/users/7 => user_agent.original=- | user_agent.synthetic.type=-",
    )
    .await;
}

/// A layer does not see the encoded head. Bodies are unbounded and can contain secrets. The protocol is always `http`.
#[tokio::test]
async fn unsupported_and_server_only_attributes_are_absent_with_every_option() {
    table(
        &ALL,
        everything,
        "
        GET http://api.example/users/7 => http.request.size=- | http.response.size=-
        GET http://api.example/users/7 => http.request.body.content=- | http.response.body.content=-
        GET http://api.example/users/7 => network.protocol.name=- | client.port=-
        GET http://api.example/users/7 => network.local.address=- | network.local.port=-
        ",
    )
    .await;
}
