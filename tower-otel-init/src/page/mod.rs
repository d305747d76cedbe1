//! A page that shows requests, traces and the state of the exporters, for a browser on the same machine.
//!
//! ```text
//! export thread   tap: each span as OTLP ──► trace_ring: 500 traces, 32 MiB ─┐
//! Prometheus      red_history: the metrics of the layers, every 5 seconds ───┼─► page_state ─► event_stream ─► browser
//! recorder        telemetry_status: counts of spans ─────────────────────────┤
//! other processes intake: OTLP over HTTP ────────────────────────────────────┘
//! ```
//!
//! Requests of the application use none of these. Spans are decoded when a browser requests them. `page_thread` searches spans,
//! renders metrics and decodes spans of other processes.

pub(crate) mod address;
mod assets;
mod body_places;
mod connection;
mod event_stream;
mod fetch_check;
mod host_check;
mod intake;
mod json_writer;
mod live_settings;
mod metric_family;
mod otlp_spans;
pub(crate) mod page_service;
mod page_state;
pub(crate) mod page_thread;
mod page_trace;
mod peer_check;
mod protobuf_reader;
mod quantile;
mod red_history;
mod red_row;
mod response_body;
pub(crate) mod routes;
mod search;
pub(crate) mod server;
mod span_head;
mod span_json;
mod span_search;
mod span_source;
mod stall_guard;
pub(crate) mod telemetry_status;
#[cfg(test)]
mod test_span;
mod trace_body;
mod trace_changes;
mod trace_index;
mod trace_ring;
mod trace_spans;
mod trace_title;
mod value_text;

pub(crate) use page_state::{PageState, StatusSource};
