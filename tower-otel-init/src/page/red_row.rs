//! Rate, errors and durations of one route or host.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::page::quantile::{Buckets, difference, quantile};

/// The number of shown intervals, which are five minutes in all.
pub(crate) const INTERVALS: usize = 60;

/// The counters of a row at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) requests: f64,
    pub(crate) errors: f64,
    pub(crate) aborted: f64,
    pub(crate) buckets: Buckets,
}

impl Totals {
    /// Adds the count of a bucket. Several series of a row have the same bounds.
    pub(crate) fn add_bucket(&mut self, bound: f64, count: f64) {
        let is_bound = |(other, _): &&mut (f64, f64)| other.total_cmp(&bound).is_eq();
        match self.buckets.iter_mut().find(is_bound) {
            Some((_, sum)) => *sum += count,
            None => self.buckets.push((bound, count)),
        }
    }
}

/// The current totals of a row, and the totals at the end of each interval.
#[derive(Debug, Default)]
pub(crate) struct RedRow {
    /// The totals from the oldest to the newest. A row that is younger than the history starts with zeros.
    points: VecDeque<Totals>,
    latest: Totals,
    /// The requests in flight, if the gauge has the labels of the row.
    in_flight: Option<f64>,
}

impl RedRow {
    /// Returns a row that did not exist at the end of `points` intervals.
    pub(crate) fn new(points: usize) -> Self {
        Self {
            points: (0..points).map(|_| Totals::default()).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn set_in_flight(&mut self, requests: Option<f64>) {
        self.in_flight = requests;
    }

    pub(crate) fn set_latest(&mut self, totals: Totals) {
        self.latest = totals;
    }

    /// Starts the history with the latest totals.
    pub(crate) fn restart(&mut self) {
        self.points.clear();
        self.points.push_back(self.latest.clone());
    }

    /// Ends an interval.
    pub(crate) fn end_interval(&mut self) {
        self.points.push_back(self.latest.clone());
        while self.points.len() > INTERVALS {
            self.points.pop_front();
        }
    }

    /// Returns the row without its name. `seconds` is the length of the history.
    pub(crate) fn json(&self, seconds: f64) -> Value {
        let none = Totals::default();
        let oldest = self.points.front().unwrap_or(&none);
        let requests = since(self.latest.requests, oldest.requests);
        let buckets = difference(&self.latest.buckets, &oldest.buckets);
        let newest = self.points.iter().skip(1).chain([&self.latest]);
        let intervals: Vec<_> = self.points.iter().zip(newest).collect();
        let of = |part: fn(&Totals) -> f64| -> Vec<f64> {
            let intervals = intervals.iter();
            intervals
                .map(|(earlier, later)| since(part(later), part(earlier)))
                .collect()
        };
        json!({
            "requests": requests,
            "rate": requests / seconds.max(1.0),
            "errors": since(self.latest.errors, oldest.errors),
            "aborted": since(self.latest.aborted, oldest.aborted),
            "total": self.latest.requests,
            "in_flight": self.in_flight,
            "p50": quantile(0.5, &buckets),
            "p95": quantile(0.95, &buckets),
            "p99": quantile(0.99, &buckets),
            "points": of(|totals| totals.requests),
            "failed": of(|totals| totals.errors),
        })
    }
}

/// Returns the increase of a counter.
fn since(later: f64, earlier: f64) -> f64 {
    (later - earlier).max(0.0)
}
