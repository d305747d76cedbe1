//! `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`.

use opentelemetry_sdk::trace::Sampler as SdkSampler;

use crate::env::Env;
use crate::error::InitError;

/// The sampler, which decides which traces are recorded.
///
/// <https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers>
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Sampler {
    /// Records every trace.
    AlwaysOn,
    /// Records no trace.
    AlwaysOff,
    /// Records this ratio of the traces, from 0.0 to 1.0, by their trace ids.
    Ratio(f64),
    /// Follows the decision of the parent span. Records every trace without a parent.
    ParentBasedAlwaysOn,
    /// Follows the decision of the parent span. Records no trace without a parent.
    ParentBasedAlwaysOff,
    /// Follows the decision of the parent span. Records this ratio of the traces without a parent.
    ParentBasedRatio(f64),
}

const DEFAULT_RATIO: f64 = 0.1;

const INVALID_SAMPLER: &str = "is not a sampler (expected one of always_on, always_off, \
                               traceidratio, parentbased_always_on, parentbased_always_off, \
                               parentbased_traceidratio)";
const INVALID_RATIO: &str = "is not a ratio (expected 0.0 to 1.0)";

impl Sampler {
    /// `is_shown` is whether the traces are printed or shown on the page. If no variable is set, all of them are recorded then.
    pub(crate) fn from_env(is_shown: bool, env: &mut Env<'_>) -> Self {
        let is_set = |name| env.get(name).is_some();
        if is_shown && !is_set("OTEL_TRACES_SAMPLER") && !is_set("OTEL_TRACES_SAMPLER_ARG") {
            return Self::AlwaysOn;
        }
        let sampler = env
            .parse(
                "OTEL_TRACES_SAMPLER",
                |name| Self::from_name(name, DEFAULT_RATIO),
                INVALID_SAMPLER,
                "parentbased_traceidratio",
            )
            .unwrap_or(Self::ParentBasedRatio(DEFAULT_RATIO));
        if !matches!(sampler, Self::Ratio(_) | Self::ParentBasedRatio(_)) {
            return sampler;
        }
        let ratio = env
            .parse(
                "OTEL_TRACES_SAMPLER_ARG",
                parse_ratio,
                INVALID_RATIO,
                DEFAULT_RATIO,
            )
            .unwrap_or(DEFAULT_RATIO);
        match sampler {
            Self::Ratio(_) => Self::Ratio(ratio),
            _ => Self::ParentBasedRatio(ratio),
        }
    }

    fn from_name(name: &str, ratio: f64) -> Option<Self> {
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

    /// Returns the sampler, or an error if its ratio is not between 0.0 and 1.0.
    pub(crate) fn validated(self) -> Result<Self, InitError> {
        match self {
            Self::Ratio(ratio) | Self::ParentBasedRatio(ratio) if !(0.0..=1.0).contains(&ratio) => {
                let value = ratio.to_string();
                Err(InitError::invalid_value("sampler", &value, INVALID_RATIO))
            }
            _ => Ok(self),
        }
    }

    pub(crate) fn to_sdk(self) -> SdkSampler {
        let parent_based = |root| SdkSampler::ParentBased(Box::new(root));
        match self {
            Self::AlwaysOn => SdkSampler::AlwaysOn,
            Self::AlwaysOff => SdkSampler::AlwaysOff,
            Self::Ratio(ratio) => SdkSampler::TraceIdRatioBased(ratio),
            Self::ParentBasedAlwaysOn => parent_based(SdkSampler::AlwaysOn),
            Self::ParentBasedAlwaysOff => parent_based(SdkSampler::AlwaysOff),
            Self::ParentBasedRatio(ratio) => parent_based(SdkSampler::TraceIdRatioBased(ratio)),
        }
    }
}

fn parse_ratio(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|ratio| (0.0..=1.0).contains(ratio))
}
