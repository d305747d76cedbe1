//! Models of the lock-free structures. loom runs each model in every order of its threads.
//!
//! The modules below include the source files of the published crates. In those crates
//! `crate::sync` is `std::sync`; in this crate it is loom. `--cfg loom` is not used, because tokio does not
//! build with it.

// The unit tests of these files need the atomics of std.
#![cfg(not(test))]
#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    // loom runs all threads of a model on one thread.
    clippy::arc_with_non_send_sync,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    missing_docs
)]

pub mod models;
mod sync;

#[path = "../../../tower-otel-recorder/src/allowance.rs"]
mod allowance;
#[path = "../../../tower-otel-recorder/src/amount.rs"]
mod amount;
#[path = "../../../tower-otel-recorder/src/budget.rs"]
mod budget;
#[path = "../../../tower-otel-prometheus/src/cells.rs"]
mod cells;
#[path = "../../../tower-otel-recorder/src/changes.rs"]
mod changes;
#[path = "../../../tower-otel-recorder/src/control.rs"]
mod control;
#[path = "../../../tower-otel-prometheus/src/counter.rs"]
mod counter;
#[path = "../../../tower-otel-recorder/src/counts.rs"]
mod counts;
#[path = "../../../tower-otel-prometheus/src/exemplar.rs"]
mod exemplar;
#[path = "../../../tower-otel-recorder/src/extras.rs"]
mod extras;
#[path = "../../../tower-otel-prometheus/src/gauge.rs"]
mod gauge;
#[path = "../../../tower-otel-metrics/src/handle_cache/mod.rs"]
mod handle_cache;
#[path = "../../../tower-otel-prometheus/src/histogram.rs"]
mod histogram;
#[path = "../../../tower-otel-prometheus/src/indices.rs"]
mod indices;
mod keep;
#[path = "../../../tower-otel-recorder/src/key_values.rs"]
mod key_values;
#[path = "../../../tower-otel-recorder/src/limits.rs"]
mod limits;
#[path = "../../../tower-otel-propagate/src/missing_context.rs"]
mod missing_context;
#[path = "../../../tower-otel-prometheus/src/native.rs"]
mod native;
#[path = "../../../tower-otel-recorder/src/pipeline.rs"]
mod pipeline;
#[path = "../../../tower-otel-recorder/src/progress.rs"]
mod progress;
#[path = "../../../tower-otel-recorder/src/queue.rs"]
mod queue;
#[path = "../../../tower-otel-recorder/src/shards.rs"]
mod shards;
mod thread_index;

mod recorder;
