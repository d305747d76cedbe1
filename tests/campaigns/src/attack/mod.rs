//! Well-behaved and hostile clients.

mod http1;
mod http2;

use std::{
    fmt::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, Request};
use tokio::task::JoinSet;

use crate::rng::Rng;

/// The counts of all clients.
#[derive(Debug, Default)]
pub struct ClientCounts {
    /// Requests that were started. Servers cannot receive more.
    pub requests_sent: AtomicU64,
    /// Responses that were received from the application. Servers cannot have sent fewer.
    pub responses: AtomicU64,
    pub hang_ups: AtomicU64,
    pub resets: AtomicU64,
    pub slow_reads: AtomicU64,
    pub half_open: AtomicU64,
    pub large_headers: AtomicU64,
    pub garbage: AtomicU64,
    pub connections: AtomicU64,
    pub timeouts: AtomicU64,
}

pub fn increment(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// The state shared by all clients.
#[derive(Clone, Debug)]
pub struct Attack {
    pub targets: Vec<SocketAddr>,
    /// The number of requests to send. The attack can be stopped earlier.
    pub requests: u64,
    pub stopped: Arc<AtomicBool>,
    pub counts: Arc<ClientCounts>,
}

/// The timeout of a client.
const TIMEOUT: Duration = Duration::from_secs(20);

impl Attack {
    pub fn new(targets: Vec<SocketAddr>) -> Self {
        Self {
            targets,
            requests: u64::MAX,
            stopped: Arc::default(),
            counts: Arc::default(),
        }
    }

    /// Runs clients concurrently until the total number of requests is sent.
    pub async fn wave(&self, clients: u64, requests: u64, seed: u64) {
        let mut wave = JoinSet::new();
        for client in 0..clients {
            let attack = Self {
                requests,
                ..self.clone()
            };
            wave.spawn(attack.run(seed * clients + client));
        }
        wave.join_all().await;
    }

    /// Runs one client after another until all requests are sent.
    async fn run(self, seed: u64) {
        let mut rng = Rng::new(seed);
        let mut open = Vec::new();
        while self.is_running() {
            let target = self.targets[rng.below(self.targets.len() as u64) as usize];
            increment(&self.counts.connections);
            let client = async {
                match rng.below(10) {
                    0..4 => http1::well_behaved(&self, target, &mut rng).await,
                    4..6 => http1::hostile(&self, target, &mut rng, &mut open).await,
                    _ => http2::streams(&self, target, &mut rng).await,
                }
            };
            if tokio::time::timeout(TIMEOUT, client).await.is_err() {
                increment(&self.counts.timeouts);
            }
            // Half-open connections stay open for a while.
            if open.len() > 8 {
                open.clear();
            }
        }
    }

    fn is_running(&self) -> bool {
        self.counts.requests_sent.load(Relaxed) < self.requests && !self.stopped.load(Relaxed)
    }

    /// Returns the number of the next request, which is part of its path and headers.
    fn next_request(&self) -> u64 {
        self.counts.requests_sent.fetch_add(1, Relaxed)
    }
}

/// Returns a path whose response completes without an action of the client.
fn path(rng: &mut Rng, n: u64) -> String {
    let route = match rng.below(100) {
        0..60 => "fast",
        60..72 => "stream",
        72..75 => "large",
        75..80 => "empty",
        80..85 => "broken",
        85..87 => "fail",
        87..89 => "tear",
        89..91 => "panic",
        91..94 => "echo",
        _ => "nowhere",
    };
    format!("/{route}/{n}?token={n}")
}

fn method(rng: &mut Rng, n: u64) -> Method {
    match rng.below(20) {
        0..14 => Method::GET,
        14 => Method::POST,
        15 => Method::DELETE,
        16 => Method::HEAD,
        17 => Method::OPTIONS,
        _ => Method::from_bytes(format!("M{n}").as_bytes()).unwrap(),
    }
}

/// Returns a `traceparent`: valid, unsampled, of a later version, or invalid.
fn traceparent(rng: &mut Rng, n: u64) -> String {
    let (trace, span) = (rng.next(), rng.next() | 1);
    match rng.below(8) {
        0 => format!("00-{trace:016x}{n:016x}-{span:016x}-00"),
        1 => format!("cc-{trace:016x}{n:016x}-{span:016x}-03-what"),
        2 => format!("00-{:032x}-{span:016x}-01", 0),
        3 => format!("{n}"),
        _ => format!("00-{trace:016x}{n:016x}-{span:016x}-01"),
    }
}

/// Returns the headers of a request, different for each request.
fn headers(rng: &mut Rng, n: u64) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("user-agent", format!("attacker/{n}")),
        ("traceparent", traceparent(rng, n)),
        ("x-tenant", format!("tenant-{n}")),
    ];
    if rng.percent(30) {
        headers.push(("tracestate", format!("a{n}=b,c@d{n}=e{n}")));
        headers.push(("baggage", format!("user={n},k{n}=v;p={n}")));
    }
    if rng.percent(20) {
        headers.push(("x-forwarded-for", format!("10.0.{}.1, {n}", n % 256)));
        headers.push(("forwarded", format!("for=\"[::{n}]\";proto=h{n};host={n}")));
    }
    headers
}

/// Returns a request for an HTTP library.
fn request(rng: &mut Rng, n: u64) -> Request<()> {
    let uri = format!("http://host-{n}.example:{}{}", n % 60_000 + 1, path(rng, n));
    let mut request = Request::builder().method(method(rng, n)).uri(uri);
    for (name, value) in headers(rng, n) {
        request = request.header(name, value);
    }
    request.body(()).unwrap()
}

/// Returns the head of a request as text, without the empty line at its end.
fn head(rng: &mut Rng, method: &str, path: &str, n: u64) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: host-{n}.example\r\n");
    for (name, value) in headers(rng, n) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}
