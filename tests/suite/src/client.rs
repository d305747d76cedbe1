//! Clients that connect to loopback for any host.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, Uri, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::Connect},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpStream, sync::Mutex};
use tower::Service;

use crate::net::Http;

/// Returns hyper-util's client, connecting to this address for any URL.
pub fn hyper_client_to(
    http: Http,
    address: SocketAddr,
) -> Client<impl Connect + Clone + Send + Sync + 'static, Empty<Bytes>> {
    let connect = tower::service_fn(move |_: Uri| {
        Box::pin(async move { TcpStream::connect(address).await.map(TokioIo::new) })
    });
    Client::builder(TokioExecutor::new())
        .http2_only(http == Http::Two)
        .build(connect)
}

/// Returns a reqwest client that resolves `api.example` to this address.
pub fn reqwest_client_to(http: Http, address: SocketAddr) -> reqwest::Client {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .resolve("api.example", address);
    match http {
        Http::One => builder.http1_only(),
        Http::Two => builder.http2_prior_knowledge(),
    }
    .build()
    .unwrap()
}

/// Returns hyper's client on one connection, which sends requests unchanged.
pub async fn single_connection_client(
    address: SocketAddr,
) -> impl Service<
    Request<Empty<Bytes>>,
    Response = Response<Incoming>,
    Error = hyper::Error,
    Future: Send,
> + Clone {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let sender = Arc::new(Mutex::new(sender));
    tower::service_fn(move |request| {
        let sender = Arc::clone(&sender);
        async move { sender.lock().await.send_request(request).await }
    })
}

/// Returns a request without a body, from `METHOD URL`.
pub fn request(line: &str) -> Request<Empty<Bytes>> {
    let (method, url) = line.split_once(' ').unwrap();
    Request::builder()
        .method(method)
        .uri(url)
        .header(header::ACCEPT, "*/*")
        .body(Empty::new())
        .unwrap()
}
