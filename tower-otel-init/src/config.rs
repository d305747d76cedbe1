//! What is to be done, decided before anything is: the code's word, else the variable's, else the
//! default.

use std::time::Duration;

use crate::InitError;
use crate::choice::{
    Flag, LogFormat, LogLevel, LogsExporter, MetricsExporter, Propagator, Protocol, TracesExporter,
};
use crate::env::{Env, Lookup, Warning};
use crate::otlp::{Otlp, Signal, is_header, positive};
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) queue_size: usize,
    pub(crate) batch_size: usize,
    pub(crate) schedule_delay: Duration,
    pub(crate) export_timeout: Duration,
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
    pub(crate) log_format: LogFormat,
    /// Directives for log lines.
    pub(crate) log_filter: String,
}

const COUNT: &str = "a whole number above 0";
const MILLIS: &str = "a whole number of milliseconds above 0";

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
            propagators: propagators(env),
            sampler,
            traces: if off {
                Target::Nowhere
            } else {
                traces(settings, env)?
            },
            batch: batch(settings, env)?,
            metrics: metrics(settings, off, env)?,
            metric_interval: match settings.metric_interval {
                Some(interval) => interval,
                None => millis(env, "OTEL_METRIC_EXPORT_INTERVAL", 60_000),
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

fn batch(settings: &Settings, env: &mut Env<'_>) -> Result<Batch, InitError> {
    let queue_size = match settings.queue_size {
        Some(0) => return Err(unacceptable("queue_size", "0", COUNT)),
        Some(size) => size,
        None => env.first(&["OTEL_BSP_MAX_QUEUE_SIZE"], positive_count, COUNT, 2048),
    };
    let fits = |size: usize| (size <= queue_size).then_some(size);
    let batch_size = match settings.batch_size {
        Some(0) => return Err(unacceptable("batch_size", "0", COUNT)),
        Some(size) => size.min(queue_size),
        None => env.first(
            &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
            |text| positive_count(text).and_then(fits),
            "a whole number above 0, and at most OTEL_BSP_MAX_QUEUE_SIZE",
            queue_size.min(512),
        ),
    };
    Ok(Batch {
        queue_size,
        batch_size,
        schedule_delay: match settings.schedule_delay {
            Some(delay) => delay.max(Duration::from_millis(1)),
            None => millis(env, "OTEL_BSP_SCHEDULE_DELAY", 5_000),
        },
        export_timeout: millis(env, "OTEL_BSP_EXPORT_TIMEOUT", 30_000),
    })
}

fn positive_count(text: &str) -> Option<usize> {
    text.parse()
        .ok()
        .filter(|count| (1..=1 << 24).contains(count))
}

fn millis(env: &mut Env<'_>, name: &str, default: u64) -> Duration {
    Duration::from_millis(env.first(&[name], positive, MILLIS, default))
}

/// The words that are known, each once. `none` stands alone.
fn propagators(env: &mut Env<'_>) -> Vec<Propagator> {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(list) = env.get(NAME) else {
        return vec![Propagator::TraceContext, Propagator::Baggage];
    };
    let mut chosen = Vec::new();
    for word in list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        match Propagator::parse(word) {
            Some(Propagator::None) => return Vec::new(),
            Some(propagator) if chosen.contains(&propagator) => {}
            Some(propagator) => chosen.push(propagator),
            None => {
                let reason = match word {
                    "b3" | "b3multi" | "jaeger" | "xray" | "ottrace" => {
                        format!("no maintained propagator for `{word}` is built in")
                    }
                    _ => format!("accepted is {}", Propagator::ACCEPTED),
                };
                env.warn(
                    NAME,
                    word,
                    reason,
                    "the others, or tracecontext and baggage",
                );
            }
        }
    }
    if chosen.is_empty() {
        chosen = vec![Propagator::TraceContext, Propagator::Baggage];
    }
    chosen
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
    // The SDK says again, and each time anew, what is warned about here once.
    Ok(chosen.unwrap_or_else(|| {
        format!("{level},opentelemetry=off,opentelemetry_sdk=off,opentelemetry_otlp=off")
    }))
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

fn unacceptable(name: &str, value: &str, accepted: &str) -> InitError {
    InitError::Value {
        name: name.to_owned(),
        value: value.to_owned(),
        accepted: accepted.to_owned(),
    }
}

#[cfg(all(test, feature = "grpc", feature = "prometheus"))]
#[path = "config_tests.rs"]
mod tests;
