//! The `metrics` facade: whatever recorder the application has installed.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit};

use super::{Backend, Described, InFlight, Outcome, SeriesLabels};
use crate::names::Labels;

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Records into the recorder of the `metrics` crate.
///
/// The recorder is asked for each series when the first exchange of that series ends, and never
/// again: install it before the first request is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facade(());

/// The instruments of one series.
#[derive(Clone, Debug)]
pub struct FacadeOutcome {
    requests: Option<Counter>,
    duration: Histogram,
    aborted: Option<Counter>,
}

/// The gauge of exchanges that have not ended.
#[derive(Clone, Debug)]
pub struct FacadeInFlight(Gauge);

impl Backend for Facade {
    type Outcome = FacadeOutcome;
    type InFlight = FacadeInFlight;

    fn describe(&self, Described(metrics): &Described) {
        metrics::with_recorder(|recorder| {
            for counter in [metrics.requests, metrics.aborted].into_iter().flatten() {
                let help = counter.help.into();
                recorder.describe_counter(counter.name.into(), Some(Unit::Count), help);
            }
            recorder.describe_histogram(
                metrics.duration.name.into(),
                Some(Unit::Seconds),
                metrics.duration.help.into(),
            );
            recorder.describe_gauge(
                metrics.in_flight.name.into(),
                Some(Unit::Count),
                metrics.in_flight.help.into(),
            );
        });
    }

    fn outcome(&self, Described(metrics): &Described, series: SeriesLabels) -> FacadeOutcome {
        let duration = key(metrics.duration.name, series.duration.clone());
        metrics::with_recorder(|recorder| FacadeOutcome {
            requests: metrics.requests.map(|counter| {
                recorder.register_counter(&key(counter.name, series.requests), &METADATA)
            }),
            duration: recorder.register_histogram(&duration, &METADATA),
            aborted: metrics.aborted.map(|counter| {
                recorder.register_counter(&key(counter.name, series.duration), &METADATA)
            }),
        })
    }

    fn in_flight(&self, Described(metrics): &Described, labels: Labels) -> FacadeInFlight {
        let gauge = key(metrics.in_flight.name, labels);
        metrics::with_recorder(|recorder| {
            FacadeInFlight(recorder.register_gauge(&gauge, &METADATA))
        })
    }
}

fn key(name: &'static str, labels: Labels) -> Key {
    let labels: Vec<Label> = labels
        .into_iter()
        .map(|(key, value)| Label::new(key, value))
        .collect();
    Key::from_parts(name, labels)
}

impl Outcome for FacadeOutcome {
    fn record(&self, seconds: f64) {
        if let Some(requests) = &self.requests {
            requests.increment(1);
        }
        self.duration.record(seconds);
    }

    fn aborted(&self) {
        if let Some(aborted) = &self.aborted {
            aborted.increment(1);
        }
    }
}

impl InFlight for FacadeInFlight {
    fn started(&self) {
        self.0.increment(1.0);
    }

    fn ended(&self) {
        self.0.decrement(1.0);
    }
}
