//! RED metrics for tower.

mod backend;
mod dimensions;
mod exchange;
mod instruments;
mod layer;
mod names;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod series;

pub use backend::{Backend, Facade, FacadeInFlight, FacadeOutcome};
pub use exchange::MetricsExchange;
pub use layer::MetricsLayer;
pub use names::Names;
