//! Reading variables: one at a time, with a word about each that cannot be read.

use std::fmt;
use std::time::Duration;

use crate::otlp_config::positive;

/// Where variables come from. Tests have their own.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The variables of this process. What is not Unicode counts as not there.
pub(crate) fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A setting that could not be followed, and what is done in its place.
///
/// Start-up does not fail on these, as OpenTelemetry asks. They are logged once logging works, and
/// kept in [`Telemetry::warnings`](crate::Telemetry::warnings).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The variable.
    pub variable: String,
    /// Its value; of a header only the name.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// What is used in its place.
    pub used: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            value,
            reason,
            used,
        } = self;
        write!(f, "{variable}={value:?}: {reason}; using {used}")
    }
}

/// Reads variables and keeps the warnings.
pub(crate) struct Env<'a> {
    lookup: Lookup<'a>,
    pub(crate) warnings: Vec<Warning>,
}

impl<'a> Env<'a> {
    pub(crate) fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            warnings: Vec::new(),
        }
    }

    /// The value, without space around it. An empty one counts as not there, as the specification
    /// of OpenTelemetry says.
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
        used: impl Into<String>,
    ) {
        self.warnings.push(Warning {
            variable: variable.to_owned(),
            value: value.to_owned(),
            reason: reason.into(),
            used: used.into(),
        });
    }

    /// The value as a `T`. One that is none is warned about, with what is accepted and what is
    /// used in its place.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
        accepted: &str,
        used: impl fmt::Display,
    ) -> Option<T> {
        let value = self.get(name)?;
        let parsed = parse(&value);
        if parsed.is_none() {
            let reason = format!("accepted is {accepted}");
            self.warn(name, &value, reason, used.to_string());
        }
        parsed
    }

    /// The first of these variables that can be read, else the default.
    pub(crate) fn first<T: fmt::Display>(
        &mut self,
        names: &[&str],
        parse: impl Fn(&str) -> Option<T>,
        accepted: &str,
        default: T,
    ) -> T {
        let mut bad = Vec::new();
        let mut found = None;
        for name in names {
            let Some(value) = self.get(name) else {
                continue;
            };
            found = parse(&value);
            if found.is_some() {
                break;
            }
            bad.push((*name, value));
        }
        let chosen = found.unwrap_or(default);
        for (name, value) in bad {
            let reason = format!("accepted is {accepted}");
            self.warn(name, &value, reason, chosen.to_string());
        }
        chosen
    }

    pub(crate) fn millis(&mut self, name: &str, default: u64) -> Duration {
        let accepted = "a whole number of milliseconds above 0";
        Duration::from_millis(self.first(&[name], positive, accepted, default))
    }
}

/// Lists with commas, of `key=value` with percent-encoded values, as of
/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_EXPORTER_OTLP_HEADERS`. In the place of a member that is no
/// pair stands the name it may have, which is all of it that can be shown.
pub(crate) fn pairs(list: &str) -> impl Iterator<Item = Result<(String, String), String>> {
    list.split(',')
        .map(str::trim)
        .filter(|member| !member.is_empty())
        .map(|member| {
            let (key, value) = member.split_once('=').ok_or_else(|| member.to_owned())?;
            let key = key.trim();
            match percent_decoded(value.trim()) {
                Some(value) if !key.is_empty() => Ok((key.to_owned(), value)),
                _ => Err(key.to_owned()),
            }
        })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut decoded = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2)?;
        if hex.starts_with('+') {
            return None;
        }
        decoded.push(u8::from_str_radix(hex, 16).ok()?);
        decoded.extend(part.as_bytes().iter().skip(2));
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_absent_and_space_around_is_not_part() {
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
    fn the_first_that_can_be_read_is_used_and_named_in_the_warning() {
        let lookup = |name: &str| Some(if name == "A" { "x" } else { "7" }.to_owned());
        let mut env = Env::new(&lookup);
        let number = env.first(&["A", "B"], |v| v.parse().ok(), "a number", 1);
        assert_eq!(number, 7);
        assert_eq!(
            env.warnings[0].to_string(),
            "A=\"x\": accepted is a number; using 7"
        );
    }

    #[test]
    fn pairs_are_decoded_and_what_is_none_shows_no_value() {
        let found: Vec<_> = pairs("a=1, b = x%20y ,,c,=d,e=%zz,f=%C3%A4").collect();
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(
            found,
            [
                pair("a", "1"),
                pair("b", "x y"),
                Err("c".to_owned()),
                Err(String::new()),
                Err("e".to_owned()),
                pair("f", "ä"),
            ]
        );
        for bad in ["%", "%1", "%+1", "%ff", "%€"] {
            assert_eq!(percent_decoded(bad), None, "{bad}");
        }
    }
}
