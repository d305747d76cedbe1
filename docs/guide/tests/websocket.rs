//! Runs the program with a WebSocket.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use futures_util::{SinkExt, StreamExt};
use support::{Program, assert_lines, attribute};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

type Socket = WebSocketStream<TcpStream>;

/// Starts the program, and sends a message.
async fn connect() -> (Program, Socket) {
    let program = Program::serve(env!("CARGO_BIN_EXE_websocket"));
    let address = program.url.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}/chat");
    let (mut socket, _) = client_async(url, stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    assert_eq!(answer, Message::text("hello"));
    (program, socket)
}

#[tokio::test]
async fn an_open_connection_does_not_delay_the_stop_and_its_span_is_exported() {
    let (program, socket) = connect().await;
    let ended = program.stop();
    drop(socket);
    assert_eq!(
        ended.names(),
        ["GET /chat", "message", "upgraded connection"]
    );
    assert_eq!(
        attribute(ended.span("upgraded connection"), "error.type"),
        None
    );
}

#[tokio::test]
async fn an_upgraded_connection_is_open_until_it_ends_and_has_a_linked_span() {
    let (program, socket) = connect().await;
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
