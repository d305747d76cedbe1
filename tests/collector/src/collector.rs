//! A collector on its own thread.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::received::{Behavior, Received};
use crate::service::Service;
use crate::transport::{Identity, send_garbage};

/// The timeout of every wait.
pub const TIMEOUT: Duration = Duration::from_secs(60);

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

/// Waits until another thread makes a condition true.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "timed out: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
