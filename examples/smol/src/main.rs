//! A server and a client on smol, without the tokio runtime: `cargo run -p example-smol`.
//!
//! Sends two requests to its own server. Prints each span when it closes, then the counters.

use std::{convert::Infallible, error::Error, io::IsTerminal};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{body::Incoming, client, server, service::service_fn};
use smol::{
    LocalExecutor,
    net::{TcpListener, TcpStream},
};
use smol_hyper::rt::{FuturesIo, SmolTimer};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_trace::{HttpOptions, TraceLayer};
use tracing_subscriber::fmt::format::FmtSpan;

async fn hello(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

async fn serve(listener: TcpListener) -> Result<(), Box<dyn Error>> {
    let options = HttpOptions::default()
        .route(|request| (request.target().path == "/hello").then(|| "/hello".into()));
    let service = ServiceBuilder::new()
        .layer(TraceLayer::server().http_options(&options))
        .layer(MetricsLayer::server().http_options(&options))
        .service_fn(hello);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(|request| service.clone().oneshot(request));
        let connection = server::conn::http1::Builder::new()
            .timer(SmolTimer::new())
            .serve_connection(FuturesIo::new(stream), service);
        connection.await?;
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(std::io::stdout().is_terminal())
        .init();
    let prometheus = Prometheus::builder().install()?;
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        executor.spawn(serve(listener)).detach();

        let stream = FuturesIo::new(TcpStream::connect(address).await?);
        let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
        executor.spawn(connection).detach();
        let mut client = ServiceBuilder::new()
            .layer(TraceLayer::client())
            .service_fn(move |request| sender.send_request(request));
        for path in ["hello", "wp-admin.php"] {
            let url = format!("http://{address}/{path}");
            let request = Request::get(url)
                .header("host", "localhost")
                .body(Empty::<Bytes>::new())?;
            let response = client.ready().await?.call(request).await?;
            response.into_body().collect().await?; // ends the exchange
        }
        for line in prometheus
            .render()
            .lines()
            .filter(|line| line.contains("_total{"))
        {
            println!("{line}");
        }
        Ok(())
    }))
}
