//! Quantiles of durations from the buckets of a histogram.

use serde_json::{Value, json};

/// Upper bounds in seconds and cumulative counts, in ascending order.
pub(crate) type Buckets = Vec<(f64, f64)>;

/// Returns a quantile in seconds with its precision, by linear interpolation in its bucket. It is `<` the first bound in the
/// first bucket, and `>` the last bound above it. Returns `None` if there are too few requests: a p99 needs 100 requests.
pub(crate) fn quantile(q: f64, buckets: &[(f64, f64)]) -> Option<Value> {
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    if (1.0 - q) * total < 0.999 {
        return None;
    }
    let rank = q * total;
    let (mut low, mut lower_count) = (0.0, 0.0);
    for &(high, count) in buckets {
        if count >= rank && count > lower_count {
            return Some(if high.is_infinite() {
                json!({ "bound": ">", "seconds": low })
            } else if lower_count == 0.0 && low == 0.0 {
                json!({ "bound": "<", "seconds": high })
            } else {
                let seconds = low + (high - low) * (rank - lower_count) / (count - lower_count);
                json!({ "bound": "", "seconds": seconds })
            });
        }
        (low, lower_count) = (high, count);
    }
    None
}

/// Returns the counts since an earlier point, for the bounds of the later point.
pub(crate) fn difference(later: &[(f64, f64)], earlier: &[(f64, f64)]) -> Buckets {
    let before = |bound: f64| {
        let bucket = earlier
            .iter()
            .find(|(other, _)| other.total_cmp(&bound).is_eq());
        bucket.map_or(0.0, |(_, count)| *count)
    };
    later
        .iter()
        .map(|&(bound, count)| (bound, (count - before(bound)).max(0.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn a_quantile_is_as_exact_as_its_bucket() {
        let buckets = [(0.005, 100.0), (0.01, 180.0), (0.1, 199.0), (INF, 200.0)];
        let seconds = |q| quantile(q, &buckets);
        assert_eq!(
            seconds(0.5),
            Some(json!({ "bound": "<", "seconds": 0.005 }))
        );
        assert_eq!(
            seconds(0.7),
            Some(json!({ "bound": "", "seconds": 0.0075 }))
        );
        let slow = [(0.1, 0.0), (INF, 100.0)];
        assert_eq!(
            quantile(0.99, &slow),
            Some(json!({ "bound": ">", "seconds": 0.1 }))
        );
    }

    #[test]
    fn few_requests_have_no_high_quantile() {
        for (q, least) in [(0.5, 2.0), (0.95, 20.0), (0.99, 100.0)] {
            let of = |count| quantile(q, &[(0.1, 0.0), (1.0, count), (INF, count)]);
            assert!(of(least).is_some() && of(least - 1.0).is_none(), "{q}");
        }
        assert_eq!(quantile(0.5, &[]), None);
    }

    #[test]
    fn counts_are_those_since_the_earlier_point() {
        let later = [(1.0, 5.0), (INF, 9.0)];
        assert_eq!(
            difference(&later, &[(1.0, 2.0), (INF, 3.0)]),
            [(1.0, 3.0), (INF, 6.0)]
        );
        assert_eq!(difference(&later, &[]), later);
    }
}
