//! The settings that can be changed while telemetry runs.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::exporter_state::ExporterState;
use crate::keep_rules::{self, INVALID_RULES, KeepRules};
use crate::live_log_filter::{LayerFilter, LiveLogFilter};
use crate::log_filter::{INVALID_FILTER, trim_directives, with_sdk_off};
use crate::sampler::Sampler;
use crate::sampling_text::INVALID_SAMPLING;
use crate::span_recorder::SpanRecorder;

/// Reads and changes settings while telemetry runs. A clone changes the same telemetry.
///
/// | setting | text | variable at the start |
/// |---|---|---|
/// | sampling | a sampler and its rules | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` |
/// | keep | keep rules, or `none` | `TRACES_KEEP` |
/// | log filter | directives of [`EnvFilter`](tracing_subscriber::EnvFilter) | `RUST_LOG`, `LOG_LEVEL` |
///
/// A change takes effect immediately. Each trace and each log line uses either the old or the new setting. Requests take no lock
/// for it. Each change is logged at the level `INFO`. A change lasts until the process ends or the next change.
///
/// [`Telemetry::control_service`](crate::Telemetry) does the same over HTTP (feature `control`).
///
/// ```
/// use tower_otel_init::{Telemetry, TracesExporter};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let telemetry = Telemetry::builder("users").traces(TracesExporter::Console);
/// # let (telemetry, _) = telemetry.local::<tracing_subscriber::Registry>()?;
/// # /*
/// let telemetry = telemetry.install()?;
/// # */
/// let control = telemetry.control();
/// control.set_sampling("0.5,GET /health=0")?;
/// control.set_keep("errors,slower_than=200ms")?;
/// assert_eq!(control.sampling(), "parentbased_traceidratio=0.5,GET /health=0");
/// assert_eq!(control.keep(), "errors,slower_than=200ms,per_second=100");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Control(Arc<ControlState>);

#[derive(Debug)]
struct ControlState {
    /// `None` if `OTEL_SDK_DISABLED` is set.
    spans: Option<Arc<SpanRecorder>>,
    log_filter: LiveLogFilter,
    traces: Mutex<TraceSettings>,
    #[cfg_attr(not(feature = "control"), allow(dead_code))]
    summary: String,
    exporters: Mutex<Vec<ExporterState>>,
}

/// The settings of traces. The lock is taken to read and change them, and never by a request.
#[derive(Debug)]
struct TraceSettings {
    sampler: Sampler,
    keep: Option<KeepRules>,
}

impl Control {
    /// Returns the control of telemetry that runs with these settings.
    pub(crate) fn new(spans: Option<Arc<SpanRecorder>>, summary: &str, config: &Config) -> Self {
        let keeps = spans.as_ref().is_some_and(|spans| spans.keeps);
        let traces = TraceSettings {
            sampler: config.sampler.clone(),
            keep: config.keep.filter(|_| keeps),
        };
        Self(Arc::new(ControlState {
            spans,
            log_filter: LiveLogFilter::new(&config.log_filter, config.log_traces),
            traces: Mutex::new(traces),
            summary: summary.to_owned(),
            exporters: Mutex::default(),
        }))
    }

    /// Adds the exporter of metrics or log records.
    pub(crate) fn add_exporter(&self, exporter: ExporterState) {
        lock(&self.0.exporters).push(exporter);
    }

    /// Returns the log filter for a new layer.
    pub(crate) fn layer_filter(&self) -> LayerFilter {
        self.0.log_filter.layer_filter()
    }

    /// Returns the sampler and its rules, in the syntax of [`set_sampling`](Self::set_sampling).
    #[must_use]
    pub fn sampling(&self) -> String {
        self.traces().sampler.text()
    }

