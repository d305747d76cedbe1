//! `RUST_LOG` and `LOG_LEVEL`: which log lines are written.

use tracing_subscriber::EnvFilter;

use crate::env::Env;
use crate::error::InitError;
use crate::options::{ChoiceSetting, LogLevel};
use crate::settings::Settings;
use crate::variable::variable;

pub(crate) const INVALID_FILTER: &str =
    "is not a log filter (expected directives of tracing-subscriber's EnvFilter)";

/// Returns the directives set in code, else `RUST_LOG`, else `LOG_LEVEL`.
pub(crate) fn resolve(settings: &Settings, env: &mut Env<'_>) -> Result<String, InitError> {
    let is_filter = |text: &str| EnvFilter::try_new(text).is_ok();
    if let Some(filter) = &settings.log_filter {
        let trimmed = trim_directives(filter);
        return if is_filter(&trimmed) {
            Ok(trimmed)
        } else {
            Err(InitError::invalid_value(
                "log_filter",
                filter,
                INVALID_FILTER,
            ))
        };
    }
    let level = variable(
        "LOG_LEVEL",
        LogLevel::parse_ignoring_case,
        LogLevel::INVALID,
        env,
    )?
    .unwrap_or(LogLevel::Info);
    let parse = |text: &str| Some(trim_directives(text)).filter(|text| is_filter(text));
    let fallback = format!("LOG_LEVEL={}", level.as_str());
    let filter = env
        .parse("RUST_LOG", parse, INVALID_FILTER, fallback)
        .unwrap_or_else(|| level.as_str().to_owned());
    Ok(with_sdk_off(&filter))
}

/// Returns a filter without the spaces around its directives, as in `info, hyper=off`. `EnvFilter` misreads a directive with such
/// spaces, and panics if the directive also has non-ASCII characters.
pub(crate) fn trim_directives(filter: &str) -> String {
    let directives: Vec<&str> = filter.split(',').map(str::trim).collect();
    directives.join(",")
}

/// Adds a directive that disables the lines of the SDK, which logs each failed export, unless the filter names the SDK.
pub(crate) fn with_sdk_off(filter: &str) -> String {
    match filter.contains("opentelemetry") {
        true => filter.to_owned(),
        false => format!("{filter},opentelemetry=off"),
    }
}
