//! gRPC calls between a real tonic server and a channel: for each call, counter, histogram and span agree
//! in both naming schemes, and no call is counted as HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::time::Duration;

use suite_tests::{
    grpc_calls::{CANCELLED, CANCELLED_ON_CLIENT, Client, ExpectedStatus, path, unary},
    grpc_metrics::GrpcPair,
    grpc_service::StringCodec,
    telemetry::{text, with_timeout},
};
use tonic::Code;
use tower_otel_metrics::MetricsLayer;

/// Makes a call of this method with this message, and reads the response to its end.
async fn call(client: &mut Client, method: &str, message: &str) -> Code {
    client.ready().await.unwrap();
    let message = message.to_owned();
    let messages = tokio_stream::once(message.clone());
    let path = path(method);
    let responses = match method {
        "Unary" => {
            let call = client.unary(tonic::Request::new(message), path, StringCodec);
            return call.await.map_or_else(|status| status.code(), |_| Code::Ok);
        }
        "Client" => {
            let call = client.client_streaming(tonic::Request::new(messages), path, StringCodec);
            return call.await.map_or_else(|status| status.code(), |_| Code::Ok);
        }
        "Server" => {
            let request = tonic::Request::new(message);
            client.server_streaming(request, path, StringCodec).await
        }
        _ => {
            let request = tonic::Request::new(messages);
            client.streaming(request, path, StringCodec).await
        }
    };
    let mut responses = match responses {
        Ok(responses) => responses.into_inner(),
        Err(status) => return status.code(),
    };
    loop {
        match responses.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(status) => return status.code(),
        }
    }
}

/// Each status, and whether it is an error of the server.
const STATUSES: &str = "
    ok OK
    1  CANCELLED
    2  UNKNOWN             error
    3  INVALID_ARGUMENT
    4  DEADLINE_EXCEEDED   error
    5  NOT_FOUND
    6  ALREADY_EXISTS
    7  PERMISSION_DENIED
    8  RESOURCE_EXHAUSTED
    9  FAILED_PRECONDITION
    10 ABORTED
    11 OUT_OF_RANGE
    12 UNIMPLEMENTED       error
    13 INTERNAL            error
    14 UNAVAILABLE         error
    15 DATA_LOSS           error
    16 UNAUTHENTICATED
";

#[tokio::test]
async fn every_status_of_every_kind_of_method_is_counted_as_its_span_records_it() {
    let mut pair = GrpcPair::start().await;
    for method in ["Unary", "Client", "Server", "Bidi"] {
        let name = format!("shop.Cart/{method}");
        for line in STATUSES.lines().filter(|line| !line.trim().is_empty()) {
            let mut words = line.split_whitespace();
            let message = words.next().unwrap();
            let status = words.next().unwrap();
            let is_server_error = words.next().is_some();
            let recorded = pair
                .record(async |client| {
                    let code = call(client, method, message).await;
                    assert_eq!(code, Code::from(message.parse().unwrap_or(0)), "{line}");
                })
                .await;
            // The rule is the same as in the span.
            let server_method = match status {
                "UNIMPLEMENTED" => "_OTHER",
                _ => &*name,
            };
            assert_eq!(
                text(&recorded.server, "rpc.method").as_deref(),
                Some(server_method)
            );
            let server = (status, is_server_error.then_some(status));
            let client = (status, (status != "OK").then_some(status));
            pair.assert_recorded(&recorded, (server_method, server), (&name, client));
        }
    }
}

/// Checks a call of a method that has responded before.
async fn assert_call(
    method: &str,
    expected_server: ExpectedStatus,
    expected_client: ExpectedStatus,
    make_call: impl AsyncFnOnce(&mut Client),
) {
    let mut pair = GrpcPair::start().await;
    pair.record(async |client| {
        call(client, method, "ok").await;
    })
    .await;
    let recorded = pair.record(make_call).await;
    let name = format!("shop.Cart/{method}");
    pair.assert_recorded(
        &recorded,
        (&name, expected_server),
        (&name, expected_client),
    );
}

#[tokio::test]
async fn a_stream_that_its_client_drops_is_cancelled() {
    assert_call("Server", CANCELLED, CANCELLED_ON_CLIENT, async |client| {
        client.ready().await.unwrap();
        let request = tonic::Request::new("stall".to_owned());
        let responses = client.server_streaming(request, path("Server"), StringCodec);
        let mut responses = responses.await.unwrap().into_inner();
        assert_eq!(responses.message().await.unwrap().unwrap(), "a");
    })
    .await;
}

