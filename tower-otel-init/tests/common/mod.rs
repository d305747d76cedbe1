//! An OTLP collector on a thread of its own, as if in another process: gRPC and HTTP on one port.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

pub const LONG: Duration = Duration::from_secs(60);

/// How a collector behaves.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    Takes,
    /// The first of each batch is rejected, in a `partial_success`.
    Rejects,
    Refuses,
    Hangs,
}

#[derive(Default)]
pub struct Received {
    pub spans: Vec<Span>,
    pub resources: Vec<(String, Value)>,
    /// Name, version and schema of the scopes of the last spans.
    pub scopes: Vec<[String; 3]>,
    pub headers: Vec<(String, String)>,
    pub metrics: Vec<String>,
    pub logs: Vec<LogRecord>,
    pub calls: usize,
}

#[derive(Clone)]
struct Service {
    received: Arc<Mutex<Received>>,
    mood: Mood,
}

pub struct Collector {
    pub received: Arc<Mutex<Received>>,
    pub address: SocketAddr,
    #[cfg(feature = "tls")]
    identity: Option<(String, String)>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Collector {
    pub fn grpc() -> Self {
        Self::start(false, Mood::Takes)
    }

    pub fn http() -> Self {
        Self::start(true, Mood::Takes)
    }

    /// Both protocols, with TLS.
    #[cfg(feature = "tls")]
    pub fn tls(certificate: &str, key: &str) -> Self {
        let mut collector = Self {
            received: Arc::default(),
            address: "127.0.0.1:0".parse().unwrap(),
            identity: Some((certificate.to_owned(), key.to_owned())),
            running: None,
        };
        collector.run(false, Mood::Takes);
        collector
    }

    pub fn start(http: bool, mood: Mood) -> Self {
        let mut collector = Self {
            received: Arc::default(),
            address: "127.0.0.1:0".parse().unwrap(),
            #[cfg(feature = "tls")]
            identity: None,
            running: None,
        };
        collector.run(http, mood);
        collector
    }

    /// Starts, again at the same address if it has been running.
    pub fn run(&mut self, http: bool, mood: Mood) {
        let deadline = Instant::now() + LONG;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        };
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let service = Service {
            received: Arc::clone(&self.received),
            mood,
        };
        #[cfg(feature = "tls")]
        let identity = self.identity.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                #[cfg(feature = "tls")]
                if let Some(identity) = identity {
                    tokio::spawn(service.tls(listener, identity));
                    let _ = stopped.await;
                    return;
                }
                if http {
                    tokio::spawn(async move { axum::serve(listener, service.http()).await });
                } else {
                    tokio::spawn(service.grpc(listener));
                }
                let _ = stopped.await;
            });
            // Connections break, as when a process is killed.
        });
        self.running = Some((stop, thread));
    }

    pub fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn spans(&self) -> usize {
        self.received.lock().unwrap().spans.len()
    }

    /// Waits until so many spans are here.
    pub fn await_spans(&self, count: usize) {
        until(&format!("{count} spans"), || self.spans() >= count);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for what another thread does.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(feature = "tls")]
struct Tls(tokio::net::TcpListener, tokio_rustls::TlsAcceptor);

#[cfg(feature = "tls")]
impl axum::serve::Listener for Tls {
    type Io = tokio_rustls::server::TlsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

impl Service {
    async fn answer(&self) -> Result<(), Status> {
        self.received.lock().unwrap().calls += 1;
        match self.mood {
            Mood::Takes | Mood::Rejects => Ok(()),
            Mood::Refuses => Err(Status::invalid_argument("no")),
            Mood::Hangs => std::future::pending().await,
        }
    }

    fn take(&self, mut request: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let mut partial_success = None;
        if self.mood == Mood::Rejects {
            request.resource_spans[0].scope_spans[0].spans.remove(0);
            partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "too old".to_owned(),
            });
        }
        let mut received = self.received.lock().unwrap();
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            received.resources = attributes
                .into_iter()
                .filter_map(|own| Some((own.key, own.value?.value?)))
                .collect();
            for spans in resource.scope_spans {
                let scope = spans.scope.unwrap_or_default();
                let scope = [scope.name, scope.version, spans.schema_url];
                received.scopes.push(scope);
                received.spans.extend(spans.spans);
            }
        }
        ExportTraceServiceResponse { partial_success }
    }

    async fn grpc(self, listener: tokio::net::TcpListener) {
        let traces =
            TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip);
        tonic::transport::Server::builder()
            .add_service(traces)
            .add_service(MetricsServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    }

    #[cfg(feature = "tls")]
    async fn tls(self, listener: tokio::net::TcpListener, (certificate, key): (String, String)) {
        use tokio_rustls::rustls::ServerConfig;
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let grpc = tonic::service::Routes::new(TraceServiceServer::new(self.clone()));
        let both = grpc.into_axum_router().merge(self.http());
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        axum::serve(Tls(listener, tls), both).await.unwrap();
    }

    fn http(self) -> axum::Router {
        axum::Router::new().route(
            "/v1/traces",
            post(move |headers: HeaderMap, body: Bytes| async move {
                if self.answer().await.is_err() {
                    return (StatusCode::BAD_REQUEST, Vec::new());
                }
                let names = headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                self.received.lock().unwrap().headers = names.collect();
                let mut plain = Vec::new();
                match headers.get("content-encoding") {
                    Some(_) => GzDecoder::new(&*body).read_to_end(&mut plain).unwrap(),
                    None => (&*body).read_to_end(&mut plain).unwrap(),
                };
                let response = self.take(ExportTraceServiceRequest::decode(&*plain).unwrap());
                (StatusCode::OK, response.encode_to_vec())
            }),
        )
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.answer().await?;
        let headers = request.metadata().clone().into_headers();
        let names = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        self.received.lock().unwrap().headers = names.collect();
        Ok(Response::new(self.take(request.into_inner())))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.answer().await?;
        let metrics = request.into_inner().resource_metrics.into_iter();
        let metrics = metrics.flat_map(|resource| resource.scope_metrics);
        let metrics = metrics.flat_map(|scope| scope.metrics);
        let mut received = self.received.lock().unwrap();
        received.metrics.extend(metrics.map(|metric| metric.name));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.answer().await?;
        let logs = request.into_inner().resource_logs.into_iter();
        let logs = logs.flat_map(|resource| resource.scope_logs);
        let mut logs: Vec<_> = logs.flat_map(|scope| scope.log_records).collect();
        let mut partial_success = None;
        if self.mood == Mood::Rejects {
            logs.remove(0);
            partial_success = Some(ExportLogsPartialSuccess {
                rejected_log_records: 1,
                error_message: "too old".to_owned(),
            });
        }
        self.received.lock().unwrap().logs.extend(logs);
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}
