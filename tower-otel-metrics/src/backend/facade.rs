//! The `metrics` facade: whatever recorder the application has installed.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit};

use super::{Backend, InFlight, Outcome, SeriesLabels, Wanted};
use crate::names::{LabelValue, Labels, Metrics, STATUS};

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
    type Instruments = Wanted;

    fn instruments(&self, Wanted(metrics): Wanted) -> Wanted {
        let Metrics {
            requests,
            duration,
            in_flight,
            aborted,
        } = metrics;
        metrics::with_recorder(|recorder| {
            for counter in [requests, aborted].into_iter().flatten() {
                let help = counter.help.into();
                recorder.describe_counter(counter.name.into(), Some(Unit::Count), help);
            }
            let (name, help) = (duration.name.into(), duration.help.into());
            recorder.describe_histogram(name, Some(Unit::Seconds), help);
            let (name, help) = (in_flight.name.into(), in_flight.help.into());
            recorder.describe_gauge(name, Some(Unit::Count), help);
        });
        Wanted(metrics)
    }

    fn outcome(&self, Wanted(metrics): &Wanted, series: SeriesLabels) -> FacadeOutcome {
        let labels = labels(series.shared);
        let mut with_status = labels.clone();
        with_status.extend(series.status.map(|status| Label::new(STATUS, status)));
        metrics::with_recorder(|recorder| FacadeOutcome {
            requests: metrics.requests.map(|counter| {
                recorder.register_counter(&Key::from_parts(counter.name, with_status), &METADATA)
            }),
            duration: recorder.register_histogram(
                &Key::from_parts(metrics.duration.name, labels.clone()),
                &METADATA,
            ),
            aborted: metrics.aborted.map(|counter| {
                recorder.register_counter(&Key::from_parts(counter.name, labels), &METADATA)
            }),
        })
    }

    fn in_flight(&self, Wanted(metrics): &Wanted, series: SeriesLabels) -> FacadeInFlight {
        let gauge = Key::from_parts(metrics.in_flight.name, labels(series.shared));
        metrics::with_recorder(|recorder| {
            FacadeInFlight(recorder.register_gauge(&gauge, &METADATA))
        })
    }
}

/// Labels as Prometheus spells them.
fn labels(labels: Labels) -> Vec<Label> {
    let labels = labels.into_iter().map(|(key, value)| {
        let value = match value {
            LabelValue::Text(text) => text,
            LabelValue::Number(number) => number.to_string(),
        };
        Label::new(key.replace('.', "_"), value)
    });
    labels.collect()
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
