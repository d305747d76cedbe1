//! Which traces are recorded.

use opentelemetry_sdk::trace::Sampler as Sdk;

use crate::InitError;
use crate::env::Env;

/// Which traces are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// Every one.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This part of them, between 0 and 1, by their ids.
    Ratio(f64),
    /// As the caller says, and every one without a caller.
    ParentBasedAlwaysOn,
    /// As the caller says, and none without a caller.
    ParentBasedAlwaysOff,
    /// As the caller says, and this part of those without a caller.
    ParentBasedRatio(f64),
}

/// A tenth, of the traces that begin here.
pub(crate) const DEFAULT_RATIO: f64 = 0.1;

const NAMES: &str = "one of always_on always_off traceidratio parentbased_always_on \
                     parentbased_always_off parentbased_traceidratio";
const RATIO: &str = "a number from 0 to 1";

impl Sampler {
    pub(crate) fn from_env(env: &mut Env<'_>) -> Self {
        let name = env
            .parsed(
                "OTEL_TRACES_SAMPLER",
                |name| Self::named(name, DEFAULT_RATIO),
                NAMES,
                "parentbased_traceidratio",
            )
            .unwrap_or(Self::ParentBasedRatio(DEFAULT_RATIO));
        if !matches!(name, Self::Ratio(_) | Self::ParentBasedRatio(_)) {
            return name;
        }
        let ratio = env
            .parsed("OTEL_TRACES_SAMPLER_ARG", ratio, RATIO, DEFAULT_RATIO)
            .unwrap_or(DEFAULT_RATIO);
        match name {
            Self::Ratio(_) => Self::Ratio(ratio),
            _ => Self::ParentBasedRatio(ratio),
        }
    }

    fn named(name: &str, ratio: f64) -> Option<Self> {
        Some(match name {
            "always_on" => Self::AlwaysOn,
            "always_off" => Self::AlwaysOff,
            "traceidratio" => Self::Ratio(ratio),
            "parentbased_always_on" => Self::ParentBasedAlwaysOn,
            "parentbased_always_off" => Self::ParentBasedAlwaysOff,
            "parentbased_traceidratio" => Self::ParentBasedRatio(ratio),
            _ => return None,
        })
    }

    /// What the code asked for has to make sense.
    pub(crate) fn checked(self) -> Result<Self, InitError> {
        match self {
            Self::Ratio(part) | Self::ParentBasedRatio(part) if !(0.0..=1.0).contains(&part) => {
                Err(InitError::Value {
                    name: "the ratio of the sampler".to_owned(),
                    value: part.to_string(),
                    accepted: RATIO.to_owned(),
                })
            }
            _ => Ok(self),
        }
    }

    pub(crate) fn sdk(self) -> Sdk {
        let parent_based = |root| Sdk::ParentBased(Box::new(root));
        match self {
            Self::AlwaysOn => Sdk::AlwaysOn,
            Self::AlwaysOff => Sdk::AlwaysOff,
            Self::Ratio(part) => Sdk::TraceIdRatioBased(part),
            Self::ParentBasedAlwaysOn => parent_based(Sdk::AlwaysOn),
            Self::ParentBasedAlwaysOff => parent_based(Sdk::AlwaysOff),
            Self::ParentBasedRatio(part) => parent_based(Sdk::TraceIdRatioBased(part)),
        }
    }
}

fn ratio(text: &str) -> Option<f64> {
    text.parse().ok().filter(|part| (0.0..=1.0).contains(part))
}
