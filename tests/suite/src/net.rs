//! Servers and clients on loopback, over HTTP/1.1 and HTTP/2.

use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tower::Service;

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An HTTP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

/// A step of a scripted body.
#[derive(Debug)]
pub enum Step {
    Data(&'static str),
    Trailers,
    Error,
    /// Waits for a signal from the test.
    WaitFor(oneshot::Receiver<()>),
    /// Is pending forever.
    Pending,
    Panic,
}

/// A body of unknown length that follows a list of steps.
#[derive(Debug, Default)]
pub struct ScriptedBody(std::collections::VecDeque<Step>);

impl ScriptedBody {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(steps.into_iter().collect())
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while let Some(Step::WaitFor(signal)) = self.0.front_mut() {
            let _ = ready!(Pin::new(signal).poll(cx));
            self.0.pop_front();
        }
        Poll::Ready(match self.0.pop_front() {
            None => None,
            Some(Step::Data(data)) => Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))),
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-checked", HeaderValue::from_static("yes"));
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Step::Error) => Some(Err(
                std::io::Error::from(std::io::ErrorKind::TimedOut).into()
            )),
            Some(wait @ (Step::Pending | Step::WaitFor(_))) => {
                self.0.push_front(wait);
                return Poll::Pending;
            }
            Some(Step::Panic) => panic!("the body panics"),
        })
    }
}

/// Serves connections on a free port of loopback until the test ends.
pub async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let connection =
                    builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                // Tests also end connections with errors.
                let _ = connection.await;
            });
        }
    });
    address
}

/// A server of one connection, which the test can reset.
#[derive(Debug)]
pub struct ResettableServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl ResettableServer {
    pub async fn serve<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
            + Clone
            + Send
            + 'static,
        B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            // Refuses further connections. With zero linger, the abort always resets the connection.
            drop(listener);
            stream.set_zero_linger().unwrap();
            let service = TowerToHyperService::new(service);
            let builder = auto::Builder::new(TokioExecutor::new());
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        Self { address, task }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets the connection.
    pub fn reset(self) {
        self.task.abort();
    }
}

/// Returns a socket and its address, which refuses connections while the socket is open.
pub fn refusing_address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A client without telemetry, on one connection that the test can close.
pub struct ClientConnection {
    sender: Sender,
    connection: JoinHandle<()>,
}

enum Sender {
    One(hyper::client::conn::http1::SendRequest<Empty<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Empty<Bytes>>),
}

impl ClientConnection {
    pub async fn connect(http: Http, to: SocketAddr) -> Self {
        let io = TokioIo::new(TcpStream::connect(to).await.unwrap());
        match http {
            Http::One => {
                let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
                Self::new(Sender::One(sender), connection)
            }
            Http::Two => {
                let (sender, connection) =
                    hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                        .await
                        .unwrap();
                Self::new(Sender::Two(sender), connection)
            }
        }
    }

    fn new(
        sender: Sender,
        connection: impl Future<Output = hyper::Result<()>> + Send + 'static,
    ) -> Self {
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, connection }
    }

    pub async fn send(
        &mut self,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::One(sender) => sender.send_request(request).await,
            Sender::Two(sender) => sender.send_request(request).await,
        }
    }

    /// Closes the connection, like a client that disconnects.
    pub fn close(self) {
        self.connection.abort();
    }
}

impl fmt::Debug for ClientConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConnection").finish_non_exhaustive()
    }
}

/// Returns hyper-util's pooled client.
pub fn pooled_client(http: Http) -> Client<HttpConnector, Empty<Bytes>> {
    Client::builder(TokioExecutor::new())
        .http2_only(http == Http::Two)
        .build_http()
}

/// Converts an error that cannot occur.
pub fn infallible(error: Infallible) -> BoxError {
    match error {}
}
