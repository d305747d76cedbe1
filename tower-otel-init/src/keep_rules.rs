//! `TRACES_KEEP`: which unsampled traces are exported.

use std::fmt;
use std::time::Duration;

use tower_otel_recorder::Keep;

use crate::env::Env;
use crate::error::InitError;
use crate::sampler::{Sampler, Share};
use crate::variable::variable;

pub(crate) const INVALID_RULES: &str = "is not a list of keep rules (expected none, or some of errors, \
                             slower_than=500ms and per_second=50, separated by commas, with at least \
                             one of errors and slower_than; a duration is a whole number of ms or s, \
                             and no number is 0)";

/// Keep rules, at least one of `errors` and `slower_than`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeepRules {
    errors: bool,
    slower_than: Option<Duration>,
    per_second: u32,
}

const DEFAULT_RULES: KeepRules = KeepRules {
    errors: true,
    slower_than: Some(Duration::from_secs(1)),
    per_second: DEFAULT_PER_SECOND,
};
const DEFAULT_PER_SECOND: u32 = 100;

/// Returns the rules of the variable. Default: `errors,slower_than=1s,per_second=100`, or no rules if the sampler is
/// `always_off`.
pub(crate) fn resolve(sampler: &Sampler, env: &Env<'_>) -> Result<Option<KeepRules>, InitError> {
    let default = (sampler.share != Share::Off).then_some(DEFAULT_RULES);
    Ok(variable("TRACES_KEEP", parse, INVALID_RULES, env)?.unwrap_or(default))
}

/// Returns `None` for an invalid list, and `Some(None)` for `none`.
pub(crate) fn parse(text: &str) -> Option<Option<KeepRules>> {
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
    let rules = KeepRules {
        errors: errors.is_some(),
        slower_than,
        per_second: per_second.unwrap_or(DEFAULT_PER_SECOND),
    };
    (rules.errors || rules.slower_than.is_some()).then_some(Some(rules))
}

/// Returns the list of rules, or `none`.
pub(crate) fn text(rules: Option<KeepRules>) -> String {
    rules.map_or_else(|| "none".to_owned(), |rules| rules.to_string())
}

impl KeepRules {
    pub(crate) fn keep(self) -> Keep {
        let mut keep = if self.errors {
            Keep::errors()
        } else {
            Keep::default()
        };
        if let Some(limit) = self.slower_than {
            keep = keep.slower_than(limit);
        }
        keep.per_second(self.per_second)
    }
}

impl fmt::Display for KeepRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.errors {
            f.write_str("errors,")?;
        }
        if let Some(limit) = self.slower_than {
            let millis = limit.as_millis();
            match millis % 1000 {
                0 => write!(f, "slower_than={}s,", millis / 1000)?,
                _ => write!(f, "slower_than={millis}ms,")?,
            }
        }
        write!(f, "per_second={}", self.per_second)
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_rules_is_the_list_that_sets_them() {
        for (list, expected) in [
            ("none", "none"),
            ("errors", "errors,per_second=100"),
            (
                "per_second=7, slower_than=1500ms",
                "slower_than=1500ms,per_second=7",
            ),
            (
                "slower_than=2000ms,errors",
                "errors,slower_than=2s,per_second=100",
            ),
        ] {
            let rules = parse(list).unwrap();
            assert_eq!(text(rules), expected);
            assert_eq!(parse(expected), Some(rules));
        }
    }
}
