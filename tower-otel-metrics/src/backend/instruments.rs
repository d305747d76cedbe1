//! The interface between a layer and the library that it records with.

use std::fmt::Debug;

use crate::{names::MetricSet, naming::Labels};

/// A backend of a [`MetricsLayer`](crate::MetricsLayer). This trait is sealed; [backends](crate#backends) lists its
/// implementations.
pub trait MetricsBackend: MakeInstruments {}

impl<B: MakeInstruments> MetricsBackend for B {}

/// The implementation of a [`MetricsBackend`].
pub trait MakeInstruments: Clone + Debug {
    /// The instruments of one series that record the end of an exchange.
    type Outcome: OutcomeInstruments;
    /// The gauge of exchanges that have not ended.
    type InFlight: InFlightGauge + Send + 'static;

    /// The instruments of a layer.
    type Instruments: Debug;

    /// Whether the current span can be read while a sample is recorded.
    const READS_CONTEXT: bool;

    /// Returns whether handles that are created now record, so that they can be cached.
    fn is_ready(&self) -> bool;

    /// Creates and describes the instruments of a layer. Called once.
    fn instruments(&self, metrics: MetricSet) -> Self::Instruments;

    /// Resolves the instruments of a series that record the end of an exchange.
    fn outcome(&self, instruments: &Self::Instruments, series: SeriesLabels) -> Self::Outcome;

    /// Resolves a gauge of a series.
    fn gauge(
        &self,
        instruments: &Self::Instruments,
        gauge: GaugeKind,
        series: SeriesLabels,
    ) -> Self::InFlight;
}

/// The kind of values that a gauge counts.
#[derive(Clone, Copy, Debug)]
pub enum GaugeKind {
    /// Exchanges that have not ended.
    InFlight,
    /// Open long-lived streams and upgraded connections.
    Streams,
}

/// The labels of one series.
#[derive(Clone, Debug)]
pub struct SeriesLabels {
    /// The labels of all instruments.
    pub(crate) shared: Labels,
    /// The value of the label `status`. Only the request counter has it.
    pub(crate) status: Option<String>,
}

/// The instruments of one series that record the end of an exchange.
pub trait OutcomeInstruments: Clone + Debug {
    /// Records an exchange.
    fn record(&self, sample: Sample);
}

/// The measurements of one exchange.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub(crate) seconds: f64,
    /// Whether there was a response and its body did not complete.
    pub(crate) aborted: bool,
    /// The size of the request body in bytes, if it is known.
    pub(crate) sent: Option<u64>,
    /// The size of the response body in bytes, if there was a response.
    pub(crate) received: Option<u64>,
}

impl Sample {
    /// Returns the measurements of a complete response whose sizes are not recorded.
    #[inline]
    pub(crate) const fn complete(seconds: f64) -> Self {
        Self {
            seconds,
            aborted: false,
            sent: None,
            received: None,
        }
    }
}

/// The gauge of exchanges that have not ended.
pub trait InFlightGauge: Clone + Debug {
    /// Adds one.
    fn started(&self);

    /// Subtracts one.
    fn ended(&self);
}
