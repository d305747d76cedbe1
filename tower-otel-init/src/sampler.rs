//! The sampler, which decides which traces are sampled.

use crate::error::InitError;
use crate::sampling_rule::{MAX_RULES, SamplingRule};

/// The sampler, which decides which traces are sampled. Default: `Sampler::ratio(0.1).parent_based()`, or
/// `Sampler::ratio(1.0)` with the console exporter or the page.
///
/// | constructor | `OTEL_TRACES_SAMPLER` |
/// |---|---|
/// | `Sampler::ratio(1.0)` | `always_on` |
/// | `Sampler::ratio(0.1)` | `traceidratio`, with `OTEL_TRACES_SAMPLER_ARG=0.1` |
/// | [`Sampler::always_off`] | `always_off` |
/// | each with [`.parent_based()`](Self::parent_based) | `parentbased_always_on` and so on |
/// | [`Sampler::rate_limited`], [`.rule(..)`](Self::rule) | none: the specification does not define these |
///
/// The sampler decides for local roots: a span whose parent is in the same process has the decision of its parent. Traces that
/// are not sampled can still be exported by [keep rules](crate#which-traces-are-exported).
///
/// The start returns [`InitError::InvalidSetting`] for a ratio, a rate or a rule that is not accepted.
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
    /// The rules in their order. The first rule that matches decides.
    pub(crate) rules: Vec<SamplingRule>,
    /// The share of the traces that match no rule.
    pub(crate) share: Share,
}

/// The traces that are sampled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Share {
    /// No trace. Keep rules are also off, unless `TRACES_KEEP` is set.
    Off,
    /// This ratio of the traces, by their trace ids.
    Ratio(f64),
    /// At most this number of traces at once, and this number in each later second.
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

    /// Samples no trace. Keep rules are also off, unless `TRACES_KEEP` is set.
    pub const fn always_off() -> Self {
        Self::new(Share::Off)
    }

    /// Samples this ratio of the traces by their trace ids. Accepted: 0.0 to 1.0.
    pub const fn ratio(ratio: f64) -> Self {
        Self::new(Share::Ratio(ratio))
    }

    /// Samples at most `per_second` traces per second. A burst can have `per_second` traces at once. Accepted: 1 or more.
    ///
    /// The sampled traces are not a fixed ratio of all traces, so the number of all traces cannot be estimated from them.
    pub const fn rate_limited(per_second: u32) -> Self {
        Self::new(Share::PerSecond(per_second))
    }

    /// Follows the decision of a parent in another process. The sampler and its rules decide only for traces without a parent.
    ///
    /// Without this method, the sampler decides for every trace that enters the process, and ignores the sampled flag of the
    /// parent.
    pub const fn parent_based(mut self) -> Self {
        self.is_parent_based = true;
        self
    }

    /// Adds a rule: samples `ratio` of the traces whose local root matches `requests`, by their trace ids. The first rule that
    /// matches decides. Accepted: at most 64 rules, with a ratio from 0.0 to 1.0 and at most 512 bytes of `requests`.
    ///
    /// | `requests` | matches spans with |
    /// |---|---|
    /// | `GET` | this `http.request.method` |
    /// | `/users/{id}` | this `http.route`, `url.path`, or gRPC method (`/package.Service/Method`) |
    /// | `GET /users/{id}` | both |
    ///
    /// The method is in capital letters. The route starts with a slash and has neither commas nor spaces. `http.route` matches
    /// only if the router has matched the route before the span starts, as with axum's `Router::layer`.
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

    /// Returns the first value that is not accepted, and the reason.
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
