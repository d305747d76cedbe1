//! The backend of the OpenTelemetry API.

use std::sync::Arc;

use opentelemetry::{
    InstrumentationScope, KeyValue,
    metrics::{Counter, Histogram, Meter, MeterProvider, UpDownCounter},
};
use tower_otel_semconv::{self as semconv, metric};

use crate::{
    backend::instruments::{
        GaugeKind, InFlightGauge, MakeInstruments, OutcomeInstruments, Sample, SeriesLabels,
    },
    names::{Metric, MetricSet},
    naming::{LabelValue, Labels, STATUS},
};

/// The unit of durations.
const SECONDS: &str = "s";
/// The unit of sizes.
const BYTES: &str = "By";
/// The unit of request counts. It is an annotation in braces, so exporters append no unit to Prometheus names.
const REQUESTS: &str = "{request}";
/// The unit of streams.
const STREAMS: &str = "{stream}";

/// Records with an OpenTelemetry meter. See
/// [`MetricsLayer::meter_provider`](crate::MetricsLayer::meter_provider).
///
/// With [`Names::Conventions`](crate::Names::Conventions), metrics and attributes have their dotted names, such as
/// `http.server.request.duration`. With `Names::Short` the names are those of Prometheus, but body sizes have dotted names.
/// Numbers are recorded as integers.
#[derive(Clone, Debug)]
pub struct OtelMetrics(Meter);

/// The instruments of a layer.
#[derive(Debug)]
pub struct OtelInstruments {
    requests: Option<Counter<u64>>,
    duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    streams: UpDownCounter<i64>,
    aborted: Option<Counter<u64>>,
    sizes: Option<(Histogram<u64>, Histogram<u64>)>,
}

/// The instruments that record the end of an exchange, with the attributes of the series.
#[derive(Clone, Debug)]
pub struct OtelOutcome {
    requests: Option<(Counter<u64>, Box<[KeyValue]>)>,
    duration: Histogram<f64>,
    aborted: Option<Counter<u64>>,
    sizes: Option<(Histogram<u64>, Histogram<u64>)>,
    attributes: Box<[KeyValue]>,
}

/// The gauge of exchanges that have not ended, with the attributes of the series.
#[derive(Clone, Debug)]
pub struct OtelInFlight {
    counter: UpDownCounter<i64>,
    attributes: Arc<[KeyValue]>,
}

impl OtelMetrics {
    pub(crate) fn new(provider: &impl MeterProvider) -> Self {
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(semconv::SCHEMA_URL)
            .build();
        Self(provider.meter_with_scope(scope))
    }
}

impl MakeInstruments for OtelMetrics {
    type Outcome = OtelOutcome;
    type InFlight = OtelInFlight;
    type Instruments = OtelInstruments;

    /// `false`, because the SDK records no exemplars.
    const READS_CONTEXT: bool = false;

    /// Returns `true`, because instruments of a meter always record.
    fn is_ready(&self) -> bool {
        true
    }

    fn instruments(&self, metrics: MetricSet) -> OtelInstruments {
        let Self(meter) = self;
        let MetricSet {
            requests,
            duration,
            in_flight,
            streams,
            aborted,
            sizes,
        } = metrics;
        let counter = |counter: Metric| {
            meter
                .u64_counter(counter.dotted)
                .with_description(counter.help)
                .with_unit(REQUESTS)
                .build()
        };
        let gauge = |gauge: Metric, unit: &'static str| {
            meter
                .i64_up_down_counter(gauge.dotted)
                .with_description(gauge.help)
                .with_unit(unit)
                .build()
        };
        let size = |size: Metric| {
            meter
                .u64_histogram(size.dotted)
                .with_description(size.help)
                .with_unit(BYTES)
                .with_boundaries(metric::BODY_SIZE_BOUNDARIES.to_vec())
                .build()
        };
        OtelInstruments {
            requests: requests.map(counter),
            duration: meter
                .f64_histogram(duration.dotted)
                .with_description(duration.help)
                .with_unit(SECONDS)
                .with_boundaries(metric::DURATION_BOUNDARIES.to_vec())
                .build(),
            in_flight: gauge(in_flight, REQUESTS),
            streams: gauge(streams, STREAMS),
            aborted: aborted.map(counter),
            sizes: sizes.map(|(request, response)| (size(request), size(response))),
        }
    }

    fn outcome(&self, instruments: &OtelInstruments, series: SeriesLabels) -> OtelOutcome {
        let attributes = attributes(series.shared);
        let mut with_status = attributes.clone();
        with_status.extend(series.status.map(|status| KeyValue::new(STATUS, status)));
        OtelOutcome {
            requests: instruments
                .requests
                .clone()
                .map(|counter| (counter, with_status.into())),
            duration: instruments.duration.clone(),
            aborted: instruments.aborted.clone(),
            sizes: instruments.sizes.clone(),
            attributes: attributes.into(),
        }
    }

    fn gauge(
        &self,
        instruments: &OtelInstruments,
        gauge: GaugeKind,
        series: SeriesLabels,
    ) -> OtelInFlight {
        let counter = match gauge {
            GaugeKind::InFlight => &instruments.in_flight,
            GaugeKind::Streams => &instruments.streams,
        };
        OtelInFlight {
            counter: counter.clone(),
            attributes: attributes(series.shared).into(),
        }
    }
}

fn attributes(labels: Labels) -> Vec<KeyValue> {
    let attributes = labels.into_iter().map(|(key, value)| match value {
        LabelValue::Text(text) => KeyValue::new(key, text),
        LabelValue::Number(number) => KeyValue::new(key, i64::from(number)),
    });
    attributes.collect()
}

impl OutcomeInstruments for OtelOutcome {
    fn record(&self, sample: Sample) {
        if let Some((requests, attributes)) = &self.requests {
            requests.add(1, attributes);
        }
        self.duration.record(sample.seconds, &self.attributes);
        if let (Some(aborted), true) = (&self.aborted, sample.aborted) {
            aborted.add(1, &self.attributes);
        }
        if let Some((request, response)) = &self.sizes {
            if let Some(bytes) = sample.sent {
                request.record(bytes, &self.attributes);
            }
            if let Some(bytes) = sample.received {
                response.record(bytes, &self.attributes);
            }
        }
    }
}

impl InFlightGauge for OtelInFlight {
    fn started(&self) {
        self.counter.add(1, &self.attributes);
    }

    fn ended(&self) {
        self.counter.add(-1, &self.attributes);
    }
}
