//! gRPC, HTTP, TLS and garbage on the socket of a collector.

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsServiceServer;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;

use crate::service::Service;

/// The certificate and the key of a collector, and the certificate authority of its clients, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) client_authority: Option<String>,
}

pub(crate) async fn send_garbage(listener: tokio::net::TcpListener) {
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
    pub(crate) async fn grpc(self, listener: tokio::net::TcpListener) {
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

    pub(crate) async fn tls(self, listener: tokio::net::TcpListener, identity: Identity) {
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

    pub(crate) fn http(self) -> axum::Router {
        let metrics = self.clone();
        let traces = post(move |headers: HeaderMap, body: Bytes| async move {
            if self.respond().await.is_err() {
                return (StatusCode::BAD_REQUEST, Vec::new());
            }
            self.store_headers(&headers);
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
