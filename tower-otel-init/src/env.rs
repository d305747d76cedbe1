//! Reads environment variables and collects warnings about invalid values.

use std::fmt;
use std::time::Duration;

use crate::config_warning::ConfigWarning;
use crate::options::ChoiceSetting;

/// A function that returns the value of a variable. Tests pass another function than [`process_variable`].
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns a variable of this process, or `None` if it is not set or not Unicode.
pub(crate) fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Environment variables, and the warnings about the values that were read.
pub(crate) struct Env<'a> {
    lookup: Lookup<'a>,
    warnings: Vec<ConfigWarning>,
}

const INVALID_MILLIS: &str =
    "is not a duration (expected a whole number of milliseconds, at least 1)";

impl<'a> Env<'a> {
    pub(crate) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            warnings: Vec::new(),
        }
    }

    /// Returns the value without surrounding whitespace. An empty value counts as not set, as the
    /// specification requires.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = (self.lookup)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    pub(crate) fn warn(
        &mut self,
        variable: &str,
        value: &str,
        reason: impl Into<String>,
        fallback: impl Into<String>,
    ) {
        let warning = ConfigWarning {
            variable: variable.to_owned(),
            value: value.to_owned(),
            reason: reason.into(),
            fallback: fallback.into(),
        };
        // A variable that applies to several signals is read once per signal.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(crate) fn into_warnings(self) -> Vec<ConfigWarning> {
        self.warnings
    }

    /// Returns the parsed value. If it is invalid, warns with this reason and fallback and returns
    /// `None`.
    pub(crate) fn parse<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        reason: &str,
        fallback: impl fmt::Display,
    ) -> Option<T> {
        let value = self.get(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            self.warn(name, &value, reason, fallback.to_string());
        }
        parsed
    }

    /// Returns the value of the first variable that is valid, else the default. Warns about invalid
    /// variables before it.
    pub(crate) fn first_valid<T: fmt::Display>(
        &mut self,
        names: &[&str],
        parse: impl Fn(&str) -> Option<T>,
        reason: &str,
        default: T,
    ) -> T {
        self.first_valid_as(names, parse, reason, default, T::to_string)
    }

    /// Returns the choice of the first variable that is valid, else the default. Warns about invalid
    /// variables before it.
    pub(crate) fn first_choice<T: ChoiceSetting>(&mut self, names: &[&str], default: T) -> T {
        let to_text = |choice: &T| choice.as_str().to_owned();
        self.first_valid_as(names, T::parse, T::INVALID, default, to_text)
    }

    fn first_valid_as<T>(
        &mut self,
        names: &[&str],
        parse: impl Fn(&str) -> Option<T>,
        reason: &str,
        default: T,
        to_text: impl Fn(&T) -> String,
    ) -> T {
        let mut invalid = Vec::new();
        let mut valid = None;
        for name in names {
            let Some(value) = self.get(name) else {
                continue;
            };
            valid = parse(&value);
            if valid.is_some() {
                break;
            }
            invalid.push((*name, value));
        }
        let chosen = valid.unwrap_or(default);
        for (name, value) in invalid {
            self.warn(name, &value, reason, to_text(&chosen));
        }
        chosen
    }

    /// Returns a duration from the first variable that is valid, else the default in milliseconds.
    pub(crate) fn first_millis(&mut self, names: &[&str], default: u64) -> Duration {
        let parse = |text: &str| text.parse().ok().filter(|millis| *millis > 0);
        Duration::from_millis(self.first_valid(names, parse, INVALID_MILLIS, default))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_count_as_unset_and_whitespace_is_trimmed() {
        let lookup = |name: &str| match name {
            "EMPTY" => Some(" ".to_owned()),
            "PADDED" => Some(" a ".to_owned()),
            _ => None,
        };
        let env = Env::new(&lookup);
        assert_eq!(env.get("EMPTY"), None);
        assert_eq!(env.get("ABSENT"), None);
        assert_eq!(env.get("PADDED").as_deref(), Some("a"));
    }

    #[test]
    fn the_first_valid_variable_is_used_and_named_in_the_warning() {
        let lookup = |name: &str| Some(if name == "A" { "x" } else { "7" }.to_owned());
        let mut env = Env::new(&lookup);
        let reason = "is not a number (expected digits)";
        let number = env.first_valid(&["A", "B"], |v| v.parse().ok(), reason, 1);
        assert_eq!(number, 7);
        assert_eq!(
            env.warnings[0].to_string(),
            "A: \"x\" is not a number (expected digits); using 7"
        );
    }
}
