//! The rules, and the reason why a trace is kept.

use std::{io, time::Duration};

/// The maximum number of kept traces per second. Default of [`Keep::per_second`].
const PER_SECOND: u32 = 100;

/// Rules by which unsampled traces are exported. A trace is kept if any rule applies to its local root:
///
/// | rule | applies if the local root | `sampling.keep.reason` |
/// |---|---|---|
/// | [`errors`](Self::errors) | ends with the status `Error` | `error` |
/// | [`slower_than`](Self::slower_than) | takes longer than the limit | `slow` |
/// | always on | was marked with [`keep_trace`](crate::keep_trace) | `marked` |
///
/// A local root is a span without a parent, or with a parent in another process. Until it ends, it and its descendants in
/// this process wait in memory, within [limits](crate::RecorderBuilder::keep). If the trace is kept, all these spans are
/// exported with the attribute `sampling.keep.reason`.
///
/// `Keep::default()` has neither `errors` nor `slower_than`: it keeps only marked traces.
///
/// # Examples
///
/// ```
/// use std::{io, time::Duration};
///
/// use opentelemetry_sdk::trace::{Sampler, SpanExporter};
/// use tower_otel_recorder::{Keep, Recorder};
///
/// fn start(exporter: impl SpanExporter + 'static) -> std::io::Result<Recorder> {
///     let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
///     Recorder::builder(exporter)
///         .sampler_without_attributes(tenth)
///         .keep(Keep::errors().slower_than(Duration::from_secs(1)))
///         .build()
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Keep {
    errors: bool,
    slower_than: Option<Duration>,
    per_second: Option<u32>,
}

impl Keep {
    /// Keeps the traces whose local root ends with the status `Error`.
    pub const fn errors() -> Self {
        Self {
            errors: true,
            slower_than: None,
            per_second: None,
        }
    }

    /// Also keeps the traces whose local root takes longer than `limit`. Default: no limit. Zero is an error when the rules
    /// are set.
    pub const fn slower_than(mut self, limit: Duration) -> Self {
        self.slower_than = Some(limit);
        self
    }

    /// Sets the maximum number of kept traces per second. Default: 100. Minimum: 1; 0 is an error when the rules are set.
    ///
    /// Up to this number can be kept at once, and then this number in each second. The spans of traces over the limit are
    /// discarded and counted in [`SpanCounts::keep_limited`](crate::SpanCounts::keep_limited).
    pub const fn per_second(mut self, traces: u32) -> Self {
        self.per_second = Some(traces);
        self
    }

    pub(super) fn traces_per_second(&self) -> u32 {
        self.per_second.unwrap_or(PER_SECOND)
    }

    /// Returns the rule that applies to a root with this duration.
    pub(super) fn reason(
        &self,
        is_marked: bool,
        has_failed: bool,
        duration: impl FnOnce() -> Duration,
    ) -> Option<KeepReason> {
        if is_marked {
            return Some(KeepReason::Marked);
        }
        if self.errors && has_failed {
            return Some(KeepReason::Error);
        }
        let limit = self.slower_than?;
        (duration() > limit).then_some(KeepReason::Slow)
    }

    /// Returns an error if a limit is zero. Its message contains the consequence.
    pub(crate) fn check(&self, consequence: &str) -> io::Result<()> {
        let problem = if self.per_second == Some(0) {
            "per_second of the keep rules is 0 (expected at least 1)"
        } else if self.slower_than == Some(Duration::ZERO) {
            "slower_than of the keep rules is 0 (expected more than 0)"
        } else {
            return Ok(());
        };
        let error = format!("{problem}; {consequence}");
        Err(io::Error::new(io::ErrorKind::InvalidInput, error))
    }

    /// Returns whether failed roots are kept, and the duration above which roots are kept.
    pub(super) const fn conditions(&self) -> (bool, Option<Duration>) {
        (self.errors, self.slower_than)
    }
}

/// The rule by which a trace is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepReason {
    Marked,
    Error,
    Slow,
}

impl KeepReason {
    /// Returns the value of the attribute.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Marked => "marked",
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn any_rule_keeps_a_trace() {
        let both = Keep::errors().slower_than(SECOND);
        let slow = Keep::default().slower_than(SECOND);
        let long = SECOND + Duration::from_nanos(1);
        for (rules, is_marked, has_failed, duration, expected) in [
            (both, false, false, SECOND, None),
            (both, false, false, long, Some(KeepReason::Slow)),
            (both, false, true, Duration::ZERO, Some(KeepReason::Error)),
            (both, false, true, long, Some(KeepReason::Error)),
            (both, true, true, long, Some(KeepReason::Marked)),
            (slow, false, true, SECOND, None),
            (slow, false, true, long, Some(KeepReason::Slow)),
            (Keep::errors(), false, false, Duration::MAX, None),
            (Keep::default(), false, true, Duration::MAX, None),
            (
                Keep::default(),
                true,
                false,
                SECOND,
                Some(KeepReason::Marked),
            ),
        ] {
            let reason = rules.reason(is_marked, has_failed, || duration);
            assert_eq!(reason, expected, "{rules:?} {duration:?}");
        }
    }

    #[test]
    fn limits_of_zero_are_errors() {
        for (rules, expected) in [
            (Keep::errors().per_second(0), Some("per_second")),
            (
                Keep::errors().slower_than(Duration::ZERO),
                Some("slower_than"),
            ),
            (Keep::errors().per_second(1), None),
            (Keep::default(), None),
        ] {
            let error = rules.check("").err().map(|error| error.to_string());
            let option = error.as_deref().and_then(|error| error.split(' ').next());
            assert_eq!(option, expected);
        }
    }
}
