//! What is to be done, decided before anything is: the code's word, else the variable's, else the
//! default.

use std::time::Duration;

use crate::InitError;
use crate::batch::Batch;
use crate::choice::{
    Flag, LogFormat, LogLevel, LogsExporter, MetricsExporter, Propagator, Protocol, TracesExporter,
};
use crate::env::{Env, Lookup, Warning};
use crate::otlp::{Otlp, Signal, is_header};
use crate::propagation;
use crate::resource;
use crate::sampler::Sampler;

/// What the code says; the rest is left to the variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// Where no variable has one.
    pub(crate) default_name: Option<String>,
    pub(crate) service_name: Option<String>,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) traces: Option<TracesExporter>,
    pub(crate) metrics: Option<MetricsExporter>,
    #[cfg(feature = "prometheus")]
    pub(crate) recorder: Option<tower_otel_prometheus::PrometheusBuilder>,
    pub(crate) logs: Option<LogsExporter>,
    pub(crate) queue_size: Option<usize>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) schedule_delay: Option<Duration>,
    pub(crate) metric_interval: Option<Duration>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) log_filter: Option<String>,
}

/// Where one signal goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Otlp(Otlp),
    Console,
    Prometheus,
    Nowhere,
}

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) propagators: Vec<Propagator>,
    pub(crate) sampler: Sampler,
    pub(crate) traces: Target,
    pub(crate) batch: Batch,
    pub(crate) metrics: Target,
    pub(crate) metric_interval: Duration,
    pub(crate) logs: Target,
    #[cfg_attr(not(feature = "logs"), allow(dead_code))]
    pub(crate) log_batch: Batch,
    pub(crate) log_format: LogFormat,
    /// Directives for log lines.
    pub(crate) log_filter: String,
}

