//! Names of fields and attributes that `tracing` and its OpenTelemetry layers define.

pub(crate) const LEVEL: &str = "level";
pub(crate) const TARGET: &str = "target";
pub(crate) const MESSAGE: &str = "message";
pub(crate) const ERROR: &str = "error";

/// The reason why an unsampled trace was kept. The conventions define no name for it.
pub(crate) const KEEP_REASON: &str = "sampling.keep.reason";

/// Marks a trace to keep.
pub(crate) const KEEP: &str = "sampling.keep";

/// Queries the held trace of a span. It is not recorded.
pub(crate) const HELD_TRACE_QUERY: &str = "tower_otel_recorder.held_trace";

/// Fields of a span that are not attributes.
pub(crate) mod otel {
    pub(crate) const PREFIX: &str = "otel.";
    pub(crate) const NAME: &str = "otel.name";
    pub(crate) const KIND: &str = "otel.kind";
    pub(crate) const STATUS_CODE: &str = "otel.status_code";
    pub(crate) const STATUS_DESCRIPTION: &str = "otel.status_description";
}

/// Fields of an event that was converted from a record of the `log` crate, without the prefix `log.`.
pub(crate) mod log {
    pub(crate) const PREFIX: &str = "log.";
    /// The target of such events.
    pub(crate) const TARGET_OF_EVENTS: &str = "log";
    pub(crate) const TARGET: &str = "target";
    pub(crate) const FILE: &str = "file";
    pub(crate) const LINE: &str = "line";
}
