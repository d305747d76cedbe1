//! Translates the metrics of the recorder to OTLP.
//!
//! The recorder has one interface, its text format. A render every minute costs less than a second recording
//! of each sample, and names and values cannot differ from those of `/metrics`. The text is rendered in pieces while it is
//! translated, so it is never stored as a whole.
//!
//! <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#prometheus-metric-points-to-otlp>

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use crate::sample::{Sample, unescape};

/// The size of the text from which the metrics of a request are complete, in bytes, with the times of each
/// point. Receivers of gRPC accept 4 MiB by default, and a message is at most twice as long.
const PART_SIZE: usize = 1 << 20;

/// What the times and the value of a point add to its text, in bytes.
const POINT_SIZE: usize = 32;

/// The times of cumulative values, in nanoseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    /// When all values were 0.
    pub(crate) start: u64,
    pub(crate) now: u64,
}

impl Times {
    /// Returns the times of values until now. A clock that was set back does not end them before their start.
    pub(crate) fn new(start: u64, now: u64) -> Self {
        let now = now.max(start);
        Self { start, now }
    }
}

/// Reads the text format, version 0.0.4, as the recorder writes it, from pieces of whole lines.
pub(crate) struct FacadeMetrics<I> {
    lines: PieceLines<I>,
    points: Points,
}

/// The lines of the pieces of a text.
struct PieceLines<I> {
    pieces: I,
    piece: String,
    /// Where the next line starts.
    next: usize,
}

/// The points that the lines describe.
struct Points {
    times: Times,
    /// The metric that the next samples belong to.
    family: Family,
    /// The histogram whose count was not read yet.
    histogram: HistogramDataPoint,
}

#[derive(Clone, Debug, Default)]
struct Family {
    name: String,
    help: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default)]
enum Kind {
    Counter,
    #[default]
    Gauge,
    Histogram,
}

enum Point {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
}

impl<I: Iterator<Item = String>> PieceLines<I> {
    /// Returns the next line. Renders a piece if the last one is read.
    fn next(&mut self) -> Option<&str> {
        while self.next >= self.piece.len() {
            self.piece = self.pieces.next()?;
            self.next = 0;
        }
        let rest = self.piece.get(self.next..)?;
        let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
        self.next += line.len() + 1;
        Some(line)
    }
}

impl<I: Iterator<Item = String>> FacadeMetrics<I> {
    pub(crate) fn new(pieces: I) -> Self {
        Self {
            lines: PieceLines {
                pieces,
                piece: String::new(),
                next: 0,
            },
            points: Points {
                times: Times::new(0, 0),
                family: Family::default(),
                histogram: HistogramDataPoint::default(),
            },
        }
    }

    /// Returns the metrics of the next request, which are read at these times, or `None` at the end. A metric with many
    /// series is in several requests.
    pub(crate) fn next_part(&mut self, times: Times) -> Option<Vec<Metric>> {
        let Self { lines, points } = self;
        points.times = times;
        let (mut metrics, mut size): (Vec<Metric>, usize) = (Vec::new(), 0);
        // A part without a metric would be the end.
        while size < PART_SIZE || metrics.is_empty() {
            let Some(line) = lines.next() else {
                break;
            };
            if let Some(comment) = line.strip_prefix("# ") {
                points.read_comment(comment);
                continue;
            }
            size += line.len() + POINT_SIZE;
            let Some(point) = Sample::parse(line, |_| true).and_then(|sample| points.point(sample))
            else {
                continue;
            };
            match metrics.last_mut() {
                Some(metric) if metric.name == points.family.name => add(metric, point),
                _ => {
                    let mut metric = points.family.metric();
                    add(&mut metric, point);
                    metrics.push(metric);
                }
            }
        }
        (!metrics.is_empty()).then_some(metrics)
    }
}

impl Points {
    fn read_comment(&mut self, comment: &str) {
        let mut words = comment.splitn(3, ' ');
        let (keyword, name, rest) = (words.next(), words.next(), words.next());
        let (name, rest) = (name.unwrap_or_default(), rest.unwrap_or_default());
        if name != self.family.name {
            self.family = Family {
                name: name.to_owned(),
                ..Family::default()
            };
        }
        match (keyword, rest) {
            (Some("HELP"), help) => self.family.help = unescape(help),
            (_, "counter") => self.family.kind = Kind::Counter,
            (_, "histogram") => self.family.kind = Kind::Histogram,
            _ => self.family.kind = Kind::Gauge,
        }
    }

