//! The number of instructions of an exchange, counted by callgrind. The number is the same in every run, so a
//! regression is visible even on a busy machine.
//!
//! `.ci/run instructions` compares the counts with `instructions.txt`; `.ci/run renew_instructions`
//! rewrites that file.

#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]
// The macros expand to qualified paths.
#![allow(unused_qualifications)]

use std::hint::black_box;

use gungraun::{LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use http::HeaderMap;
use opentelemetry::Context;
use tower_otel_benches::{
    app,
    arms::{Arm, instrument},
    client_arms,
    exchange::{InProcess, Subject},
    signals::DiscardingSignals,
    span_arms,
    span_programs::Program,
};
use tower_otel_recorder::Keep;

/// The number of exchanges in a measured run.
const EXCHANGES: usize = 100;

type PreparedRun = Box<dyn FnOnce()>;

/// Prepares a run after some exchanges, which fill the tables and run one-time initialization.
fn warm(subject: Box<dyn Subject>) -> PreparedRun {
    // Leaked, so that its drop is not counted.
    let subject = Box::leak(subject);
    for _ in 0..3 {
        subject.prepare(0, EXCHANGES)();
        subject.flush();
    }
    subject.prepare(0, EXCHANGES)
}

fn server(text: &str) -> PreparedRun {
    let arm = Arm::parse(text);
    let mut signals = DiscardingSignals::new(arm.sampling);
    if arm.name.ends_with(", held") {
        signals = signals.keep(Keep::errors());
    }
    let visitor = InProcess {
        routes: arm.routes,
        flush: signals.flush(),
    };
    let app = app::with_routes(arm.routes);
    warm(instrument(arm.name, app, &signals, visitor))
}

fn client(name: &str) -> PreparedRun {
    // Leaked, so that the parent span stays current.
    std::mem::forget(client_arms::attach_parent_span());
    warm(client_arms::instrument(name, &DiscardingSignals::new(100)))
}

/// Runs the program of the bench `spans`.
fn recorder_layer(arm: &str, program: Program) -> PreparedRun {
    warm(span_arms::install(arm, program))
}

/// Creates a hundred header maps of requests.
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
#[bench::record_held(args = ("record, held@0",), setup = server)]
#[bench::tracing(args = ("tracing",), setup = server)]
#[bench::tracing_unsampled(args = ("tracing@0",), setup = server)]
#[bench::recorded_tracing(args = ("recorded tracing",), setup = server)]
#[bench::recorded_tracing_unsampled(args = ("recorded tracing@0",), setup = server)]
#[bench::recorded_tracing_held(args = ("recorded tracing, held@0",), setup = server)]
#[bench::recorded_tracing_metrics(args = ("recorded tracing + metrics",), setup = server)]
#[bench::metrics(args = ("metrics",), setup = server)]
#[bench::metrics_otel(args = ("metrics, otel",), setup = server)]
#[bench::direct_metrics(args = ("direct + metrics",), setup = server)]
#[bench::direct_metrics_around(args = ("direct + metrics, around",), setup = server)]
#[bench::record_metrics(args = ("record + metrics",), setup = server)]
#[bench::record_metrics_around(args = ("record + metrics, around",), setup = server)]
#[bench::yardstick_metrics(args = ("yardstick of metrics",), setup = server)]
#[bench::yardstick_record_metrics(args = ("yardstick of record + metrics",), setup = server)]
#[bench::yardstick_tracing_metrics(args = ("yardstick of tracing + metrics",), setup = server)]
#[bench::call(args = ("call",), setup = client)]
#[bench::inject(args = ("inject",), setup = client)]
#[bench::client_metrics(args = ("client metrics",), setup = client)]
#[bench::client_direct_inject(args = ("client direct + inject",), setup = client)]
#[bench::client_record_inject(args = ("client record + inject",), setup = client)]
#[bench::client_tracing_inject(args = ("client tracing + inject",), setup = client)]
fn exchanges(run: PreparedRun) {
    run();
}

#[library_benchmark]
#[bench::registry(args = (span_arms::REGISTRY, Program::Root), setup = recorder_layer)]
#[bench::registry_inner(args = (span_arms::REGISTRY, Program::InnerSpans), setup = recorder_layer)]
#[bench::root(args = (span_arms::RECORDER, Program::Root), setup = recorder_layer)]
#[bench::inner(args = (span_arms::RECORDER, Program::InnerSpans), setup = recorder_layer)]
#[bench::event(args = (span_arms::RECORDER, Program::Events), setup = recorder_layer)]
#[bench::root_unsampled(args = (span_arms::RECORDER_UNSAMPLED, Program::Root), setup = recorder_layer)]
#[bench::inner_unsampled(args = (span_arms::RECORDER_UNSAMPLED, Program::InnerSpans), setup = recorder_layer)]
#[bench::root_held(args = (span_arms::RECORDER_HELD, Program::Root), setup = recorder_layer)]
#[bench::inner_held(args = (span_arms::RECORDER_HELD, Program::InnerSpans), setup = recorder_layer)]
fn recorded_spans(run: PreparedRun) {
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
    benchmarks = [exchanges, recorded_spans, extraction, parsing]
);

main!(
    // Disables the fast bins of glibc. They are merged, at about 57,000 instructions, whenever a freed block borders on
    // the end of the heap. Whether one does depends on addresses, not on the measured code.
    config = LibraryBenchmarkConfig::default().env("GLIBC_TUNABLES", "glibc.malloc.mxfast=0"),
    library_benchmark_groups = instructions
);
