//! Servers and clients over TLS on loopback, with a certificate authority of the test.

use std::{io, net::SocketAddr, sync::Arc};

use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use suite_tests::net::{BoxError, Http};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector, client,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tower::Service;

/// A certificate authority, and the certificate of `localhost` that it has signed.
pub(crate) struct Certificates {
    authority: String,
    certificate: String,
    key: String,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        Self {
            certificate: params.signed_by(&key, &authority).unwrap().pem(),
            authority: authority.pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config).into()
    }

    /// Returns a client that trusts only the authority, and offers this HTTP version or both.
    pub(crate) fn client(&self, http: Option<Http>) -> reqwest::Client {
        let authority = reqwest::Certificate::from_pem(self.authority.as_bytes()).unwrap();
        let builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority]);
        match http {
            Some(Http::One) => builder.http1_only(),
            Some(Http::Two) => builder.http2_prior_knowledge(),
            None => builder,
        }
        .build()
        .unwrap()
    }

    /// Connects without an HTTP client.
    pub(crate) async fn connect(&self, http: Http, to: SocketAddr) -> client::TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap();
        roots.add(authority).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![match http {
            Http::One => b"http/1.1".to_vec(),
            Http::Two => b"h2".to_vec(),
        }];
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(to).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        connector.connect(name, stream).await.unwrap()
    }
}

/// A server over TLS.
pub(crate) struct TlsServer {
    pub(crate) address: SocketAddr,
    /// The result of each handshake.
    pub(crate) handshakes: mpsc::UnboundedReceiver<io::Result<()>>,
}

impl TlsServer {
    /// Serves connections until the test ends. The handshake selects the HTTP version that the client offers.
    pub(crate) async fn start<S, B>(certificates: &Certificates, service: S) -> Self
    where
        S: Service<
                http::Request<Incoming>,
                Response = http::Response<B>,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send
            + 'static,
        B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        let acceptor = certificates.acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, handshakes) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let accepted = acceptor.accept(stream).await;
                    let _ = sender.send(accepted.as_ref().map(drop).map_err(|e| e.kind().into()));
                    let Ok(stream) = accepted else { return };
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // Tests also end connections with errors.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            address,
            handshakes,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}
