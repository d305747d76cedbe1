//! Server and client spans for tower.

mod backend;
mod config;
mod exchange;
mod facts;
mod layer;

pub use backend::{Backend, Tracing, TracingSpan};
pub use exchange::TraceExchange;
pub use layer::TraceLayer;
