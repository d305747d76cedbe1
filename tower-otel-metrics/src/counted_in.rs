//! Removes an exchange from its in-flight gauge, even if the recorder panics.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::backend::instruments::InFlightGauge;

/// An exchange that its in-flight gauge counts. If a panic drops this value before [`ended`](Self::ended), the drop removes the
/// exchange.
pub(crate) struct CountedIn<'a, G: InFlightGauge>(Option<&'a G>);

impl<'a, G: InFlightGauge> CountedIn<'a, G> {
    pub(crate) const fn new(gauge: Option<&'a G>) -> Self {
        Self(gauge)
    }

    /// Removes the exchange from the gauge.
    #[inline]
    pub(crate) fn ended(self) {
        let gauge = self.0;
        mem::forget(self);
        if let Some(gauge) = gauge {
            gauge.ended();
        }
    }
}

impl<G: InFlightGauge> Drop for CountedIn<'_, G> {
    #[inline]
    fn drop(&mut self) {
        if let Some(gauge) = self.0 {
            count_out_while_unwinding(gauge);
        }
    }
}

/// Removes an exchange from a gauge. A panic is swallowed, because a second panic would abort the process.
#[cold]
#[inline(never)]
pub(crate) fn count_out_while_unwinding(gauge: &impl InFlightGauge) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gauge.ended())) {
        // The destructor of the payload may panic, too.
        mem::forget(panic);
    }
}
