//! The backend of the `metrics` facade.

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit};

use crate::{
    backend::instruments::{
        GaugeKind, InFlightGauge, MakeInstruments, OutcomeInstruments, Sample, SeriesLabels,
    },
    names::{Metric, MetricSet},
    naming::{LabelValue, Labels, STATUS},
};

const METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// Records with the recorder of the [`metrics`] facade. This is the default backend.
///
/// Handles are resolved once per series and then cached. Install the recorder before the first
/// request: requests that end earlier are not counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct FacadeMetrics(());

/// The instruments of one series that record the end of an exchange. A counter that the layer does not have records nothing.
#[derive(Clone, Debug)]
pub struct FacadeOutcome {
    requests: Counter,
    duration: Histogram,
    aborted: Counter,
    /// Boxed, so that series without sizes use fewer cache lines.
    sizes: Option<Box<(Histogram, Histogram)>>,
}

/// A gauge of exchanges that have not ended.
#[derive(Clone, Debug)]
pub struct FacadeInFlight(Gauge);

impl MakeInstruments for FacadeMetrics {
    type Outcome = FacadeOutcome;
    type InFlight = FacadeInFlight;
    type Instruments = MetricSet;

    const READS_CONTEXT: bool = true;

    fn is_ready(&self) -> bool {
        has_recorder()
    }

    fn instruments(&self, metrics: MetricSet) -> MetricSet {
        let MetricSet {
            requests,
            duration,
            in_flight,
            streams,
            aborted,
            sizes,
        } = &metrics;
        metrics::with_recorder(|recorder| {
            for counter in [requests, aborted].into_iter().flatten() {
                let (name, help) = (counter.name.clone().into(), counter.help.into());
                recorder.describe_counter(name, Some(Unit::Count), help);
            }
            let (name, help) = (duration.name.clone().into(), duration.help.into());
            recorder.describe_histogram(name, Some(Unit::Seconds), help);
            for gauge in [in_flight, streams] {
                let (name, help) = (gauge.name.clone().into(), gauge.help.into());
                recorder.describe_gauge(name, Some(Unit::Count), help);
            }
            for size in sizes
                .iter()
                .flat_map(|(request, response)| [request, response])
            {
                let (name, help) = (size.name.clone().into(), size.help.into());
                recorder.describe_histogram(name, Some(Unit::Bytes), help);
            }
        });
        metrics
    }

    fn outcome(&self, metrics: &MetricSet, series: SeriesLabels) -> FacadeOutcome {
        let labels = labels(series.shared);
        let mut with_status = labels.clone();
        with_status.extend(series.status.map(|status| Label::new(STATUS, status)));
        let key = |metric: &Metric| Key::from_parts(metric.name.clone(), labels.clone());
        metrics::with_recorder(|recorder| {
            let histogram = |metric| recorder.register_histogram(&key(metric), &METADATA);
            FacadeOutcome {
                requests: metrics
                    .requests
                    .as_ref()
                    .map_or(Counter::noop(), |counter| {
                        let key = Key::from_parts(counter.name.clone(), with_status);
                        recorder.register_counter(&key, &METADATA)
                    }),
                duration: histogram(&metrics.duration),
                aborted: metrics.aborted.as_ref().map_or(Counter::noop(), |counter| {
                    recorder.register_counter(&key(counter), &METADATA)
                }),
                sizes: metrics
                    .sizes
                    .as_ref()
                    .map(|(request, response)| (histogram(request), histogram(response)).into()),
            }
        })
    }

    fn gauge(&self, metrics: &MetricSet, gauge: GaugeKind, series: SeriesLabels) -> FacadeInFlight {
        let metric = match gauge {
            GaugeKind::InFlight => &metrics.in_flight,
            GaugeKind::Streams => &metrics.streams,
        };
        let gauge = Key::from_parts(metric.name.clone(), labels(series.shared));
        metrics::with_recorder(|recorder| {
            FacadeInFlight(recorder.register_gauge(&gauge, &METADATA))
        })
    }
}

/// Returns whether a recorder is installed, globally or for this thread.
///
/// Without a recorder, the facade uses one of size zero. A recorder of the application with size zero is treated in
/// the same way: its handles are not cached.
fn has_recorder() -> bool {
    metrics::with_recorder(|recorder| size_of_val(recorder) > 0)
}

/// Converts labels to names and values of Prometheus.
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

impl OutcomeInstruments for FacadeOutcome {
    // Inlined, because a call would copy the sample.
    #[inline(always)]
    fn record(&self, sample: Sample) {
        self.requests.increment(1);
        self.duration.record(sample.seconds);
        if sample.aborted {
            self.aborted.increment(1);
        }
        if let Some((request, response)) = self.sizes.as_deref() {
            if let Some(bytes) = sample.sent {
                request.record(bytes as f64);
            }
            if let Some(bytes) = sample.received {
                response.record(bytes as f64);
            }
        }
    }
}

impl InFlightGauge for FacadeInFlight {
    #[inline]
    fn started(&self) {
        self.0.increment(1.0);
    }

    #[inline]
    fn ended(&self) {
        self.0.decrement(1.0);
    }
}
