//! Clients, from polite to hostile.

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

use crate::dice::Dice;

/// What the clients themselves have counted, all of them together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that were begun: no more can have come in.
    pub asked: AtomicU64,
    /// Heads that came back from the application: no fewer can have been answered.
    pub heads: AtomicU64,
    pub hang_ups: AtomicU64,
    pub resets: AtomicU64,
    pub slow: AtomicU64,
    pub half_open: AtomicU64,
    pub large_heads: AtomicU64,
    pub garbage: AtomicU64,
    pub connections: AtomicU64,
    pub given_up: AtomicU64,
}

pub fn count(of: &AtomicU64) {
    of.fetch_add(1, Relaxed);
}

/// What each client knows.
#[derive(Clone, Debug)]
pub struct Mission {
    pub targets: Vec<SocketAddr>,
    /// How many requests there are to ask, unless it is called off before.
    pub requests: u64,
    pub called_off: Arc<AtomicBool>,
    pub tally: Arc<Tally>,
}

/// Nothing takes longer than this, unless something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

impl Mission {
    pub fn new(targets: Vec<SocketAddr>) -> Self {
        Self {
            targets,
            requests: u64::MAX,
            called_off: Arc::default(),
            tally: Arc::default(),
        }
    }

    /// So many clients at once, until this many requests have been asked since the beginning.
    pub async fn wave(&self, clients: u64, requests: u64, seed: u64) {
        let mut wave = JoinSet::new();
        for client in 0..clients {
            let mission = Self {
                requests,
                ..self.clone()
            };
            wave.spawn(mission.run(seed * clients + client));
        }
        wave.join_all().await;
    }

    /// One client after another until all requests are spent.
    async fn run(self, seed: u64) {
        let mut dice = Dice::new(seed);
        let mut held = Vec::new();
        while self.is_on() {
            let target = self.targets[dice.below(self.targets.len() as u64) as usize];
            count(&self.tally.connections);
            let client = async {
                match dice.below(10) {
                    0..4 => http1::polite(&self, target, &mut dice).await,
                    4..6 => http1::rude(&self, target, &mut dice, &mut held).await,
                    _ => http2::any(&self, target, &mut dice).await,
                }
            };
            if tokio::time::timeout(PATIENCE, client).await.is_err() {
                count(&self.tally.given_up);
            }
            // Connections that are half open stay so for a while.
            if held.len() > 8 {
                held.clear();
            }
        }
    }

    fn is_on(&self) -> bool {
        self.tally.asked.load(Relaxed) < self.requests && !self.called_off.load(Relaxed)
    }

    /// The number of the next request, which is in everything that it says.
    fn next(&self) -> u64 {
        self.tally.asked.fetch_add(1, Relaxed)
    }
}

/// Paths that end by themselves.
fn path(dice: &mut Dice, n: u64) -> String {
    let route = match dice.below(100) {
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

fn method(dice: &mut Dice, n: u64) -> Method {
    match dice.below(20) {
        0..14 => Method::GET,
        14 => Method::POST,
        15 => Method::DELETE,
        16 => Method::HEAD,
        17 => Method::OPTIONS,
        _ => Method::from_bytes(format!("M{n}").as_bytes()).unwrap(),
    }
}

/// A context to continue: sound, unsampled, of a later version, or not one at all.
fn traceparent(dice: &mut Dice, n: u64) -> String {
    let (trace, span) = (dice.next(), dice.next() | 1);
    match dice.below(8) {
        0 => format!("00-{trace:016x}{n:016x}-{span:016x}-00"),
        1 => format!("cc-{trace:016x}{n:016x}-{span:016x}-03-what"),
        2 => format!("00-{:032x}-{span:016x}-01", 0),
        3 => format!("{n}"),
        _ => format!("00-{trace:016x}{n:016x}-{span:016x}-01"),
    }
}

/// The header lines of a request, every one of them unlike any other.
fn headers(dice: &mut Dice, n: u64) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("user-agent", format!("attacker/{n}")),
        ("traceparent", traceparent(dice, n)),
        ("x-tenant", format!("tenant-{n}")),
    ];
    if dice.percent(30) {
        headers.push(("tracestate", format!("a{n}=b,c@d{n}=e{n}")));
        headers.push(("baggage", format!("user={n},k{n}=v;p={n}")));
    }
    if dice.percent(20) {
        headers.push(("x-forwarded-for", format!("10.0.{}.1, {n}", n % 256)));
        headers.push(("forwarded", format!("for=\"[::{n}]\";proto=h{n};host={n}")));
    }
    headers
}

/// The parts of a request for a client that is a library.
fn request(dice: &mut Dice, n: u64) -> Request<()> {
    let uri = format!(
        "http://host-{n}.example:{}{}",
        n % 60_000 + 1,
        path(dice, n)
    );
    let mut request = Request::builder().method(method(dice, n)).uri(uri);
    for (name, value) in headers(dice, n) {
        request = request.header(name, value);
    }
    request.body(()).unwrap()
}

/// The same as text, for one that is not; without the empty line at its end.
fn head(dice: &mut Dice, method: &str, path: &str, n: u64) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: host-{n}.example\r\n");
    for (name, value) in headers(dice, n) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head
}
