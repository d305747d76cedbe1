//! The life of one HTTP exchange, observed once.

mod kind;
pub mod semconv;

pub use kind::Kind;
