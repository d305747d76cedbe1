//! W3C Trace Context, level 2, for tower services.

mod carried;
mod context;
mod layer;
mod propagator;
pub mod w3c;

pub use context::{extract, extract_span_context, inject};
pub use layer::{Propagate, PropagateLayer};
pub use propagator::W3cPropagator;
