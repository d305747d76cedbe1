//! The rules, and the reason why a trace is kept.

use std::{io, time::Duration};

/// The maximum number of kept traces per second. Default of [`Keep::per_second`].
const PER_SECOND: u32 = 100;

/// Rules for traces that are not sampled: a trace to which any rule applies is exported nevertheless.
///
/// | rule | the local root |
/// |---|---|
/// | [`errors`](Self::errors) | ends with the status `Error` |
/// | [`slower_than`](Self::slower_than) | takes longer |
/// | always | was marked with [`keep_trace`](crate::keep_trace) |
///
/// A local root is a span without a parent, or with a parent in another process. Its spans in this process wait in
/// memory until it ends, within limits. If it is kept, all of them are exported, with the attribute
/// `sampling.keep.reason`: `error`, `slow` or `marked`.
///
/// `Keep::default()` is a set without `errors` and `slower_than`.
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

    /// Keeps the traces whose local root takes longer, too. Accepted: any duration but zero.
    pub const fn slower_than(mut self, limit: Duration) -> Self {
        self.slower_than = Some(limit);
        self
    }

    /// Sets the maximum number of kept traces per second. Default: 100. Accepted: any number from 1 on.
    ///
    /// Up to this number can be kept at once, and this number in each second after. The spans of those over the limit
    /// are counted in [`SpanCounts::keep_limited`](crate::SpanCounts::keep_limited).
    pub const fn per_second(mut self, traces: u32) -> Self {
        self.per_second = Some(traces);
        self
    }

    pub(super) fn traces_per_second(&self) -> u32 {
        self.per_second.unwrap_or(PER_SECOND)
    }

    /// Returns the rule that applies to a root that took so long.
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

    /// Returns an error for limits of zero, with what follows from it.
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

    /// Returns whether failed roots are kept, and from which duration on roots are kept.
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
