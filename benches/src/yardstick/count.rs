//! Counts alone: requests, errors and durations of each route.

use std::{cell::RefCell, time::Instant};

use axum::extract::{MatchedPath, Request};
use http::StatusCode;

use super::{
    counts::{Outcome, SeriesOfThread},
    exchange::Hook,
};

thread_local! {
    static SERIES: RefCell<SeriesOfThread> = RefCell::default();
}

/// Counts the request.
#[derive(Clone, Copy, Debug)]
pub struct Count;

/// The state of an exchange.
#[derive(Debug)]
pub struct Counted {
    start: Instant,
    series: usize,
    status: u16,
}

impl Hook for Count {
    type State = Counted;

    fn start(&self, request: &Request) -> Counted {
        let start = Instant::now();
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or("", MatchedPath::as_str);
        let series = SERIES.with_borrow_mut(|all| {
            let series = all.find(request.method(), route);
            all.counts(series).started();
            series
        });
        Counted {
            start,
            series,
            status: 0,
        }
    }

    #[inline(always)]
    fn within<T>(_state: &mut Counted, function: impl FnOnce() -> T) -> T {
        function()
    }

    fn status(state: &mut Counted, status: StatusCode) {
        state.status = status.as_u16();
    }

    fn end(state: Counted, outcome: Outcome) {
        let duration = state.start.elapsed();
        SERIES.with_borrow(|all| {
            all.counts(state.series)
                .ended(state.status, outcome, duration)
        });
    }
}
