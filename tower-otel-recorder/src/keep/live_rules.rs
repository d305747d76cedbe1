//! The current keep rules. They can be replaced while roots end.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use super::rules::{Keep, KeepReason};

/// Rules that can be replaced. Most roots read only one word, because no rule applies to them.
#[derive(Debug)]
pub(crate) struct LiveRules {
    /// The [`Conditions`] of `rules`.
    conditions: AtomicU64,
    rules: ArcSwap<Option<Keep>>,
    /// Locked while the rules are replaced.
    replacing: Mutex<()>,
}

/// The conditions of the rules in 64 bits.
///
/// | bits | content |
/// |---|---|
/// | 0 | whether there are rules |
/// | 1 | whether failed roots are kept; without rules, whether there were rules |
/// | 2 to 63 | the maximum duration of a root that is not slow, in nanoseconds (up to 146 years) |
#[derive(Clone, Copy)]
struct Conditions(u64);

impl Conditions {
    const ON: u64 = 1;
    const ERRORS: u64 = 2;
    const SHIFT: u32 = 2;
    const NO_LIMIT: u64 = u64::MAX >> Self::SHIFT;

    fn new(rules: Option<&Keep>) -> Self {
        let Some((errors, slower_than)) = rules.map(Keep::conditions) else {
            return Self(0);
        };
        let limit = slower_than.map_or(u128::MAX, |limit| limit.as_nanos());
        let limit = u64::try_from(limit).unwrap_or(u64::MAX).min(Self::NO_LIMIT);
        let errors = if errors { Self::ERRORS } else { 0 };
        Self(limit << Self::SHIFT | errors | Self::ON)
    }

    const fn is_on(self) -> bool {
        self.0 & Self::ON != 0
    }

    /// Returns `false` if no rule applies. Returns `true` if a rule may apply.
    fn may_apply(self, is_marked: bool, has_failed: bool, duration: impl Fn() -> Duration) -> bool {
        let keeps_errors = self.0 & Self::ERRORS != 0;
        let limit = self.0 >> Self::SHIFT;
        let is_slow = || limit != Self::NO_LIMIT && duration().as_nanos() > u128::from(limit);
        self.is_on() && (is_marked || (keeps_errors && has_failed) || is_slow())
    }
}

impl LiveRules {
    pub(super) fn new(rules: Option<Keep>) -> Self {
        Self {
            conditions: AtomicU64::new(Conditions::new(rules.as_ref()).0),
            rules: ArcSwap::from_pointee(rules),
            replacing: Mutex::new(()),
        }
    }

    /// Replaces the rules. Each decision uses either the old rules or the new ones.
    pub(crate) fn set(&self, rules: Option<Keep>) {
        let _replacing = self
            .replacing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // In this order, so that a thread that reads the new conditions also reads the new rules, or newer ones.
        let _replaced = self.rules.swap(Arc::new(rules));
        let conditions = match rules {
            None if self.conditions.load(Acquire) != 0 => Conditions::ERRORS,
            _ => Conditions::new(rules.as_ref()).0,
        };
        self.conditions.store(conditions, Release);
    }

    /// Returns whether there are rules.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.conditions().is_on()
    }

    /// Returns whether there are rules, or were earlier.
    #[inline]
    pub(crate) fn were_on(&self) -> bool {
        self.conditions().0 != 0
    }

    fn conditions(&self) -> Conditions {
        Conditions(self.conditions.load(Acquire))
    }

    /// Returns the rule that applies to a root with this duration, and the maximum number of kept traces per second.
    pub(super) fn reason(
        &self,
        is_marked: bool,
        has_failed: bool,
        duration: impl Fn() -> Duration,
    ) -> Option<(KeepReason, u32)> {
        let conditions = self.conditions();
        if !conditions.may_apply(is_marked, has_failed, &duration) {
            return None;
        }
        let rules = self.rules.load();
        let rules = (**rules).as_ref()?;
        let reason = rules.reason(is_marked, has_failed, duration)?;
        Some((reason, rules.traces_per_second()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn live_rules_decide_as_the_rules_that_were_set_last() {
        let limits = [SECOND, Duration::from_nanos(1), Duration::MAX];
        let sets = limits.into_iter().flat_map(|limit| {
            [
                Keep::default(),
                Keep::errors(),
                Keep::errors().slower_than(limit).per_second(7),
                Keep::default().slower_than(limit),
            ]
        });
        let live = LiveRules::new(None);
        live.set(None);
        assert!(!live.is_on() && !live.were_on());
        for rules in sets {
            live.set(Some(rules));
            assert!(live.is_on() && live.were_on());
            for bits in 0..4 {
                let (is_marked, has_failed) = (bits & 1 != 0, bits & 2 != 0);
                for duration in [Duration::ZERO, SECOND, SECOND * 2, Duration::MAX] {
                    let found = live.reason(is_marked, has_failed, || duration);
                    let expected = rules.reason(is_marked, has_failed, || duration);
                    let expected = expected.map(|reason| (reason, rules.traces_per_second()));
                    assert_eq!(found, expected, "{rules:?} {duration:?}");
                }
            }
            live.set(None);
            assert!(!live.is_on() && live.were_on());
            assert_eq!(live.reason(true, true, || Duration::MAX), None);
        }
    }

    #[test]
    fn a_decision_is_never_made_by_parts_of_two_sets_of_rules() {
        // Each set of rules keeps a failed root of one second, with a different reason and limit.
        let sets = [
            (Keep::errors().per_second(1), (KeepReason::Error, 1)),
            (
                Keep::default().slower_than(SECOND / 2).per_second(2),
                (KeepReason::Slow, 2),
            ),
        ];
        let live = LiveRules::new(Some(Keep::errors().per_second(1)));
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Acquire) {
                    sets.iter().for_each(|(rules, _)| live.set(Some(*rules)));
                }
            });
            for _ in 0..if cfg!(miri) { 50 } else { 50_000 } {
                let found = live.reason(false, true, || SECOND);
                let is_whole = sets.iter().any(|(_, expected)| found == Some(*expected));
                assert!(is_whole, "{found:?}");
            }
            is_done.store(true, Release);
        });
    }
}