impl Config {
    pub(crate) fn resolve(
        settings: &Settings,
        lookup: Lookup<'_>,
    ) -> Result<(Self, Vec<Warning>), InitError> {
        let env = &mut Env::new(lookup);
        for (name, value) in &settings.headers {
            if !is_header(name, value) {
                return Err(unacceptable(
                    "the header",
                    name,
                    "a header of printable ASCII",
                ));
            }
        }
        let off = env.first(
            &["OTEL_SDK_DISABLED"],
            Flag::parse_any_case,
            Flag::ACCEPTED,
            Flag::False,
        ) == Flag::True;
        let sampler = match settings.sampler {
            Some(sampler) => sampler.checked()?,
            None => Sampler::from_env(env),
        };
        let config = Self {
            attributes: resource::attributes(settings, env),
            propagators: propagation::resolve(env)?,
            sampler,
            traces: if off {
                Target::Nowhere
            } else {
                traces(settings, env)?
            },
            batch: Batch::spans(settings, env)?,
            log_batch: Batch::records(env),
            metrics: metrics(settings, off, env)?,
            metric_interval: match settings.metric_interval {
                Some(interval) => interval,
                None => env.millis("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
            },
            logs: if off {
                Target::Nowhere
            } else {
                logs(settings, env)?
            },
            log_format: match settings.log_format {
                Some(format) => format,
                None => ours(env, "LOG_FORMAT", LogFormat::parse, LogFormat::ACCEPTED)?
                    .unwrap_or(LogFormat::Json),
            },
            log_filter: log_filter(settings, env)?,
        };
        let mut warnings: Vec<Warning> = Vec::new();
        for warning in env.warnings.drain(..) {
            // What holds for several signals is read for each.
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok((config, warnings))
    }
}

fn traces(settings: &Settings, env: &mut Env<'_>) -> Result<Target, InitError> {
    let exporter = match settings.traces {
        Some(exporter) => exporter,
        None => env.first(
            &["OTEL_TRACES_EXPORTER"],
            TracesExporter::parse,
            TracesExporter::ACCEPTED,
            TracesExporter::Otlp,
        ),
    };
    Ok(match exporter {
        TracesExporter::Otlp => Target::Otlp(Otlp::resolve(Signal::Traces, settings, env)?),
        TracesExporter::Console => Target::Console,
        TracesExporter::None => Target::Nowhere,
    })
}

/// `METRICS_ENABLED=false` is a switch for all of them, `OTEL_METRICS_EXPORTER` says which.
fn metrics(settings: &Settings, off: bool, env: &mut Env<'_>) -> Result<Target, InitError> {
    let enabled = ours(env, "METRICS_ENABLED", Flag::parse_any_case, Flag::ACCEPTED)?;
    let prometheus = cfg!(feature = "prometheus");
    let default = if prometheus {
        MetricsExporter::Prometheus
    } else {
        MetricsExporter::None
    };
    let exporter = match settings.metrics {
        Some(exporter) => exporter,
        None if enabled == Some(Flag::False) => MetricsExporter::None,
        None => env.first(
            &["OTEL_METRICS_EXPORTER"],
            MetricsExporter::parse,
            MetricsExporter::ACCEPTED,
            default,
        ),
    };
    Ok(match exporter {
        _ if off => Target::Nowhere,
        MetricsExporter::Otlp => Target::Otlp(Otlp::resolve(Signal::Metrics, settings, env)?),
        MetricsExporter::None => Target::Nowhere,
        MetricsExporter::Prometheus if prometheus => Target::Prometheus,
        MetricsExporter::Console if prometheus => Target::Console,
        MetricsExporter::Prometheus | MetricsExporter::Console => {
            return Err(InitError::Feature {
                wanted: format!("the metrics exporter {exporter}"),
                feature: "prometheus",
            });
        }
    })
}

fn logs(settings: &Settings, env: &mut Env<'_>) -> Result<Target, InitError> {
    let exporter = match settings.logs {
        Some(exporter) => exporter,
        None => env.first(
            &["OTEL_LOGS_EXPORTER"],
            LogsExporter::parse,
            LogsExporter::ACCEPTED,
            LogsExporter::None,
        ),
    };
    match exporter {
        LogsExporter::Otlp if cfg!(feature = "logs") => {
            Ok(Target::Otlp(Otlp::resolve(Signal::Logs, settings, env)?))
        }
        LogsExporter::Otlp => Err(InitError::Feature {
            wanted: "the logs exporter otlp".to_owned(),
            feature: "logs",
        }),
        LogsExporter::Console | LogsExporter::None => Ok(Target::Nowhere),
    }
}

/// `RUST_LOG`, else `LOG_LEVEL`.
fn log_filter(settings: &Settings, env: &mut Env<'_>) -> Result<String, InitError> {
    const DIRECTIVES: &str = "directives as of tracing-subscriber's EnvFilter";
    let is_filter = |text: &str| tracing_subscriber::EnvFilter::try_new(text).is_ok();
    if let Some(filter) = &settings.log_filter {
        return if is_filter(filter) {
            Ok(filter.clone())
        } else {
            Err(unacceptable("the log filter", filter, DIRECTIVES))
        };
    }
    let level = ours(
        env,
        "LOG_LEVEL",
        LogLevel::parse_any_case,
        LogLevel::ACCEPTED,
    )?
    .unwrap_or(LogLevel::Info);
    let filter = |text: &str| is_filter(text).then(|| text.to_owned());
    let chosen = env.parsed(
        "RUST_LOG",
        filter,
        DIRECTIVES,
        format!("LOG_LEVEL, {level}"),
    );
    let chosen = chosen.unwrap_or_else(|| level.to_string());
    // The SDK says again, and each time anew, what is warned about here once.
    Ok(if chosen.contains("opentelemetry") {
        chosen
    } else {
        format!("{chosen},opentelemetry=off")
    })
}

/// A variable of this crate: nobody but its user can have meant something else by it.
fn ours<T>(
    env: &Env<'_>,
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    accepted: &str,
) -> Result<Option<T>, InitError> {
    let Some(value) = env.get(name) else {
        return Ok(None);
    };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(unacceptable(name, &value, accepted)),
    }
}

pub(crate) fn unacceptable(name: &str, value: &str, accepted: &str) -> InitError {
    InitError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        accepted: accepted.to_owned(),
    }
}

#[cfg(all(test, feature = "grpc", feature = "prometheus"))]
#[path = "config_tests/mod.rs"]
mod tests;
