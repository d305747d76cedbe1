//! The state of the exporters and of the sampler.

use std::time::Instant;

use serde_json::{Value, json};

use crate::page::StatusSource;
use crate::running_telemetry::RunningTelemetry;

/// Returns the source of the metrics and of the state of the exporters.
pub(crate) fn source(telemetry: &RunningTelemetry) -> StatusSource {
    let started = Instant::now();
    let spans = telemetry.spans.clone();
    let summary = telemetry.summary.clone();
    let control = telemetry.control.clone();
    let warnings: Vec<String> = telemetry.warnings.iter().map(ToString::to_string).collect();
    let status = move || {
        let counts = spans.as_ref().map(|spans| spans.recorded());
        let failure = spans
            .as_ref()
            .and_then(|spans| spans.recorder.export_report().0);
        json!({
            "summary": summary,
            "warnings": warnings,
            "failure": failure,
            "settings": {
                "sampling": control.sampling(),
                "keep": control.keep(),
                "log_filter": control.log_filter(),
            },
            "uptime": started.elapsed().as_secs(),
            "spans": counts.map_or(Value::Null, |counts| json!({
                "queued": counts.queued,
                "exporting": counts.exporting,
                "delivered": counts.delivered,
                "queue_full": counts.dropped.queue_full,
                "export_failed": counts.dropped.export_failed,
                "rejected": counts.dropped.rejected,
                "not_held": counts.not_held,
                "keep_limited": counts.keep_limited,
            })),
        })
    };
    let prometheus = telemetry.prometheus.clone();
    StatusSource {
        status: Box::new(status),
        metrics: prometheus.map(|prometheus| {
            let render = move || prometheus.render();
            Box::new(render) as Box<dyn Fn() -> String + Send>
        }),
    }
}
