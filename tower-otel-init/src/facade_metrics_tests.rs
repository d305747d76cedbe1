#![allow(clippy::unwrap_used)]

use tower_otel_prometheus::Prometheus;

use super::*;

const TIMES: Times = Times { start: 7, now: 9 };

/// Reads a text in one piece.
fn read(text: &str) -> Vec<Vec<Metric>> {
    read_pieces(std::iter::once(text.to_owned()))
}

fn read_pieces(pieces: impl Iterator<Item = String>) -> Vec<Vec<Metric>> {
    let mut metrics = FacadeMetrics::new(pieces);
    std::iter::from_fn(|| metrics.next_part(TIMES)).collect()
}

/// Returns each point as a line: name, unit, kind, labels, values.
fn lines(parts: &[Vec<Metric>]) -> Vec<String> {
    let labels = |attributes: &[KeyValue]| {
        let texts = attributes.iter().map(|attribute| {
            let value = attribute.value.clone().and_then(|value| value.value);
            format!("{}={value:?}", attribute.key).replace("StringValue", "")
        });
        texts.collect::<Vec<_>>().join(" ")
    };
    let mut lines = Vec::new();
    for metric in parts.iter().flatten() {
        let head = format!("{} [{}]", metric.name, metric.unit);
        let numbers = |kind: &str, points: &[NumberDataPoint]| -> Vec<String> {
            let lines = points.iter().map(|point| {
                let (labels, times) = (
                    labels(&point.attributes),
                    (point.start_time_unix_nano, point.time_unix_nano),
                );
                format!("{head} {kind} {labels} {:?} {times:?}", point.value)
            });
            lines.collect()
        };
        lines.extend(match &metric.data {
            Some(Data::Sum(sum)) if sum.is_monotonic => numbers("sum", &sum.data_points),
            Some(Data::Gauge(gauge)) => numbers("gauge", &gauge.data_points),
            Some(Data::Histogram(histogram)) => {
                let points = histogram.data_points.iter().map(|point| {
                    let labels = labels(&point.attributes);
                    let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
                    let (count, sum) = (point.count, point.sum);
                    format!("{head} histogram {labels} {bounds:?} {counts:?} {count} {sum:?}")
                });
                points.collect()
            }
            other => vec![format!("{head} {other:?}")],
        });
    }
    lines
}

#[test]
fn counters_gauges_and_histograms_are_translated() {
    let text = r#"# HELP jobs_total Jobs "done"\\,\nby kind.
# TYPE jobs_total counter
jobs_total{kind="a \"b\"\\\n,}"} 9007199254740993
jobs_total 18446744073709551615
# HELP lag_seconds Lag.
# TYPE lag_seconds gauge
lag_seconds -0.5
# HELP odd Not described.
# TYPE odd gauge
odd{a="1"} NaN
odd{a="2"} -Inf
# HELP a_seconds A.
# TYPE a_seconds histogram
a_seconds_bucket{m="GET",le="-1"} 2
a_seconds_bucket{m="GET",le="0.5"} 2
a_seconds_bucket{m="GET",le="+Inf"} 7
a_seconds_sum{m="GET"} 1.25
a_seconds_count{m="GET"} 7
a_seconds_bucket{le="0.5"} 0
a_seconds_bucket{le="+Inf"} 0
a_seconds_sum 0
a_seconds_count 0
"#;
    let parts = read(text);
    assert_eq!(
        lines(&parts),
        [
            r#"jobs_total [] sum kind=Some(("a \"b\"\\\n,}")) Some(AsInt(9007199254740993)) (7, 9)"#,
            "jobs_total [] sum  Some(AsInt(9223372036854775807)) (7, 9)",
            "lag_seconds [s] gauge  Some(AsDouble(-0.5)) (0, 9)",
            r#"odd [] gauge a=Some(("1")) Some(AsDouble(NaN)) (0, 9)"#,
            r#"odd [] gauge a=Some(("2")) Some(AsDouble(-inf)) (0, 9)"#,
            r#"a_seconds [s] histogram m=Some(("GET")) [-1.0, 0.5] [2, 0, 5] 7 Some(1.25)"#,
            "a_seconds [s] histogram  [0.5] [0, 0] 0 Some(0.0)",
        ]
    );
    let helps = parts.iter().flatten().map(|metric| &*metric.description);
    let expected = ["Jobs \"done\"\\,\nby kind.", "Lag.", "Not described.", "A."];
    assert!(helps.eq(expected));
}

/// Returns how many numbers a part has.
fn numbers(part: &[Metric]) -> usize {
    let numbers = part.iter().map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        _ => 0,
    });
    numbers.sum()
}

