//! To whom a metric is told.

mod facade;

pub use facade::{Facade, FacadeInFlight, FacadeOutcome};

use std::fmt::Debug;

use crate::names::{Labels, Metrics};

/// Makes instruments. Chosen by value, never by a Cargo feature.
pub trait Backend: Clone + Debug + sealed::Sealed {
    /// The instruments an exchange is counted in when it ends.
    #[doc(hidden)]
    type Outcome: Outcome;
    /// The gauge of exchanges that have not ended.
    #[doc(hidden)]
    type InFlight: InFlight;

    /// Says what the metrics mean, once.
    #[doc(hidden)]
    fn describe(&self, metrics: &Described);

    /// Resolves the instruments of one series.
    #[doc(hidden)]
    fn outcome(&self, metrics: &Described, series: SeriesLabels) -> Self::Outcome;

    /// Resolves the gauge of one series.
    #[doc(hidden)]
    fn in_flight(&self, metrics: &Described, labels: Vec<(String, String)>) -> Self::InFlight;
}

/// The metrics of a layer.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Described(pub(crate) Metrics);

/// The labels of the instruments of one series.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct SeriesLabels {
    pub(crate) requests: Labels,
    pub(crate) duration: Labels,
}

/// Instruments of one series.
#[doc(hidden)]
pub trait Outcome: Debug + sealed::Sealed {
    /// Counts an exchange and how long it took.
    fn record(&self, seconds: f64);

    /// Counts a response that did not reach its end.
    fn aborted(&self);
}

/// Exchanges that have not ended.
#[doc(hidden)]
pub trait InFlight: Clone + Debug + sealed::Sealed {
    /// One more.
    fn started(&self);

    /// One less.
    fn ended(&self);
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Facade {}
    impl Sealed for super::FacadeOutcome {}
    impl Sealed for super::FacadeInFlight {}
}
