//! Runs the program with a WebSocket.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use futures_util::{SinkExt, StreamExt};
use support::{Program, assert_lines};
use tokio::net::TcpStream;
use tokio_tungstenite::{client_async, tungstenite::Message};

#[tokio::test]
async fn an_upgraded_connection_is_open_until_it_ends_and_has_a_linked_span() {
    let program = Program::serve(env!("CARGO_BIN_EXE_websocket"));
    let address = program.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{address}/chat"), stream)
        .await
        .unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::text("hello"));
    assert_lines(
        &program.text("/metrics").await,
        &[
            r#"http_streams_open{method="GET"} 1"#,
            r#"http_requests_total{method="GET",path="/chat",status="101"} 1"#,
            r#"http_requests_in_flight{method="GET"} 0"#,
        ],
    );
    drop(socket);
    program
        .until_metric(r#"http_streams_open{method="GET"} 0"#)
        .await;
    let ended = program.stop();
    ended.assert_child("message", "upgraded connection");
    let request = ended.span("GET /chat");
    let connection = ended.span("upgraded connection");
    assert_ne!(connection.trace_id, request.trace_id);
    assert_eq!(connection.links[0].span_id, request.span_id);
}
