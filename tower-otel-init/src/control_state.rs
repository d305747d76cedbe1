//! The settings, the exporters and the kept traces as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

use crate::control::Control;
use crate::drop_counts::DropCounts;
use crate::exporter_state::ExporterState;
use crate::span_recorder::SpanRecorder;

impl Control {
    /// Returns the settings, the state of the exporters and the kept traces as a JSON object.
    pub(crate) fn state(&self) -> String {
        let spans = self.spans().ok().filter(|spans| spans.counts_losses);
        let (failure, kept) = spans.map_or_else(Default::default, |spans| {
            let (failure, roots) = spans.recorder.export_report();
            (failure, roots.iter().rev().map(kept_trace).collect())
        });
        let spans = spans.map(|spans| span_exporter(spans, failure));
        let others = self.exporters();
        let exporters = spans.into_iter().chain(others.iter().map(exporter));
        json!({
            "summary": self.summary(),
            "settings": {
                "sampling": self.sampling(),
                "keep": self.keep(),
                "log_filter": self.log_filter(),
            },
            "exporters": exporters.collect::<Vec<_>>(),
            "kept_traces": Value::Array(kept),
        })
        .to_string()
    }
}

fn span_exporter(spans: &SpanRecorder, failure: Option<String>) -> Value {
    let counts = spans.counts();
    let mut dropped = dropped(counts.dropped);
    if let Some(dropped) = dropped.as_object_mut() {
        dropped.insert("not_held".to_owned(), counts.not_held.into());
        dropped.insert("keep_limited".to_owned(), counts.keep_limited.into());
    }
    json!({
        "signal": "spans",
        "state": if failure.is_some() { "failing" } else { "working" },
        "failure": failure,
        "queued": counts.queued,
        "exporting": counts.exporting,
        "delivered": counts.delivered,
        "dropped": dropped,
    })
}

fn exporter(exporter: &ExporterState) -> Value {
    let counts = exporter.counts.as_ref().map(|counts| counts());
    json!({
        "signal": exporter.health.items(),
        "state": exporter.health.state(),
        "queued": counts.map(|counts| counts.queued),
        "exporting": counts.map(|counts| counts.exporting),
        "delivered": counts.map(|counts| counts.delivered),
        "dropped": counts.map(|counts| dropped(counts.dropped)),
    })
}

fn dropped(counts: DropCounts) -> Value {
    json!({
        "queue_full": counts.queue_full,
        "export_failed": counts.export_failed,
        "rejected": counts.rejected,
        "shutdown": counts.shutdown,
    })
}

/// Returns a kept trace as JSON, from its local root.
fn kept_trace(root: &SpanData) -> Value {
    let duration = root.end_time.duration_since(root.start_time);
    let reason = root.attributes.first();
    json!({
        "trace_id": root.span_context.trace_id().to_string(),
        "name": root.name,
        "reason": reason.map(|reason| reason.value.to_string()),
        "failed": matches!(root.status, Status::Error { .. }),
        "start_unix_ms": unix_millis(root.start_time),
        "duration_ms": duration.unwrap_or_default().as_secs_f64() * 1e3,
    })
}

fn unix_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
