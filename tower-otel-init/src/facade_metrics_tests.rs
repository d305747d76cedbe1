use super::*;

const TIMES: Times = Times { start: 7, now: 9 };

fn read(text: &str) -> Vec<Vec<Metric>> {
    let mut metrics = FacadeMetrics::new(text, TIMES);
    std::iter::from_fn(|| metrics.next_part()).collect()
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

#[test]
fn many_series_are_in_several_requests_that_receivers_accept() {
    use prost::Message;

    // Many short labels and short lines result in the largest messages.
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
    let points = parts.iter().flatten().map(|metric| match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        _ => 0,
    });
    assert_eq!(points.sum::<usize>(), 120_000);
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
