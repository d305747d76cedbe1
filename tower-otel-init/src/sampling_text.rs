//! Samplers as text: `OTEL_TRACES_SAMPLER` with its argument, and the text of the control.

use crate::env::Env;
use crate::sampler::{DEFAULT_RATIO, INVALID_RATIO, Sampler, Share};
use crate::sampling_rule::SamplingRule;

const INVALID_SAMPLER: &str = "is not a sampler (expected one of always_on, always_off, \
                               traceidratio, parentbased_always_on, parentbased_always_off, \
                               parentbased_traceidratio)";

pub(crate) const INVALID_SAMPLING: &str = "is not a sampler (expected always_on, always_off, \
    traceidratio=0.1 or rate_limited=100, each also with parentbased_, or a ratio, which is parent-based; \
    then rules as GET /health=0, each after a comma, 64 at most, with a method, a route or both; a ratio is \
    0.0 to 1.0, a rate at least 1)";

const PARENT_BASED: &str = "parentbased_";

impl Sampler {
    /// Returns the sampler of the variables. `is_shown` is whether traces are printed or shown on the page; if so, the default
    /// is to sample all traces.
    pub(crate) fn from_env(is_shown: bool, env: &mut Env<'_>) -> Self {
        let is_set = |name| env.get(name).is_some();
        if is_shown && !is_set("OTEL_TRACES_SAMPLER") && !is_set("OTEL_TRACES_SAMPLER_ARG") {
            return Self::ratio(1.0);
        }
        let sampler = env.parse(
            "OTEL_TRACES_SAMPLER",
            |name| named(name, None),
            INVALID_SAMPLER,
            "parentbased_traceidratio",
        );
        let (mut sampler, takes_ratio) =
            sampler.unwrap_or((Self::ratio(DEFAULT_RATIO).parent_based(), true));
        if takes_ratio {
            let name = "OTEL_TRACES_SAMPLER_ARG";
            let ratio = env.parse(name, parse_ratio, INVALID_RATIO, DEFAULT_RATIO);
            sampler.share = Share::Ratio(ratio.unwrap_or(DEFAULT_RATIO));
        }
        sampler
    }

    /// Returns the sampler of a text. Returns `None` if the text is not accepted.
    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.split(',').map(str::trim);
        let first = parts.next()?;
        let mut sampler = match (parse_ratio(first), first.split_once('=')) {
            (Some(ratio), _) => Self::ratio(ratio).parent_based(),
            (None, Some((name, value))) => named(name.trim_end(), Some(value.trim_start()))?.0,
            (None, None) => {
                named(first, None)
                    .filter(|(_, takes_ratio)| !takes_ratio)?
                    .0
            }
        };
        for rule in parts {
            let (requests, ratio) = rule.rsplit_once('=')?;
            let ratio = parse_ratio(ratio.trim_start())?;
            let rule = SamplingRule::new(requests.trim_end(), ratio);
            sampler.rules.push(rule);
        }
        sampler.problem().is_none().then_some(sampler)
    }

    /// Returns the text of the sampler, for [`from_text`](Self::from_text).
    pub(crate) fn text(&self) -> String {
        let kind = if self.is_parent_based {
            PARENT_BASED
        } else {
            ""
        };
        let share = match self.share {
            Share::Off => "always_off".to_owned(),
            Share::Ratio(1.0) => "always_on".to_owned(),
            Share::Ratio(ratio) => format!("traceidratio={ratio}"),
            Share::PerSecond(traces) => format!("rate_limited={traces}"),
        };
        let rules = self.rules.iter();
        let rules = rules.map(|SamplingRule { requests, ratio }| format!(",{requests}={ratio}"));
        format!("{kind}{share}{}", rules.collect::<String>())
    }
}

/// Returns the sampler with this name, and whether it needs a ratio that `value` does not have.
fn named(name: &str, value: Option<&str>) -> Option<(Sampler, bool)> {
    let (name, is_parent_based) = match name.strip_prefix(PARENT_BASED) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let sampler = match (name, value) {
        ("always_on", None) => Sampler::ratio(1.0),
        ("always_off", None) => Sampler::always_off(),
        ("traceidratio", None) => Sampler::ratio(DEFAULT_RATIO),
        ("traceidratio", Some(value)) => Sampler::ratio(parse_ratio(value)?),
        ("rate_limited", Some(value)) => Sampler::rate_limited(value.parse().ok()?),
        _ => return None,
    };
    let sampler = Sampler {
        is_parent_based,
        ..sampler
    };
    Some((sampler, name == "traceidratio" && value.is_none()))
}

fn parse_ratio(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_sampler_that_it_names() {
        for (text, expected) in [
            ("0.25", "parentbased_traceidratio=0.25"),
            ("1", "parentbased_always_on"),
            ("0", "parentbased_traceidratio=0"),
            ("always_on", "always_on"),
            ("parentbased_always_off", "parentbased_always_off"),
            ("traceidratio = 0.5", "traceidratio=0.5"),
            ("traceidratio=1.0", "always_on"),
            ("rate_limited=7", "rate_limited=7"),
            ("parentbased_rate_limited=7", "parentbased_rate_limited=7"),
            (
                "0.1, GET /health = 0,/a=b=1,POST=0.50",
                "parentbased_traceidratio=0.1,GET /health=0,/a=b=1,POST=0.5",
            ),
        ] {
            let sampler = Sampler::from_text(text).unwrap();
            assert_eq!(sampler.text(), expected);
            assert_eq!(Sampler::from_text(expected), Some(sampler));
        }
    }

    #[test]
    fn other_texts_are_not_accepted() {
        let many = format!("0.1{}", ",GET=1".repeat(65));
        for text in [
            "",
            ",",
            "1.5",
            "-0.1",
            "NaN",
            "often",
            "traceidratio",
            "traceidratio=2",
            "traceidratio=",
            "always_on=1",
            "rate_limited",
            "rate_limited=0",
            "rate_limited=-1",
            "rate_limited=4294967296",
            "0.1,",
            "0.1,GET",
            "0.1,get=1",
            "0.1,/a=2",
            "0.1,=1",
            "GET /health=0",
            &many,
        ] {
            assert_eq!(Sampler::from_text(text), None, "{text}");
        }
    }
}
