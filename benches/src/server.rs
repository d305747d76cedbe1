//! A server process with one instrumentation.

use std::{convert::Infallible, io::stdin, net::Ipv4Addr, pin::Pin, thread};

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{Request, Response};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::{net::TcpListener, runtime};
use tower::{BoxError, Service, ServiceBuilder, make::Shared};

use crate::{
    app,
    arms::{Arm, Visitor, instrument},
    exporting::ExportingSignals,
};

/// Pins this thread and the threads it starts to one processor.
pub fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).unwrap();
}

/// Runs the server and prints its port. For each input line it flushes its spans and prints a line. After
/// the end of its input it prints the number of dropped spans.
pub fn run(name: &str, endpoint: String, spins: u64) {
    pin(0);
    let arm = Arm::parse(name);
    let signals = ExportingSignals::new(name, endpoint, arm);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = instrument(arm.name, app::working(spins), &signals, Serve);
    let guard = signals.into_guard();
    thread::spawn(move || {
        for _ in stdin().lines() {
            guard.flush();
            println!();
        }
        println!("{}", guard.finish());
        std::process::exit(0);
    });
    runtime.block_on(server);
}

struct Serve;

impl Visitor for Serve {
    type Output = Pin<Box<dyn Future<Output = ()>>>;

    fn visit<S, B>(self, service: S) -> Self::Output
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        // `axum::serve` needs axum's body. This boxes the body of a layer around the router, and does not
        // change the body of a router without layers.
        let service = ServiceBuilder::new()
            .map_response(IntoResponse::into_response)
            .service(service);
        Box::pin(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            println!("{}", listener.local_addr().unwrap().port());
            axum::serve(listener, Shared::new(service)).await.unwrap();
        })
    }
}
