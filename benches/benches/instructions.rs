//! How many instructions one exchange takes, counted by callgrind: the same on every run, so that a
//! regression shows without a quiet machine.
//!
//! `bash .ci/run instructions` compares with `instructions.txt`;
//! `bash .ci/run renew_instructions` renews it.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
// What the macros expand to.
#![allow(unused_qualifications)]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use http::HeaderMap;
use opentelemetry::Context;
use tower_otel_benches::{
    app,
    arms::{Arm, watch},
    client_arms,
    exchange::{InProcess, Subject},
    signals::Discarded,
};

/// How many exchanges are counted together.
const EXCHANGES: usize = 100;

type Prepared = Box<dyn FnOnce()>;

/// After some exchanges, so that tables are filled and paths that are taken once have been.
fn warm(subject: Box<dyn Subject>) -> Prepared {
    // It outlives what is counted: else its end would be counted with it.
    let subject = Box::leak(subject);
    for _ in 0..3 {
        subject.prepare(0, EXCHANGES)();
        subject.settle();
    }
    subject.prepare(0, EXCHANGES)
}

fn server(text: &str) -> Prepared {
    let arm = Arm::parse(text);
    let signals = Discarded::new(arm.sampling);
    let visitor = InProcess {
        routes: arm.routes,
        after: signals.flush(),
    };
    let app = app::with_routes(arm.routes);
    warm(watch(arm.name, app, &signals, visitor))
}

fn client(name: &str) -> Prepared {
    // Kept for the life of the process, as a handler's span that does not end.
    std::mem::forget(client_arms::current());
    warm(client_arms::watch(name, &Discarded::new(100)))
}

/// A hundred of them, on headers with room.
fn headers() -> Vec<HeaderMap> {
    (0..EXCHANGES)
        .map(|_| app::request("/").headers().clone())
        .collect()
}

#[library_benchmark]
#[bench::bare(args = ("bare",), setup = server)]
#[bench::noop(args = ("no-op",), setup = server)]
#[bench::direct(args = ("direct",), setup = server)]
#[bench::direct_unsampled(args = ("direct@0",), setup = server)]
#[bench::record(args = ("record",), setup = server)]
#[bench::record_unsampled(args = ("record@0",), setup = server)]
#[bench::tracing(args = ("tracing",), setup = server)]
#[bench::tracing_unsampled(args = ("tracing@0",), setup = server)]
#[bench::metrics(args = ("metrics",), setup = server)]
#[bench::metrics_otel(args = ("metrics, otel",), setup = server)]
#[bench::direct_metrics(args = ("direct + metrics",), setup = server)]
#[bench::direct_metrics_around(args = ("direct + metrics, around",), setup = server)]
#[bench::record_metrics(args = ("record + metrics",), setup = server)]
#[bench::record_metrics_around(args = ("record + metrics, around",), setup = server)]
#[bench::call(args = ("call",), setup = client)]
#[bench::inject(args = ("inject",), setup = client)]
#[bench::client_metrics(args = ("client metrics",), setup = client)]
#[bench::client_direct_inject(args = ("client direct + inject",), setup = client)]
#[bench::client_record_inject(args = ("client record + inject",), setup = client)]
#[bench::client_tracing_inject(args = ("client tracing + inject",), setup = client)]
fn exchanges(run: Prepared) {
    run();
}

#[library_benchmark]
#[bench::hundred(setup = headers)]
fn extraction(headers: Vec<HeaderMap>) {
    for headers in &headers {
        black_box(tower_otel_propagate::extract(
            black_box(headers),
            &Context::new(),
        ));
    }
}

#[library_benchmark]
#[bench::hundred(setup = headers)]
fn parsing(headers: Vec<HeaderMap>) {
    for headers in &headers {
        let value = headers["traceparent"].as_bytes();
        black_box(tower_otel_propagate::w3c::traceparent::parse(black_box(
            value,
        )));
    }
}

library_benchmark_group!(
    name = instructions,
    benchmarks = [exchanges, extraction, parsing]
);

main!(library_benchmark_groups = instructions);
