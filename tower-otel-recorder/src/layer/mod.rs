//! The layer that records `tracing` spans.

mod callbacks;
mod entered;
mod error;
mod event_fields;
mod late_fields;
mod open;
mod open_current;
mod open_spans;
mod options;
mod parent;
mod prepared;
mod scratch;
mod span_ext;
mod span_fields;
mod span_state;

pub use options::RecorderLayer;
pub use span_ext::{RecorderSpanExt, SetParentError};
