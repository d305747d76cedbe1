//! The configuration. Settings in code take precedence over variables, and variables over defaults.

use std::time::Duration;

use crate::batch_config::BatchConfig;
use crate::config_warning::ConfigWarning;
use crate::env::{Env, Lookup};
use crate::error::InitError;
use crate::exporter_config::ExporterConfig;
use crate::keep_rules::{self, KeepRules};
use crate::log_filter;
use crate::metrics_config::MetricsConfig;
use crate::options::{ChoiceSetting, ExemplarFilter, Flag, LogFormat, LogTraces, Propagator};
use crate::otlp_headers::{INVALID_HEADER, REDACTED, is_header};
use crate::overridden_variables::overridden;
use crate::page::address::{self, PageAddress};
use crate::propagation;
use crate::resource;
use crate::sampler::Sampler;
use crate::settings::Settings;
use crate::span_limits::SpanLimitConfig;
use crate::variable::variable;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) sdk_disabled: bool,
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) propagators: Vec<Propagator>,
    pub(crate) sampler: Sampler,
    /// `None` without keep rules.
    pub(crate) keep: Option<KeepRules>,
    pub(crate) traces: ExporterConfig,
    pub(crate) span_batch: BatchConfig,
    pub(crate) span_limits: SpanLimitConfig,
    pub(crate) metrics: MetricsConfig,
    pub(crate) metric_interval: Duration,
    #[cfg_attr(not(feature = "prometheus"), allow(dead_code))]
    pub(crate) exemplars: ExemplarFilter,
    pub(crate) logs: ExporterConfig,
    #[cfg_attr(not(feature = "logs"), allow(dead_code))]
    pub(crate) log_batch: BatchConfig,
    pub(crate) page: Option<PageAddress>,
    pub(crate) log_format: LogFormat,
    /// The traces whose log lines below `WARN` are written.
    pub(crate) log_traces: LogTraces,
    /// The directives that select log lines.
    pub(crate) log_filter: String,
    /// The variables that settings in code replace.
    pub(crate) overridden: Vec<&'static str>,
}

impl Config {
    /// Returns the configuration, and a warning for each variable with an invalid value.
    pub(crate) fn resolve(
        settings: &Settings,
        lookup: Lookup<'_>,
    ) -> Result<(Self, Vec<ConfigWarning>), InitError> {
        for (index, (name, value)) in settings.headers.iter().enumerate() {
            if !is_header(name, value) {
                let number = format!("header {}", index + 1);
                return Err(InitError::invalid_value(&number, REDACTED, INVALID_HEADER));
            }
        }
        let mut env = Env::new(lookup);
        let config = Self::read(settings, &mut env)?;
        Ok((config, env.into_warnings()))
    }

    /// Returns the service name of the resource.
    pub(crate) fn service_name(&self) -> &str {
        let mut attributes = self.resource_attributes.iter();
        let name = attributes.rfind(|(key, _)| key == "service.name");
        name.map_or("", |(_, name)| name)
    }

    fn read(settings: &Settings, env: &mut Env<'_>) -> Result<Self, InitError> {
        let sdk_disabled = env.parse(
            "OTEL_SDK_DISABLED",
            Flag::parse_ignoring_case,
            Flag::INVALID,
            Flag::False.as_str(),
        ) == Some(Flag::True);
        let page = address::resolve(settings, env)?;
        let traces = if sdk_disabled {
            ExporterConfig::None
        } else {
            ExporterConfig::traces(settings, page.is_some(), env)?
        };
        let sampler = match &settings.sampler {
            Some(sampler) => sampler.clone().validated()?,
            None => Sampler::from_env(page.is_some() || traces == ExporterConfig::Console, env),
        };
        Ok(Self {
            sdk_disabled,
            resource_attributes: resource::attributes(settings, env),
            propagators: propagation::resolve(env)?,
            keep: keep_rules::resolve(&sampler, env)?,
            sampler,
            traces,
            span_batch: BatchConfig::spans(settings, env)?,
            span_limits: SpanLimitConfig::resolve(env),
            log_batch: BatchConfig::log_records(env),
            metrics: MetricsConfig::resolve(settings, sdk_disabled, env)?,
            metric_interval: match settings.metric_interval {
                Some(interval) => interval,
                None => env.first_millis(&["OTEL_METRIC_EXPORT_INTERVAL"], 60_000),
            },
            exemplars: env.first_choice(
                &["OTEL_METRICS_EXEMPLAR_FILTER"],
                ExemplarFilter::TraceBased,
            ),
            logs: if sdk_disabled {
                ExporterConfig::None
            } else {
                ExporterConfig::logs(settings, env)?
            },
            page,
            log_format: match settings.log_format {
                Some(format) => format,
                None => variable("LOG_FORMAT", LogFormat::parse, LogFormat::INVALID, env)?
                    .unwrap_or(LogFormat::Json),
            },
            log_traces: variable("LOG_TRACES", LogTraces::parse, LogTraces::INVALID, env)?
                .unwrap_or(LogTraces::All),
            log_filter: log_filter::resolve(settings, env)?,
            overridden: overridden(settings, env),
        })
    }
}

#[cfg(all(test, feature = "grpc", feature = "prometheus"))]
#[path = "config_tests/mod.rs"]
mod tests;
