//! Servers and clients on loopback, with hyper on smol.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body;
use http_body_util::Empty;
use hyper::{body::Incoming, client, server, service::service_fn};
use smol::{
    LocalExecutor,
    net::{TcpListener, TcpStream},
};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use tower::{Service, ServiceExt};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The executor of the connections, which lives as long as the process.
pub type Executor = &'static LocalExecutor<'static>;

/// Runs a test and its connections on this thread.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Executor) -> F) {
    let executor: Executor = Box::leak(Box::new(LocalExecutor::new()));
    smol::block_on(executor.run(test(executor)));
}

/// Serves connections on a free port of loopback until the test ends.
pub async fn serve<S, B>(executor: Executor, service: S) -> SocketAddr
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>> + Clone + 'static,
    B: Body<Error: Into<BoxError>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accept = async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            let service = service_fn(move |request| service.clone().oneshot(request));
            let connection = server::conn::http1::Builder::new()
                .timer(SmolTimer::new())
                .serve_connection(FuturesIo::new(stream), service);
            // The tests abort connections, so errors are ignored.
            executor.spawn(connection).detach();
        }
    };
    executor.spawn(accept).detach();
    address
}

/// Sends a request on a new connection, which is closed when the response is dropped.
pub async fn send(
    executor: Executor,
    mut request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, BoxError> {
    let authority = request.uri().authority().ok_or("no host")?.clone();
    let stream = TcpStream::connect(authority.as_str()).await?;
    let (mut sender, connection) = client::conn::http1::handshake(FuturesIo::new(stream)).await?;
    executor.spawn(connection).detach();

    let host = HeaderValue::from_str(authority.as_str())?;
    request.headers_mut().insert(header::HOST, host);
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
    Ok(sender.send_request(request).await?)
}

/// Returns a GET request to a server.
pub fn get(to: SocketAddr, path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://{to}{path}"))
        .body(Empty::new())
        .unwrap()
}
