//! Constants that belong to the conventions as a whole.

/// The schema URL of the conventions that this crate follows, for the instrumentation scope of a tracer or meter.
///
/// See [telemetry schemas](https://opentelemetry.io/docs/specs/otel/schemas/).
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

/// The value that replaces an unknown method, error type or RPC method: `_OTHER`.
pub const OTHER: &str = "_OTHER";
