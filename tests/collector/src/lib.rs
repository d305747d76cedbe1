//! A test OTLP collector over gRPC or HTTP, on its own thread and with faults, and a latency probe.
#![allow(
    missing_docs,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic
)]

pub mod faulty;
mod probe;
pub mod statistics;

use std::collections::BTreeMap;
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
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
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
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

pub use crate::probe::Probe;

/// The timeout of every wait.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// The behavior of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behavior {
    Accepts,
    /// Rejects the first item of each batch, in a `partial_success`.
    Rejects,
    /// Responds with an error.
    Refuses,
    /// Never responds.
    Hangs,
    /// Sends bytes of no protocol on every connection.
    SendsGarbage,
}

#[derive(Debug, Default)]
pub struct Received {
    /// The accepted and the rejected spans of each service.
    pub counts: BTreeMap<String, (u64, u64)>,
    /// The accepted spans, unless the collector only counts them.
    pub spans: Vec<Span>,
    pub resources: Vec<(String, Value)>,
    /// Name, version and schema URL of the scopes.
    pub scopes: Vec<[String; 3]>,
    pub headers: Vec<(String, String)>,
    /// The names of all metrics.
    pub metrics: Vec<String>,
    /// The requests with metrics, each with its headers.
    pub pushes: Vec<(HeaderMap, ExportMetricsServiceRequest)>,
    pub logs: Vec<LogRecord>,
    pub calls: usize,
}

#[derive(Clone)]
struct Service {
    received: Arc<Mutex<Received>>,
    stores_spans: bool,
    behavior: Behavior,
}

/// The certificate and the key of a collector, and the certificate authority of its clients, as PEM.
#[derive(Clone, Debug)]
struct Identity {
    certificate: String,
    key: String,
    client_authority: Option<String>,
}

