//! Servers on loopback: one whose spans are looked at, and the application that it serves.

use std::{cell::Cell, net::SocketAddr};

use axum::{
    Router,
    extract::{ConnectInfo, Path, Request, connect_info::Connected},
    response::Redirect,
    routing::any,
    serve::IncomingStream,
};
use http::{HeaderMap, StatusCode};
use opentelemetry::Context;
use opentelemetry_sdk::trace::SpanData;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::util::MapRequestLayer;
use tower_otel_core::{LocalAddr, PeerAddr};
use tower_otel_trace::TraceLayer;

use crate::{
    backend::Backend,
    keys::audit,
    scene::{Scene, within},
};

/// A server on loopback, whose spans are taken one by one.
pub struct Server {
    pub scene: Scene,
    pub address: SocketAddr,
    pub backend: Backend,
    taken: Cell<usize>,
}

impl Server {
    /// [`app`] behind the layer.
    pub async fn start(backend: Backend, layer: TraceLayer) -> Self {
        Self::of(backend, Scene::new(), layer, app()).await
    }

    /// A router with the layer on its routes.
    pub async fn of(backend: Backend, scene: Scene, layer: TraceLayer, router: Router) -> Self {
        let router = backend.around(&scene, layer, router);
        Self::listen(backend, scene, router).await
    }

    /// [`app`] behind the layer, on a server that tells both ends of its connections.
    pub async fn of_ends(backend: Backend, layer: TraceLayer) -> Self {
        let scene = Scene::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = backend
            .around(&scene, layer, app())
            .layer(MapRequestLayer::new(Ends::leave))
            .into_make_service_with_connect_info::<Ends>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self::at(backend, scene, address)
    }

    /// A router that has its layers already. It knows its peers, as axum does when it is told to.
    pub async fn listen(backend: Backend, scene: Scene, router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        Self::at(backend, scene, address)
    }

    /// A server that runs already.
    pub fn at(backend: Backend, scene: Scene, address: SocketAddr) -> Self {
        Self {
            scene,
            address,
            backend,
            taken: Cell::new(0),
        }
    }

    /// Sends these lines as they are, and returns the head of the response.
    pub async fn ask(&self, request: &str) -> String {
        let (head, _) = raw(self.address, request).await;
        head
    }

    /// Sends these lines as they are, and returns the span of the exchange.
    pub async fn span_of(&self, request: &str) -> SpanData {
        let (_, _open) = raw(self.address, request).await;
        self.span().await
    }

    /// The next span that ends.
    pub async fn span(&self) -> SpanData {
        next_span(&self.scene, self.backend, &self.taken).await
    }
}

/// Both ends of a connection.
#[derive(Clone, Copy)]
struct Ends(PeerAddr, LocalAddr);

impl Connected<IncomingStream<'_, TcpListener>> for Ends {
    fn connect_info(stream: IncomingStream<'_, TcpListener>) -> Self {
        let local = stream.io().local_addr().unwrap();
        Self(PeerAddr(*stream.remote_addr()), LocalAddr(local))
    }
}

impl Ends {
    fn leave(mut request: Request) -> Request {
        let extensions = request.extensions_mut();
        let ConnectInfo(Self(peer, local)) = extensions.remove().unwrap();
        extensions.insert(peer);
        extensions.insert(local);
        request
    }
}

/// Waits for a span that has not been taken yet, and looks at it for what is true of all spans.
pub async fn next_span(scene: &Scene, backend: Backend, taken: &Cell<usize>) -> SpanData {
    let index = taken.replace(taken.get() + 1);
    scene
        .until("a span ends", |scene| scene.spans().len() > index)
        .await;
    let spans = scene.spans();
    assert_eq!(spans.len(), index + 1, "one span for each, not {spans:#?}");
    let span = spans.into_iter().nth(index).unwrap();
    audit(&span, backend);
    span
}

/// Writes lines on a connection of its own; returns the head of the response, and the connection.
pub async fn raw(address: SocketAddr, request: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{}\r\n\r\n", request.replace('\n', "\r\n"));
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
    };
    within("the head of a response comes", reading).await;
    (String::from_utf8_lossy(&head).into_owned(), stream)
}

/// A server with a bit of everything.
pub fn app() -> Router {
    Router::new()
        .route("/users/{id}", any(|| async { "a user" }))
        .route(
            "/status/{code}",
            any(|Path(code): Path<u16>| async move { StatusCode::from_u16(code).unwrap() }),
        )
        .route("/moved", any(|| async { Redirect::to("/users/7") }))
        .route("/round", any(|| async { Redirect::to("/round") }))
        .route("/stall", any(std::future::pending::<StatusCode>))
        .route("/context", any(context))
}

/// Answers with the headers that a request made meanwhile would carry.
pub async fn context() -> HeaderMap {
    let mut headers = HeaderMap::new();
    tower_otel_propagate::inject(&Context::current(), &mut headers);
    headers
}

/// The `traceparent` in the head of a response from [`context`].
pub fn traceparent(head: &str) -> Option<&str> {
    head.lines()
        .find_map(|line| line.strip_prefix("traceparent: "))
}