    /// Sets the sampler and its rules. Traces that have already started keep their decision.
    ///
    /// The text is a sampler and its [rules](Sampler::rule), separated by commas: `0.1,GET /health=0,/payments/{id}=1`.
    ///
    /// | sampler | sampled traces, unless a rule matches |
    /// |---|---|
    /// | `always_on`, `always_off` | all, none |
    /// | `traceidratio=0.1` | a tenth |
    /// | `rate_limited=100` | at most 100 per second |
    /// | one of these with the prefix `parentbased_` | the same; but a trace with a parent in another process follows the parent, and no rule applies |
    /// | `0.1` | the same as `parentbased_traceidratio=0.1` |
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for an invalid text, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) if `OTEL_SDK_DISABLED` is set. The sampler is not changed then.
    pub fn set_sampling(&self, text: &str) -> io::Result<()> {
        let spans = self.spans()?;
        let text = text.trim();
        let sampler = Sampler::from_text(text).ok_or_else(|| invalid(text, INVALID_SAMPLING))?;
        let now = sampler.text();
        let mut settings = self.traces();
        spans.set_sampler(&sampler);
        let before = std::mem::replace(&mut settings.sampler, sampler);
        // A subscriber may read the settings.
        drop(settings);
        log_change("sampling", &before.text(), &now);
        Ok(())
    }

    /// Returns the keep rules, in the syntax of [`set_keep`](Self::set_keep).
    #[must_use]
    pub fn keep(&self) -> String {
        keep_rules::text(self.traces().keep)
    }

    /// Sets which unsampled traces are exported, in the syntax of `TRACES_KEEP`: `none`, or a list separated by commas with at
    /// least one of the first two rules.
    ///
    /// | rule | exports unsampled traces |
    /// |---|---|
    /// | `errors` | whose local root fails |
    /// | `slower_than=500ms` | whose local root takes longer; the unit is `ms` or `s` |
    /// | `per_second=50` | at most 50 per second; default: 100 |
    ///
    /// A local root is a span without a parent in this process. With any rule, traces that [`keep_trace`](crate::keep_trace)
    /// marks are also exported, within `per_second`.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for an invalid text, and
    /// [`Unsupported`](io::ErrorKind::Unsupported) if traces have no exporter and no page, or if `OTEL_SDK_DISABLED` is set. The
    /// rules are not changed then.
    pub fn set_keep(&self, text: &str) -> io::Result<()> {
        let spans = self.spans()?;
        if !spans.keeps {
            return Err(unsupported("traces are not exported"));
        }
        let text = text.trim();
        let rules = keep_rules::parse(text).ok_or_else(|| invalid(text, INVALID_RULES))?;
        let mut settings = self.traces();
        spans.recorder.set_keep(rules.map(KeepRules::keep))?;
        let before = std::mem::replace(&mut settings.keep, rules);
        drop(settings);
        log_change("keep", &keep_rules::text(before), &keep_rules::text(rules));
        Ok(())
    }

    /// Returns the directives of the log filter, in the syntax of [`set_log_filter`](Self::set_log_filter).
    #[must_use]
    pub fn log_filter(&self) -> String {
        self.0.log_filter.text()
    }

    /// Sets which log lines are written and which log records are exported, in the syntax of
    /// [`EnvFilter`](tracing_subscriber::EnvFilter), such as `info,users=debug`.
    ///
    /// As for `RUST_LOG`, `opentelemetry=off` is added unless the text contains `opentelemetry`. Values of fields are compared as
    /// text, not as regular expressions. A directive with a span applies to spans that start after the change.
    ///
    /// # Errors
    ///
    /// Returns [`InvalidInput`](io::ErrorKind::InvalidInput) for an empty or invalid text. Returns
    /// [`Unsupported`](io::ErrorKind::Unsupported) if nothing uses the filter: the application writes its log lines itself
    /// ([`TelemetryBuilder::layers`](crate::TelemetryBuilder::layers)), and log records are not exported. The filter is not
    /// changed then.
    pub fn set_log_filter(&self, directives: &str) -> io::Result<()> {
        let filter = &self.0.log_filter;
        if !filter.is_used() {
            return Err(unsupported("the application writes its log lines itself"));
        }
        let text = trim_directives(directives);
        let new = with_sdk_off(&text);
        let before = match text.is_empty() {
            true => None,
            false => filter.set(&new),
        };
        let before = before.ok_or_else(|| invalid(&text, INVALID_FILTER))?;
        log_change("log filter", &before, &new);
        Ok(())
    }

    #[cfg(feature = "control")]
    pub(crate) fn summary(&self) -> &str {
        &self.0.summary
    }

    #[cfg(feature = "control")]
    pub(crate) fn exporters(&self) -> Vec<ExporterState> {
        lock(&self.0.exporters).clone()
    }

    pub(crate) fn spans(&self) -> io::Result<&SpanRecorder> {
        let spans = self.0.spans.as_deref();
        spans.ok_or_else(|| unsupported("telemetry is disabled by OTEL_SDK_DISABLED"))
    }

    fn traces(&self) -> MutexGuard<'_, TraceSettings> {
        lock(&self.0.traces)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_change(setting: &str, before: &str, now: &str) {
    if before != now {
        tracing::info!(target: "tower_otel_init", "{setting} is now {now:?}; it was {before:?}");
    }
}

/// Returns the error of a text that is not accepted.
fn invalid(text: &str, reason: &str) -> io::Error {
    const MAX_CHARS: usize = 200;
    let cut: String = text.chars().take(MAX_CHARS).collect();
    let more = if cut.len() < text.len() { "…" } else { "" };
    let error = format!("{cut:?}{more} {reason}; nothing is changed");
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

fn unsupported(reason: &str) -> io::Error {
    let error = format!("{reason}; nothing is changed");
    io::Error::new(io::ErrorKind::Unsupported, error)
}
