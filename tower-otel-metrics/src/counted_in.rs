//! Counts an exchange out of its in-flight gauge, even if the recorder panics.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::backend::instruments::InFlightGauge;

/// An exchange that is counted in. If a panic drops it before [`ended`](Self::ended), it is counted out too.
pub(crate) struct CountedIn<'a, G: InFlightGauge>(Option<&'a G>);

impl<'a, G: InFlightGauge> CountedIn<'a, G> {
    pub(crate) const fn new(gauge: Option<&'a G>) -> Self {
        Self(gauge)
    }

    /// Counts the exchange out.
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

/// Counts an exchange out. A second panic would abort the process, so it is swallowed.
#[cold]
#[inline(never)]
pub(crate) fn count_out_while_unwinding(gauge: &impl InFlightGauge) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| gauge.ended())) {
        // Its destructor may panic, too.
        mem::forget(panic);
    }
}
