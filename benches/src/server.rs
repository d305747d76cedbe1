//! A server in a process of its own, watched in one way.

use std::{convert::Infallible, io::stdin, net::Ipv4Addr, pin::Pin, thread};

use axum::{body::Body, response::IntoResponse};
use bytes::Bytes;
use http::{Request, Response};
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::{net::TcpListener, runtime};
use tower::{BoxError, Service, ServiceBuilder, make::Shared};

use crate::{
    app,
    arms::{Arm, Visitor, watch},
    live::Live,
};

/// Binds this thread, and those it will start, to one processor.
pub fn pin(cpu: usize) {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).unwrap();
}

/// Lives as a server: says its port, and serves. Delivers its spans whenever it is given a line,
/// and answers with one; when it is left alone, it says how many spans it lost.
pub fn run(name: &str, endpoint: String, spins: u64) {
    pin(0);
    let arm = Arm::parse(name);
    let live = Live::new(name, endpoint, arm.sampling);
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = watch(arm.name, app::working(spins), &live, Serve);
    let guard = live.into_guard();
    thread::spawn(move || {
        for _ in stdin().lines() {
            guard.flush();
            println!();
        }
        println!("{}", guard.finish());
        std::process::exit(0);
    });
    runtime.block_on(served);
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
        // A router's body stays what it is; that of a layer around a router is boxed, which
        // `axum::serve` asks of whoever puts one there.
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
