//! Tests a recorder from recording to rendering.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use metrics::{Histogram, Recorder, with_local_recorder};

use crate::Prometheus;

fn recorder() -> (impl Recorder, Prometheus) {
    Prometheus::builder()
        .buckets("size_bytes", [10.0, 100.0, 1000.0])
        .build()
        .unwrap()
}

/// Returns the series and the value of every sample line.
fn samples(text: &str) -> Vec<(&str, f64)> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(series, value)| (series, value.parse().unwrap()))
        .collect()
}

fn sample(text: &str, series: &str) -> f64 {
    let found: Vec<_> = samples(text)
        .into_iter()
        .filter(|(name, _)| *name == series)
        .collect();
    assert_eq!(found.len(), 1, "{series} in {text}");
    found[0].1
}

fn assert_no_duplicate_series(text: &str) {
    let mut seen = HashSet::new();
    for line in samples(text) {
        assert!(
            seen.insert(line.0.to_owned()),
            "{} occurs twice in {text}",
            line.0
        );
    }
}

#[test]
fn no_sample_is_lost_while_other_threads_render() {
    const THREADS: usize = 8;
    const EACH: u32 = 250_000;
    let (recorder, prometheus) = recorder();
    let histogram =
        with_local_recorder(&recorder, || metrics::histogram!("size_bytes", "a" => "b"));
    let recording = AtomicBool::new(true);
    let renders = thread::scope(|scope| {
        let renderer = scope.spawn(|| {
            let (mut renders, mut before) = (0_u32, 0.0);
            while recording.load(Ordering::Relaxed) || renders == 0 {
                let text = prometheus.render();
                let buckets: Vec<f64> = ["10", "100", "1000", "+Inf"]
                    .map(|le| format!("size_bytes_bucket{{a=\"b\",le=\"{le}\"}}"))
                    .iter()
                    .map(|series| sample(&text, series))
                    .collect();
                assert!(buckets.is_sorted(), "{text}");
                let count = sample(&text, "size_bytes_count{a=\"b\"}");
                assert_eq!(count, buckets[3], "{text}");
                assert!(count >= before, "counts never descend");
                before = count;
                renders += 1;
            }
            renders
        });
        let recorders: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..EACH).for_each(|n| histogram.record(n % 2000))))
            .collect();
        recorders.into_iter().for_each(|done| done.join().unwrap());
        recording.store(false, Ordering::Relaxed);
        renderer.join().unwrap()
    });
    assert!(renders > 0);
    let text = prometheus.render();
    let series = |name: &str| sample(&text, &format!("size_bytes_{name}"));
    let rounds = THREADS as f64 * f64::from(EACH) / 2000.0;
    assert_eq!(series("count{a=\"b\"}"), 2_000_000.0);
    assert_eq!(series("sum{a=\"b\"}"), rounds * 1999.0 * 1000.0);
    assert_eq!(series("bucket{a=\"b\",le=\"10\"}"), rounds * 11.0);
    assert_eq!(series("bucket{a=\"b\",le=\"100\"}"), rounds * 101.0);
    assert_eq!(series("bucket{a=\"b\",le=\"1000\"}"), rounds * 1001.0);
}

#[test]
fn no_sample_is_lost_while_series_are_created() {
    let (recorder, prometheus) = recorder();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                with_local_recorder(&recorder, || {
                    for n in 0..2000 {
                        metrics::histogram!("size_bytes", "n" => (n % 50).to_string()).record(1);
                    }
                });
            });
        }
    });
    let text = prometheus.render();
    assert_no_duplicate_series(&text);
    for n in 0..50 {
        assert_eq!(
            sample(&text, &format!("size_bytes_count{{n=\"{n}\"}}")),
            320.0
        );
    }
}

#[test]
fn histogram_keys_that_render_alike_share_one_series() {
    let (recorder, prometheus) = recorder();
    let handles: Vec<Histogram> = with_local_recorder(&recorder, || {
        vec![
            metrics::histogram!("size.bytes", "a.x" => "1", "b" => "2"),
            metrics::histogram!("size-bytes", "b" => "2", "a-x" => "1"),
            metrics::histogram!("size_bytes", "a_x" => "1", "b" => "2", "none" => ""),
            metrics::histogram!("size_bytes", "a_x" => "1", "b" => "2", "none" => ""),
        ]
    });
    handles.iter().for_each(|histogram| histogram.record(1));
    let text = prometheus.render();
    assert_no_duplicate_series(&text);
    assert_eq!(text.matches("# TYPE").count(), 1, "{text}");
    assert_eq!(sample(&text, "size_bytes_count{a_x=\"1\",b=\"2\"}"), 4.0);
}

#[test]
fn counter_and_gauge_keys_that_render_alike_share_one_series() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || {
        metrics::counter!("a.total", "b.c" => "\\\"", "a" => "1").increment(u64::MAX - 3);
        metrics::counter!("a_total", "a" => "1", "b-c" => "\\\"", "none" => "").increment(2);
        metrics::counter!("a_total", "a" => "1", "b-c" => "\\\"").absolute(7);
        metrics::gauge!("level").increment(3);
        metrics::gauge!("level").decrement(0.5);
        metrics::gauge!("deep").set(f64::NEG_INFINITY);
        metrics::describe_gauge!("level", "A\nlevel.");
        metrics::describe_counter!("unused_total", "Unused.");
    });
    assert_eq!(
        prometheus.render(),
        concat!(
            "# HELP a_total Not described.\n# TYPE a_total counter\n",
            "a_total{a=\"1\",b_c=\"\\\\\\\"\"} 18446744073709551614\n",
            "# HELP deep Not described.\n# TYPE deep gauge\ndeep -Inf\n",
            "# HELP level A\\nlevel.\n# TYPE level gauge\nlevel 2.5\n",
        )
    );
}

