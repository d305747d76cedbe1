//! A client sends requests with long paths and user agents among those of honest clients, to servers whose collector
//! accepts messages of at most 4 MiB. No span of an honest client is lost.
//!
//! ```console
//! BLIND_ROUNDS=50 cargo test --release -p campaigns --test blind -- --nocapture
//! ```

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use campaigns::{env_number, pipeline::Pipeline, process};
use collector::Collector;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Empty, Full};
use suite_tests::net::{ClientConnection, Http, serve};
use tokio::runtime::Builder;
use tower::{Layer, service_fn};
use tower_otel_trace::TraceLayer;
use tracing_subscriber::layer::SubscriberExt;

/// The requests of a round.
const HONEST: u64 = 2_000;
const HOSTILE: u64 = 67;

/// The lengths of a hostile request. hyper accepts paths of up to 65,534 bytes and heads of up to 417,792.
const PATH: usize = 60_000;
const USER_AGENT: usize = 300_000;

/// The default delay of a batch. With it, many long spans are exported at once.
const DELAY: Duration = Duration::from_secs(5);

/// The maximum growth of the resident memory, in megabytes.
const LIMIT: f64 = 64.0;

async fn hello<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello")))
}

#[tracing::instrument(skip_all, fields(path = request.uri().path()))]
async fn instrumented_hello<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    tracing::info!(path = request.uri().path(), "served");
    hello(request).await
}

fn request(path: &str, user_agent: &str) -> Request<Empty<Bytes>> {
    let request = Request::get(path).header(header::HOST, "us.example");
    let request = request.header(header::USER_AGENT, user_agent);
    request.body(Empty::new()).unwrap()
}

/// Sends requests to all servers, and reads the responses.
async fn exchange(clients: &mut [ClientConnection], path: &str, user_agent: &str) {
    for client in clients {
        let response = client.send(request(path, user_agent)).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
    }
}

#[test]
fn long_paths_and_user_agents_cost_no_span_of_honest_clients() {
    let rounds = env_number("BLIND_ROUNDS", 1);
    let collector = Collector::counting();
    let (pipeline, layers) = Pipeline::start("blind", collector.endpoint(), DELAY);
    let subscriber = tracing_subscriber::registry().with(layers);
    // Servers and clients run on this thread.
    let _default = tracing::subscriber::set_default(subscriber);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (before, peak) = runtime.block_on(async {
        let traced = TraceLayer::server().layer(service_fn(instrumented_hello));
        let direct = TraceLayer::server()
            .recorder(pipeline.recorder())
            .layer(service_fn(hello));
        let servers = [serve(traced).await, serve(direct).await];
        let mut clients = Vec::new();
        for server in servers {
            clients.push(ClientConnection::connect(Http::One, server).await);
        }
        let user_agent = "u".repeat(USER_AGENT);
        let before = process::resident();
        let mut peak = before;
        for n in 0..rounds * HONEST {
            exchange(&mut clients, &format!("/users/{n}"), "honest").await;
            // Hostile requests are distributed evenly among the honest requests.
            if n * HOSTILE / HONEST != (n + 1) * HOSTILE / HONEST {
                let path = format!("/{n:0PATH$}");
                exchange(&mut clients, &path, &user_agent).await;
                peak = peak.max(process::resident());
            }
        }
        (before, peak)
    });
    pipeline.stop();
    let requests = rounds * (HONEST + HOSTILE);
    // `#[instrument]` adds a span.
    let ended = [2 * requests, requests];
    let totals = pipeline.span_totals(ended[0]);
    println!(
        "{requests} requests to each of two servers, {} of them with paths of {PATH} and user agents of {USER_AGENT} \
         bytes: from {before:.1} MB to at most {peak:.1} MB; {ended:?} spans ended, {totals:?}",
        rounds * HOSTILE
    );
    for (at, name) in pipeline.service_names().iter().enumerate() {
        assert_eq!(totals[at].lost, 0, "{name}");
        assert_eq!(collector.count(name), (ended[at], 0), "{name}");
    }
    assert!(peak - before < LIMIT, "grew by {:.1} MB", peak - before);
}
