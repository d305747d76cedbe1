//! To whom a metric is told.

mod facade;
#[cfg(feature = "opentelemetry")]
mod opentelemetry;

#[cfg(feature = "opentelemetry")]
pub use self::opentelemetry::{Otel, OtelInFlight, OtelInstruments, OtelOutcome};
pub use facade::{Facade, FacadeInFlight, FacadeOutcome};

use std::fmt::Debug;

use crate::{names::Metrics, naming::Labels};

/// Makes instruments. Chosen by value, never by a Cargo feature.
pub trait Backend: Clone + Debug + sealed::Sealed {
    /// The instruments an exchange is counted in when it ends.
    #[doc(hidden)]
    type Outcome: Outcome;
    /// The gauge of exchanges that have not ended.
    #[doc(hidden)]
    type InFlight: InFlight;

    /// What is made once for a layer.
    #[doc(hidden)]
    type Instruments: Debug;

    /// Whether what is handed out now may be kept.
    #[doc(hidden)]
    fn is_ready(&self) -> bool;

    /// Makes and describes the instruments of a layer, once.
    #[doc(hidden)]
    fn instruments(&self, metrics: Wanted) -> Self::Instruments;

    /// Resolves the instruments an exchange of this series is counted in when it ends.
    #[doc(hidden)]
    fn outcome(&self, instruments: &Self::Instruments, series: SeriesLabels) -> Self::Outcome;

    /// Resolves the gauge of this series.
    #[doc(hidden)]
    fn in_flight(&self, instruments: &Self::Instruments, series: SeriesLabels) -> Self::InFlight;
}

/// The metrics a layer is to record.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Wanted(pub(crate) Metrics);

/// The labels of one series.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct SeriesLabels {
    /// Labels of all its instruments.
    pub(crate) shared: Labels,
    /// The one that the counter of requests has besides, and its value.
    pub(crate) status: Option<String>,
}

/// Instruments of one series.
#[doc(hidden)]
pub trait Outcome: Clone + Debug + sealed::Sealed {
    /// Counts an exchange.
    fn record(&self, sample: Sample);
}

/// What one exchange comes to.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub(crate) seconds: f64,
    /// Whether there was a response that did not reach its end.
    pub(crate) aborted: bool,
    /// Bytes of the request's body, where they are known.
    pub(crate) sent: Option<u64>,
    /// Bytes of the response's body, where there was a response.
    pub(crate) received: Option<u64>,
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
    #[cfg(feature = "opentelemetry")]
    impl Sealed for super::Otel {}
    #[cfg(feature = "opentelemetry")]
    impl Sealed for super::OtelOutcome {}
    #[cfg(feature = "opentelemetry")]
    impl Sealed for super::OtelInFlight {}
}
