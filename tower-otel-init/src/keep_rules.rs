//! `TRACES_KEEP`: traces that are not sampled and exported nevertheless.

use std::time::Duration;

use tower_otel_recorder::Keep;

use crate::env::Env;
use crate::error::InitError;
use crate::sampler::Sampler;
use crate::variable::variable;

const INVALID_RULES: &str = "is not a list of keep rules (expected none, or some of errors, \
                             slower_than=500ms and per_second=50, separated by commas, with at least \
                             one of errors and slower_than; a duration is a whole number of ms or s, \
                             and no number is 0)";

/// Returns the rules of the variable. Default: errors, slower than one second, and 100 traces a second; none for a sampler
/// that records no trace.
pub(crate) fn resolve(sampler: Sampler, env: &Env<'_>) -> Result<Option<Keep>, InitError> {
    let default = match sampler {
        Sampler::AlwaysOff | Sampler::ParentBasedAlwaysOff => None,
        _ => Some(Keep::errors().slower_than(Duration::from_secs(1))),
    };
    Ok(variable("TRACES_KEEP", parse, INVALID_RULES, env)?.unwrap_or(default))
}

/// Returns `None` for an invalid list, and `Some(None)` for `none`.
fn parse(text: &str) -> Option<Option<Keep>> {
    if text == "none" {
        return Some(None);
    }
    let (mut errors, mut slower_than, mut per_second) = (None, None, None);
    for rule in text.split(',') {
        let (name, value) = match rule.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (rule.trim(), None),
        };
        let is_first = match (name, value) {
            ("errors", None) => errors.replace(()).is_none(),
            ("slower_than", Some(value)) => slower_than.replace(duration(value)?).is_none(),
            ("per_second", Some(value)) => per_second.replace(count(value)?).is_none(),
            _ => false,
        };
        if !is_first {
            return None;
        }
    }
    let mut rules = match (errors, slower_than) {
        (None, None) => return None,
        (Some(()), _) => Keep::errors(),
        (None, Some(_)) => Keep::default(),
    };
    if let Some(limit) = slower_than {
        rules = rules.slower_than(limit);
    }
    if let Some(traces) = per_second {
        rules = rules.per_second(traces);
    }
    Some(Some(rules))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s')?, 1000),
    };
    let millis = number.parse::<u32>().ok()?;
    let millis = u64::from(millis) * unit;
    (millis > 0).then(|| Duration::from_millis(millis))
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count| *count > 0)
}
