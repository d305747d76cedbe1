//! The sampler: which traces are recorded.

use crate::error::InitError;
use crate::sampling_rule::{MAX_RULES, SamplingRule};

/// The sampler, which decides which traces are recorded.
///
/// | constructor | `OTEL_TRACES_SAMPLER` |
/// |---|---|
/// | `Sampler::ratio(1.0)` | `always_on` |
/// | `Sampler::ratio(0.1)` | `traceidratio`, with `OTEL_TRACES_SAMPLER_ARG=0.1` |
/// | [`Sampler::always_off`] | `always_off` |
/// | each with [`.parent_based()`](Self::parent_based) | `parentbased_always_on` and so on |
/// | [`Sampler::rate_limited`], [`.rule(..)`](Self::rule) | the specification has no name for them |
///
/// A span whose parent is in the same process is sampled as its parent, so the sampler decides about local roots.
///
/// <https://opentelemetry.io/docs/specs/otel/trace/sdk/#built-in-samplers>
///
/// ```
/// use tower_otel_init::{Sampler, Telemetry};
///
/// let sampler = Sampler::ratio(0.1)
///     .parent_based()
///     .rule("GET /health", 0.0)
///     .rule("/payments/{id}", 1.0);
/// let builder = Telemetry::builder("users").sampler(sampler);
/// # drop(builder);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Sampler {
    pub(crate) is_parent_based: bool,
    /// In their order. The first that matches decides.
    pub(crate) rules: Vec<SamplingRule>,
    /// What is recorded of the traces to which no rule applies.
    pub(crate) share: Share,
}

/// The traces that are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Share {
    /// None, and traces are not kept by rules unless a variable asks for it.
    Off,
    /// This ratio, by their trace ids.
    Ratio(f64),
    /// So many at once, and so many in each second after.
    PerSecond(u32),
}

pub(crate) const DEFAULT_RATIO: f64 = 0.1;

pub(crate) const INVALID_RATIO: &str = "is not a ratio (expected 0.0 to 1.0)";
const INVALID_RATE: &str = "is not a number of traces per second (expected at least 1)";

impl Sampler {
    const fn new(share: Share) -> Self {
        Self {
            is_parent_based: false,
            rules: Vec::new(),
            share,
        }
    }

    /// Records no trace. Without `TRACES_KEEP`, no trace is kept by rules either.
    pub const fn always_off() -> Self {
        Self::new(Share::Off)
    }

    /// Records this ratio of the traces, from 0.0 to 1.0, by their trace ids.
    pub const fn ratio(ratio: f64) -> Self {
        Self::new(Share::Ratio(ratio))
    }

    /// Records at most so many traces per second: so many at once, and so many in each second after. Accepted: any number
    /// from 1 on.
    ///
    /// What is recorded is not a fixed part of all traces, so the number of all traces cannot be estimated from it.
    pub const fn rate_limited(per_second: u32) -> Self {
        Self::new(Share::PerSecond(per_second))
    }

    /// Follows the decision of a parent in another process. The sampler decides about traces without a parent.
    ///
    /// Without it, the sampler decides about every trace that enters the process, whatever the caller has decided.
    pub const fn parent_based(mut self) -> Self {
        self.is_parent_based = true;
        self
    }

    /// Adds a rule: this ratio of the traces whose first span in this process is such a request, by their trace ids. The first
    /// rule that matches decides. At most 64 rules are accepted.
    ///
    /// | `requests` | matches spans with |
    /// |---|---|
    /// | `GET` | this `http.request.method` |
    /// | `/users/{id}` | this `http.route`, `url.path`, or gRPC method (`/package.Service/Method`) |
    /// | `GET /users/{id}` | both |
    ///
    /// A route is known if the router has matched it before the span starts, as with axum's `Router::layer`. It contains
    /// neither commas nor spaces.
    pub fn rule(mut self, requests: &str, ratio: f64) -> Self {
        self.rules.push(SamplingRule::new(requests, ratio));
        self
    }

    /// Returns the sampler, or an error if one of its numbers or rules is not accepted.
    pub(crate) fn validated(self) -> Result<Self, InitError> {
        match self.problem() {
            Some((value, reason)) => Err(InitError::invalid_value("sampler", &value, reason)),
            None => Ok(self),
        }
    }

    /// Returns the first value that is not accepted, and why.
    pub(crate) fn problem(&self) -> Option<(String, &'static str)> {
        let ratios = self.rules.iter().map(|rule| rule.ratio);
        let own = match self.share {
            Share::Ratio(ratio) => Some(ratio),
            _ => None,
        };
        if let Some(ratio) = ratios.chain(own).find(|ratio| !(0.0..=1.0).contains(ratio)) {
            return Some((ratio.to_string(), INVALID_RATIO));
        }
        if self.share == Share::PerSecond(0) {
            return Some(("0".to_owned(), INVALID_RATE));
        }
        if self.rules.len() > MAX_RULES {
            let reason = "are too many rules (expected at most 64)";
            return Some((self.rules.len().to_string(), reason));
        }
        let invalid = self.rules.iter().find(|rule| !rule.is_valid());
        invalid.map(|rule| (rule.requests.clone(), SamplingRule::INVALID))
    }
}