#[test]
fn label_values_that_differ_in_escaped_characters_are_different_series() {
    let (recorder, prometheus) = recorder();
    let values = ["\\", "\\\\", "\"", "\\\"", "\n", "\\n"];
    with_local_recorder(&recorder, || {
        for value in values {
            metrics::histogram!("size_bytes", "a" => value).record(1);
        }
    });
    let text = prometheus.render();
    assert_no_duplicate_series(&text);
    for escaped in [r"\\", r"\\\\", r#"\""#, r#"\\\""#, r"\n", r"\\n"] {
        let series = format!("size_bytes_count{{a=\"{escaped}\"}}");
        assert_eq!(sample(&text, &series), 1.0);
    }
}

#[test]
fn a_description_is_rendered_once_and_only_with_a_series() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || {
        metrics::describe_histogram!("size_bytes", "Sizes.\n\"C:\\\"");
        metrics::describe_histogram!("size.bytes", "Later.");
        metrics::describe_histogram!("unused_duration_seconds", "Unused.");
        metrics::histogram!("size_bytes", "a" => "1").record(1);
        metrics::histogram!("size_bytes", "a" => "2").record(1);
    });
    let text = prometheus.render();
    let heads: Vec<_> = text.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        heads,
        [
            "# HELP size_bytes Sizes.\\n\"C:\\\\\"",
            "# TYPE size_bytes histogram",
        ]
    );
}

#[test]
fn histograms_are_rendered_in_the_order_of_their_names() {
    let render = |names: [&'static str; 3], values: [&'static str; 3]| {
        let (recorder, prometheus) = recorder();
        with_local_recorder(&recorder, || {
            for name in names {
                for value in values {
                    metrics::histogram!(name, "v" => value).record(1);
                }
            }
        });
        prometheus.render()
    };
    let names = ["a_duration_seconds", "b_duration_seconds", "size_bytes"];
    let text = render(names, ["x", "y", "z"]);
    let (names, values) = ([names[2], names[0], names[1]], ["z", "x", "y"]);
    assert_eq!(text, render(names, values));
    let counts: Vec<_> = samples(&text)
        .into_iter()
        .map(|(series, _)| series)
        .filter(|series| series.contains("_count"))
        .collect();
    assert_eq!(counts.len(), 9);
    assert!(counts.is_sorted(), "{counts:?}");
}

#[test]
fn a_histogram_of_an_unknown_unit_has_default_buckets() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || metrics::histogram!("attempts").record(3));
    let text = prometheus.render();
    assert!(text.contains("# TYPE attempts histogram\n"), "{text}");
    assert_eq!(sample(&text, "attempts_bucket{le=\"0\"}"), 0.0);
    assert_eq!(sample(&text, "attempts_bucket{le=\"5\"}"), 1.0);
    assert_eq!(sample(&text, "attempts_count"), 1.0);
}

#[test]
fn long_label_values_use_bounded_memory() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || {
        for n in 0..1_000 {
            let value = "v".repeat(60_000) + &n.to_string();
            metrics::counter!("a_total", "a" => value).increment(1);
        }
    });
    let text = prometheus.render();
    assert!(text.len() < 1_000, "{}", text.len());
    let value = "v".repeat(253) + "…";
    assert_eq!(sample(&text, &format!("a_total{{a=\"{value}\"}}")), 1_000.0);
}

#[test]
fn names_are_limited() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || {
        for n in 0..20_000 {
            metrics::gauge!(format!("a{n}")).set(1);
        }
        metrics::gauge!("a0").set(7);
    });
    let text = prometheus.render();
    assert_eq!(samples(&text).len(), 10_000);
    assert_eq!(sample(&text, "a0"), 7.0);
}

#[test]
#[ignore = "needs promtool (Debian package prometheus): cargo test -p tower-otel-prometheus -- --ignored"]
fn promtool_accepts_the_text_format() {
    let (recorder, prometheus) = recorder();
    with_local_recorder(&recorder, || {
        metrics::describe_counter!("http_requests_total", "Requests.");
        metrics::counter!("http_requests_total", "path" => "/").increment(1);
        metrics::describe_gauge!("http_requests_in_flight", "Requests in flight.");
        metrics::gauge!("http_requests_in_flight").set(2);
        metrics::histogram!("not_described_bytes").record(3);
        metrics::describe_histogram!("size_bytes", "Sizes, \"quoted\" in\ntwo \\ lines.");
        metrics::describe_histogram!("http_request_duration_seconds", "Durations.");
        for value in ["", "\\", "\\\\", "a\"b", "a\nb", "\\n", "é{},="] {
            metrics::histogram!("size_bytes", "a.b" => value, "a-b" => value).record(1e300);
            metrics::histogram!("size_bytes", "le" => value, "1" => value).record(1e-300);
            metrics::histogram!("size_bytes", "__name__" => value, "" => value).record(-1);
            metrics::histogram!("http_request_duration_seconds", "path" => value).record(0.3);
        }
        metrics::histogram!("size_bytes", "much" => "1").record_many(f64::MAX, 2);
        metrics::histogram!("size_bytes", "much" => "2").record_many(f64::MIN, 2);
    });
    let text = prometheus.render();
    assert_no_duplicate_series(&text);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let messages = String::from_utf8([out, err].concat()).unwrap();
    assert!(
        output.status.success() && messages.is_empty(),
        "{messages}\n{text}"
    );
}
