//! The instrumentation scope of this crate.

use opentelemetry::InstrumentationScope;
use tower_otel_semconv::SCHEMA_URL;

/// The instrumentation scope of spans that are not `tracing` spans: this crate.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
