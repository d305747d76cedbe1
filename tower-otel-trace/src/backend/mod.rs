//! Span backends.

mod any;
mod create;
mod field_values;
pub(crate) mod fields;
mod open_span;
#[cfg_attr(not(feature = "recorder-layer"), path = "not_prepared.rs")]
mod prepared;
#[cfg(feature = "recorder")]
mod recorder;
#[cfg(feature = "recorder")]
mod repeated_fields;
mod scope;
#[cfg(feature = "recorder")]
pub(crate) mod templates;
mod tracer;
mod tracing;

pub(crate) use self::any::EraseBackend;
pub(crate) use self::open_span::{LateAttribute, LateValue, OpenSpan};
#[cfg(feature = "recorder")]
pub use self::recorder::RecorderBackend;
pub use self::{
    any::AnyBackend, open_span::SpanBackend, tracer::TracerBackend, tracing::TracingBackend,
};
