//! The keep rules of the recorder.

#[path = "../../../../tower-otel-recorder/src/keep/child_state.rs"]
mod child_state;
#[path = "../../../../tower-otel-recorder/src/keep/excluded_spans.rs"]
mod excluded_spans;
#[path = "../../../../tower-otel-recorder/src/keep/held_bytes.rs"]
mod held_bytes;
#[path = "../../../../tower-otel-recorder/src/keep/held_trace.rs"]
mod held_trace;
#[path = "../../../../tower-otel-recorder/src/keep/rate_limit.rs"]
mod rate_limit;
#[path = "../../../../tower-otel-recorder/src/keep/rules.rs"]
mod rules;
#[path = "../../../../tower-otel-recorder/src/keep/span_results.rs"]
mod span_results;
#[path = "../../../../tower-otel-recorder/src/keep/span_table.rs"]
mod span_table;

pub mod models;