#[tokio::test]
async fn a_call_that_its_client_drops_before_the_response_is_cancelled() {
    let mut pair = GrpcPair::start().await;
    pair.record(async |client| {
        call(client, "Unary", "ok").await;
    })
    .await;
    let called = pair.service.called.clone();
    with_timeout("the first call arrives", called.notified()).await;
    let recorded = pair
        .record(async |client| {
            tokio::select! {
                _ = unary(client, path("Unary"), "stall") => panic!("unexpected response"),
                () = with_timeout("the call arrives", called.notified()) => {}
            }
        })
        .await;
    let name = "shop.Cart/Unary";
    pair.assert_recorded(&recorded, (name, CANCELLED), (name, CANCELLED_ON_CLIENT));
}

const LATE: ExpectedStatus = ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED"));

/// Calls a method that does not respond, with a deadline. If the channel has a timeout, the client's timer is the one
/// of the channel.
async fn exceed_deadline(client: &mut Client) {
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(tokio_stream::once("stall".to_owned()));
    request.set_timeout(Duration::from_millis(400));
    let response = client.client_streaming(request, path("Client"), StringCodec);
    response.await.unwrap_err();
}

#[tokio::test]
async fn a_call_past_its_deadline_is_deadline_exceeded_on_both_ends() {
    assert_call("Client", LATE, LATE, exceed_deadline).await;
}

#[tokio::test]
async fn a_handler_that_panics_is_unknown_on_the_server_and_what_the_caller_sees_on_the_client() {
    let mut pair = GrpcPair::start().await;
    let name = "shop.Cart/Unary";
    pair.record(async |client| {
        call(client, "Unary", "ok").await;
    })
    .await;
    let recorded = pair
        .record(async |client| {
            let status = unary(client, path("Unary"), "panic").await.unwrap_err();
            // The panic resets the stream.
            assert_eq!(status.code(), Code::Cancelled, "{status:?}");
        })
        .await;
    let server = ("UNKNOWN", Some("panic"));
    pair.assert_recorded(&recorded, (name, server), (name, CANCELLED_ON_CLIENT));
}

#[tokio::test]
async fn calls_are_in_flight_until_they_end() {
    let mut pair = GrpcPair::start().await;
    let host = pair.address;
    pair.record(async |client| {
        call(client, "Server", "ok").await;
    })
    .await;
    pair.client.ready().await.unwrap();
    let request = tonic::Request::new("stall".to_owned());
    let responses = pair
        .client
        .server_streaming(request, path("Server"), StringCodec);
    let mut responses = responses.await.unwrap().into_inner();
    assert_eq!(responses.message().await.unwrap().unwrap(), "a");
    let gauges = [
        r#"grpc_requests_in_flight{method="shop.Cart/Server"}"#.to_owned(),
        format!(r#"grpc_client_requests_in_flight{{host="{host}"}}"#),
        r#"conventions_grpc_requests_in_flight{rpc_method="shop.Cart/Server",rpc_system_name="grpc"}"#
            .to_owned(),
        format!(
            r#"conventions_grpc_client_requests_in_flight{{rpc_method="shop.Cart/Server",rpc_system_name="grpc",server_address="{}",server_port="{}"}}"#,
            host.ip(),
            host.port()
        ),
    ];
    for gauge in &gauges {
        assert_eq!(pair.counted().get(gauge), Some(&1.0), "{gauge}");
    }
    drop(responses);
    pair.recorded().await;
    for gauge in &gauges {
        assert_eq!(pair.counted().get(gauge), Some(&0.0), "{gauge}");
    }
}

#[tokio::test]
async fn custom_labels_and_body_sizes_apply_to_calls_as_documented() {
    let labelled = |layer: MetricsLayer| {
        layer
            .body_sizes()
            .duration_to_head()
            .label("tenant", |_| Some("acme".into()))
            .response_label("version", |response| {
                Some(format!("{:?}", response.version()).into())
            })
    };
    let (server, client) = (MetricsLayer::server(), MetricsLayer::client());
    let mut pair = GrpcPair::with_layers(labelled(server), labelled(client), |server| server).await;
    let recorded = pair
        .record(async |client| {
            call(client, "Unary", "ok").await;
        })
        .await;
    assert_eq!(recorded.changes.len(), 6, "{recorded:#?}");
    for series in recorded.changes.keys() {
        assert!(series.contains(r#"tenant="acme""#), "{series}");
        assert!(series.contains(r#"version="HTTP/2.0""#), "{series}");
        assert!(!series.contains("body_size"), "{series}");
    }
}
