#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use serde_json::{Value, json};
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing_log::log::{Level, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Identity, SubscriberExt};

use super::UsedCallsites;
use crate::live_log_filter::LiveLogFilter;
use crate::log_lines;
use crate::options::{LogFormat, LogTraces};
use crate::test_output::TestOutput;

/// Returns what `f` logs with a filter. Spans are used down to a level.
fn output(
    format: LogFormat,
    directives: &str,
    spans: LevelFilter,
    f: impl FnOnce(&LiveLogFilter),
) -> String {
    let output = TestOutput::default();
    let writer = output.clone();
    let live = LiveLogFilter::new(directives, LogTraces::All);
    let filter = live.layer_filter();
    let used = UsedCallsites {
        spans,
        logs: vec![filter.clone()],
    };
    let lines = log_lines::layer(format, filter, move || writer.clone());
    let layers = Identity::new().and_then(lines).and_then(used);
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || f(&live));
    output.text()
}

#[test]
fn a_line_belongs_to_the_innermost_span_that_the_filter_enables() {
    let log = |_: &LiveLogFilter| {
        let _outer = tracing::warn_span!("outer", number = 1).entered();
        let inner = tracing::info_span!("inner", number = 2, late = Empty);
        inner.record("late", 3);
        let _inner = inner.entered();
        tracing::error!("line");
        tracing::info!("disabled");
    };
    let text = output(LogFormat::Json, "warn", LevelFilter::INFO, log);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["span"], json!({ "name": "outer", "number": 1 }));
    assert_eq!(line["fields"], json!({ "message": "line" }));
    let text = output(LogFormat::Pretty, "warn", LevelFilter::INFO, log);
    assert!(
        text.contains("ERROR outer: ") && !text.contains("inner"),
        "{text}"
    );
    let text = output(LogFormat::Json, "error", LevelFilter::INFO, log);
    let line: Value = serde_json::from_str(&text).unwrap();
    assert!(line.get("span").is_none(), "{line}");
}

#[test]
fn records_of_the_crate_log_are_filtered_by_their_target() {
    let text = output(LogFormat::Json, "info,noisy=off", LevelFilter::INFO, |_| {
        for target in ["noisy", "other"] {
            let message = format_args!("line");
            let mut record = Record::builder();
            record.target(target).level(Level::Info).args(message);
            tracing_log::format_trace(&record.build()).unwrap();
        }
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["target"], "other");
}

#[test]
fn what_no_layer_uses_is_disabled() {
    let is_enabled = || {
        let debug = tracing::enabled!(tracing::Level::DEBUG);
        let info = tracing::enabled!(tracing::Level::INFO);
        [debug, info]
    };
    let text = output(LogFormat::Json, "error", LevelFilter::OFF, |live| {
        assert_eq!(is_enabled(), [false, false]);
        live.set("debug").unwrap();
        assert_eq!(is_enabled(), [true, true]);
        live.set("error,[selected]=debug").unwrap();
        assert_eq!(is_enabled(), [false, false]);
        tracing::info_span!("selected").in_scope(|| {
            assert_eq!(is_enabled(), [true, true]);
            tracing::debug!("line");
        });
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    output(LogFormat::Json, "error", LevelFilter::INFO, |_| {
        assert_eq!(is_enabled(), [false, true]);
    });
}