#[test]
fn many_series_are_in_several_requests_that_receivers_accept() {
    use prost::Message;

    // Many short labels and short lines: the worst cases of the size of a message.
    let labels: Vec<String> = (0..64).map(|n| format!("a{n}=\"1\"")).collect();
    let labels = labels.join(",");
    let mut text = "# HELP a_total A.\n# TYPE a_total counter\n".to_owned();
    for n in 0..20_000 {
        text.push_str(&format!("a_total{{{labels},n=\"{n}\"}} 1\n"));
    }
    text.push_str("# HELP b B.\n# TYPE b gauge\n");
    for n in 0..100_000 {
        text.push_str(&format!("b{{n=\"{n}\"}} 1\n"));
    }
    let parts = read(&text);
    assert_eq!(
        parts.iter().map(|part| numbers(part)).sum::<usize>(),
        120_000
    );
    assert!(parts.len() > 10);
    for part in parts {
        let size: usize = part.iter().map(Message::encoded_len).sum();
        assert!(size < 2 << 20, "{size}");
    }
}

#[test]
fn a_point_that_is_longer_than_a_request_does_not_end_the_push() {
    let label = "x".repeat(PART_SIZE);
    let text = format!(
        "# TYPE a histogram\na_bucket{{l=\"{label}\",le=\"+Inf\"}} 1\na_sum{{l=\"{label}\"}} 1\n\
         a_count{{l=\"{label}\"}} 1\n# TYPE b_total counter\nb_total 2\n"
    );
    let parts = read(&text);
    let names = parts.iter().flatten().map(|metric| &*metric.name);
    assert!(names.eq(["a", "b_total"]));
}

#[test]
fn lines_that_are_not_in_the_format_are_skipped() {
    for text in ["", "\n\n", "# HELP", "#", "a{", "a{b=\"c} 1", "a x"] {
        assert_eq!(read(text), Vec::<Vec<Metric>>::new(), "{text:?}");
    }
    let truncated = "# TYPE a histogram\na_bucket{le=\"x\"} 1\na_bucket 2\na_sum 1\nab 1\n";
    assert_eq!(read(truncated), Vec::<Vec<Metric>>::new());
}

#[test]
fn the_unit_is_that_of_the_name() {
    for (name, unit) in [
        ("http_request_duration_seconds", "s"),
        ("cpu_seconds_total", "s"),
        ("body_bytes", "By"),
        ("jobs_total", ""),
        ("seconds", ""),
        ("hit_ratio", "1"),
    ] {
        assert_eq!(unit_of(name), unit, "{name}");
    }
}

#[test]
fn a_clock_that_is_set_back_does_not_end_points_before_their_start() {
    let end = |now| Times::new(7, now).now;
    assert_eq!([9, 7, 3].map(end), [9, 7, 7]);
}

/// A recorder with so many counters. The text of each has 200 bytes.
fn prometheus(series: usize) -> Prometheus {
    let (recorder, prometheus) = Prometheus::builder().build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        for n in 0..series {
            metrics::counter!("jobs_total", "kind" => format!("{n:0>180}")).increment(1);
        }
    });
    prometheus
}

#[test]
fn a_push_needs_no_more_memory_for_more_series() {
    let pushed = |series| {
        let prometheus = prometheus(series);
        let mut points = 0;
        let memory = allocation_counter::measure(|| {
            let mut metrics = FacadeMetrics::new(prometheus.pieces());
            while let Some(part) = metrics.next_part(TIMES) {
                points += numbers(&part);
            }
        });
        assert_eq!(points, series);
        memory.bytes_max
    };
    let (few, many) = (pushed(10_000), pushed(100_000));
    assert!(many < few + few / 4, "{few} bytes, then {many}");
    // The text has more than 18 MB.
    assert!(many < 6_000_000, "{many}");
}

#[test]
fn a_text_in_pieces_is_read_like_a_text_in_one() {
    let text = "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 3\na_sum 5\na_count 3\n\
                # HELP b_total B.\n# TYPE b_total counter\nb_total{c=\"1\"} 1\nb_total{c=\"2\"} 2\n";
    let expected = lines(&read(text));
    assert_eq!(expected.len(), 3);
    for size in 1..8 {
        let all: Vec<_> = text.split_inclusive('\n').collect();
        let pieces = all.chunks(size).map(|lines| lines.concat());
        let empty = std::iter::once(String::new());
        assert_eq!(lines(&read_pieces(empty.chain(pieces))), expected);
    }
}