    /// Returns the point that is complete with this sample.
    fn point(&mut self, sample: Sample<'_>) -> Option<Point> {
        let times = self.times;
        let number = |sample: Sample<'_>, start, value| {
            Point::Number(NumberDataPoint {
                value: Some(value),
                start_time_unix_nano: start,
                time_unix_nano: times.now,
                attributes: attributes(sample),
                ..NumberDataPoint::default()
            })
        };
        match self.family.kind {
            Kind::Counter => {
                let count = sample.text.parse().unwrap_or(u64::MAX);
                let value = Value::AsInt(i64::try_from(count).unwrap_or(i64::MAX));
                Some(number(sample, times.start, value))
            }
            Kind::Gauge => {
                let value = Value::AsDouble(sample.value);
                Some(number(sample, 0, value))
            }
            Kind::Histogram => self.read_histogram(sample).map(Point::Histogram),
        }
    }

    /// Adds a sample to the current histogram, and returns it with its last sample, the count.
    fn read_histogram(&mut self, sample: Sample<'_>) -> Option<HistogramDataPoint> {
        let histogram = &mut self.histogram;
        match sample.name.strip_prefix(&*self.family.name)? {
            "_bucket" => {
                let upper: f64 = sample.label("le").parse().ok()?;
                if upper.is_finite() {
                    histogram.explicit_bounds.push(upper);
                }
                let up_to: u64 = sample.text.parse().ok()?;
                let count = up_to.saturating_sub(histogram.count);
                histogram.bucket_counts.push(count);
                histogram.count = up_to;
            }
            "_sum" => histogram.sum = Some(sample.value),
            "_count" => {
                return Some(HistogramDataPoint {
                    attributes: attributes(sample),
                    start_time_unix_nano: self.times.start,
                    time_unix_nano: self.times.now,
                    ..std::mem::take(histogram)
                });
            }
            _ => {}
        }
        None
    }
}

impl Family {
    /// Returns the metric without points.
    fn metric(&self) -> Metric {
        let aggregation_temporality = AggregationTemporality::Cumulative.into();
        let data = match self.kind {
            Kind::Counter => Data::Sum(Sum {
                data_points: Vec::new(),
                aggregation_temporality,
                is_monotonic: true,
            }),
            Kind::Gauge => Data::Gauge(Gauge::default()),
            Kind::Histogram => Data::Histogram(Histogram {
                data_points: Vec::new(),
                aggregation_temporality,
            }),
        };
        Metric {
            name: self.name.clone(),
            description: self.help.clone(),
            unit: unit_of(&self.name).to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }
}

fn add(metric: &mut Metric, point: Point) {
    match (&mut metric.data, point) {
        (Some(Data::Sum(sum)), Point::Number(point)) => sum.data_points.push(point),
        (Some(Data::Gauge(gauge)), Point::Number(point)) => gauge.data_points.push(point),
        (Some(Data::Histogram(histogram)), Point::Histogram(point)) => {
            histogram.data_points.push(point);
        }
        _ => {}
    }
}

fn attributes(sample: Sample<'_>) -> Vec<KeyValue> {
    let labels = sample.into_labels();
    let attributes = labels.map(|(key, value)| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value)),
        }),
        ..KeyValue::default()
    });
    attributes.collect()
}

/// The last words of names, and the units of OpenTelemetry.
const UNITS: [(&str, &str); 12] = [
    ("amperes", "A"),
    ("bytes", "By"),
    ("celsius", "Cel"),
    ("days", "d"),
    ("grams", "g"),
    ("hertz", "Hz"),
    ("joules", "J"),
    ("meters", "m"),
    ("percent", "%"),
    ("ratio", "1"),
    ("seconds", "s"),
    ("volts", "V"),
];

/// Returns the unit of a metric by its name. Empty if it has none.
fn unit_of(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    let word = name.rsplit_once('_').map_or("", |(_, word)| word);
    let unit = UNITS.iter().find(|(suffix, _)| *suffix == word);
    unit.map_or("", |(_, unit)| unit)
}

#[cfg(test)]
#[path = "facade_metrics_tests.rs"]
mod tests;