#[derive(Debug)]
pub struct Collector {
    pub received: Arc<Mutex<Received>>,
    pub address: SocketAddr,
    stores_spans: bool,
    identity: Option<Identity>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Collector {
    pub fn grpc() -> Self {
        Self::start(false, Behavior::Accepts)
    }

    pub fn http() -> Self {
        Self::start(true, Behavior::Accepts)
    }

    /// Starts a gRPC collector that counts spans and does not store them.
    pub fn counting() -> Self {
        let mut collector = Self::new();
        collector.stores_spans = false;
        collector.run(false, Behavior::Accepts);
        collector
    }

    /// Starts a collector for gRPC and HTTP with TLS.
    pub fn tls(certificate: &str, key: &str) -> Self {
        Self::with_identity(certificate, key, None)
    }

    /// Starts a collector with TLS that requires a certificate of the client.
    pub fn mutual_tls(certificate: &str, key: &str, client_authority: &str) -> Self {
        Self::with_identity(certificate, key, Some(client_authority.to_owned()))
    }

    fn with_identity(certificate: &str, key: &str, client_authority: Option<String>) -> Self {
        let mut collector = Self::new();
        collector.identity = Some(Identity {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            client_authority,
        });
        collector.run(false, Behavior::Accepts);
        collector
    }

    pub fn start(http: bool, behavior: Behavior) -> Self {
        let mut collector = Self::new();
        collector.run(http, behavior);
        collector
    }

    fn new() -> Self {
        Self {
            received: Arc::default(),
            address: "127.0.0.1:0".parse().unwrap(),
            stores_spans: true,
            identity: None,
            running: None,
        }
    }

    /// Starts the collector. A restart uses the same address.
    pub fn run(&mut self, http: bool, behavior: Behavior) {
        let deadline = Instant::now() + TIMEOUT;
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
            stores_spans: self.stores_spans,
            behavior,
        };
        let identity = self.identity.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                if let Some(identity) = identity {
                    tokio::spawn(service.tls(listener, identity));
                } else if behavior == Behavior::SendsGarbage {
                    tokio::spawn(send_garbage(listener));
                } else if http {
                    tokio::spawn(async move { axum::serve(listener, service.http()).await });
                } else {
                    tokio::spawn(service.grpc(listener));
                }
                let _ = stopped.await;
            });
            // Dropping the runtime aborts the connections, as if the process is killed.
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

    /// Returns the accepted and the rejected spans of a service.
    pub fn count(&self, service: &str) -> (u64, u64) {
        let received = self.received.lock().unwrap();
        received.counts.get(service).copied().unwrap_or_default()
    }

    /// Waits until this number of spans has arrived.
    pub fn await_spans(&self, count: usize) {
        until(&format!("{count} spans"), || self.spans() >= count);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Received {
    /// Returns the service name of the last resource.
    fn service(&self) -> String {
        let mut attributes = self.resources.iter();
        match attributes.find(|(key, _)| key == "service.name") {
            Some((_, Value::StringValue(name))) => name.clone(),
            _ => String::new(),
        }
    }
}

/// Waits until another thread makes a condition true.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

async fn send_garbage(listener: tokio::net::TcpListener) {
    loop {
        if let Ok((mut stream, _)) = listener.accept().await {
            // The client may have disconnected.
            let _ = stream.write_all(&[0xa5; 4096]).await;
        }
    }
}

struct Tls(tokio::net::TcpListener, tokio_rustls::TlsAcceptor);

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
    async fn respond(&self) -> Result<(), Status> {
        self.received.lock().unwrap().calls += 1;
        match self.behavior {
            Behavior::Accepts | Behavior::Rejects => Ok(()),
            Behavior::Refuses => Err(Status::invalid_argument("no")),
            Behavior::Hangs | Behavior::SendsGarbage => std::future::pending().await,
        }
    }

    fn take(&self, mut request: ExportTraceServiceRequest) -> ExportTraceServiceResponse {
        let mut partial_success = None;
        let mut rejected = 0;
        if self.behavior == Behavior::Rejects {
            request.resource_spans[0].scope_spans[0].spans.remove(0);
            rejected = 1;
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
                .filter_map(|attribute| Some((attribute.key, attribute.value?.value?)))
                .collect();
            let service = received.service();
            for spans in resource.scope_spans {
                let counts = received.counts.entry(service.clone()).or_default();
                counts.0 += spans.spans.len() as u64;
                counts.1 += std::mem::take(&mut rejected);
                if !self.stores_spans {
                    continue;
                }
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
            .add_service(
                MetricsServiceServer::new(self.clone())
                    .accept_compressed(CompressionEncoding::Gzip),
            )
            .add_service(LogsServiceServer::new(self))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    }

    async fn tls(self, listener: tokio::net::TcpListener, identity: Identity) {
        use tokio_rustls::rustls::pki_types::pem::PemObject;
        use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
        use tokio_rustls::rustls::server::WebPkiClientVerifier;
        use tokio_rustls::rustls::{RootCertStore, ServerConfig};

        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let verifier = match &identity.client_authority {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(authority)).unwrap();
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots));
                verifier.build().unwrap()
            }
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![certificate(&identity.certificate)], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let grpc = tonic::service::Routes::new(
            TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip),
        );
        let both = grpc.into_axum_router().merge(self.http());
        let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        axum::serve(Tls(listener, tls), both).await.unwrap();
    }

    fn http(self) -> axum::Router {
        let metrics = self.clone();
        let traces = post(move |headers: HeaderMap, body: Bytes| async move {
            if self.respond().await.is_err() {
                return (StatusCode::BAD_REQUEST, Vec::new());
            }
            let names = headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            self.received.lock().unwrap().headers = names.collect();
            let plain = plain(&headers, &body);
            let response = self.take(ExportTraceServiceRequest::decode(&*plain).unwrap());
            (StatusCode::OK, response.encode_to_vec())
        });
        let metrics = post(move |headers: HeaderMap, body: Bytes| async move {
            if metrics.respond().await.is_err() {
                return (StatusCode::BAD_REQUEST, Vec::new());
            }
            let plain = plain(&headers, &body);
            let request = ExportMetricsServiceRequest::decode(&*plain).unwrap();
            let response = metrics.take_metrics(headers, request);
            (StatusCode::OK, response.encode_to_vec())
        });
        axum::Router::new()
            .route("/v1/traces", traces)
            .route("/v1/metrics", metrics)
    }

    fn take_metrics(
        &self,
        headers: HeaderMap,
        request: ExportMetricsServiceRequest,
    ) -> ExportMetricsServiceResponse {
        let metrics = request.resource_metrics.iter();
        let metrics = metrics.flat_map(|resource| &resource.scope_metrics);
        let metrics = metrics.flat_map(|scope| &scope.metrics);
        let mut received = self.received.lock().unwrap();
        received
            .metrics
            .extend(metrics.map(|metric| metric.name.clone()));
        received.pushes.push((headers, request));
        let partial_success =
            (self.behavior == Behavior::Rejects).then(|| ExportMetricsPartialSuccess {
                rejected_data_points: 1,
                error_message: "too old".to_owned(),
            });
        ExportMetricsServiceResponse { partial_success }
    }
}

/// Returns the decompressed body.
fn plain(headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match headers.get("content-encoding") {
        Some(_) => GzDecoder::new(body).read_to_end(&mut plain).unwrap(),
        None => { body }.read_to_end(&mut plain).unwrap(),
    };
    plain
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.respond().await?;
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
        self.respond().await?;
        let headers = request.metadata().clone().into_headers();
        let response = self.take_metrics(headers, request.into_inner());
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.respond().await?;
        let logs = request.into_inner().resource_logs.into_iter();
        let logs = logs.flat_map(|resource| resource.scope_logs);
        let mut logs: Vec<_> = logs.flat_map(|scope| scope.log_records).collect();
        let mut partial_success = None;
        if self.behavior == Behavior::Rejects {
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
