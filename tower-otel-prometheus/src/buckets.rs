//! Selects the bucket boundaries of a histogram by its name.

use std::{collections::HashMap, sync::Arc};

use tower_otel_semconv::metric::{BODY_SIZE_BOUNDARIES, DURATION_BOUNDARIES};

use crate::{error::InstallError, labels::metric_name};

/// The suffix of names that get [`DURATION_BOUNDARIES`].
const DURATION_SUFFIX: &str = "_duration_seconds";

/// The suffix of names that get [`BODY_SIZE_BOUNDARIES`].
const SIZE_SUFFIX: &str = "_body_size_bytes";

/// The boundaries of every histogram with buckets.
///
/// Names are compared as they are rendered, because names that render alike are one histogram.
pub(crate) struct Buckets {
    custom: HashMap<String, Arc<[f64]>>,
    durations: Arc<[f64]>,
    sizes: Arc<[f64]>,
}

impl Buckets {
    /// Returns an error if the boundaries of a name are empty, not finite or not ascending. If a
    /// name is given twice, the later boundaries apply.
    pub(crate) fn new(custom: Vec<(String, Vec<f64>)>) -> Result<Self, InstallError> {
        let custom = custom.into_iter().map(|(metric, boundaries)| {
            if are_valid(&boundaries) {
                Ok((metric_name(&metric).into_owned(), boundaries.into()))
            } else {
                Err(InstallError::Buckets { metric })
            }
        });
        Ok(Self {
            custom: custom.collect::<Result<_, _>>()?,
            durations: DURATION_BOUNDARIES.into(),
            sizes: BODY_SIZE_BOUNDARIES.into(),
        })
    }

    /// Returns the boundaries of the histogram with this rendered name, or `None` for a summary.
    pub(crate) fn boundaries(&self, name: &str) -> Option<&Arc<[f64]>> {
        self.custom
            .get(name)
            .or_else(|| name.ends_with(DURATION_SUFFIX).then_some(&self.durations))
            .or_else(|| name.ends_with(SIZE_SUFFIX).then_some(&self.sizes))
    }
}

/// Whether boundaries are finite, ascending and at least one. `+Inf` is added when rendering.
fn are_valid(boundaries: &[f64]) -> bool {
    !boundaries.is_empty()
        && boundaries.iter().all(|boundary| boundary.is_finite())
        && boundaries.is_sorted_by(|low, high| low < high)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    #[test]
    fn empty_infinite_or_unordered_boundaries_are_rejected() {
        let rejected: [&[f64]; 6] = [
            &[],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
            &[f64::NEG_INFINITY],
        ];
        for boundaries in rejected {
            let error = Buckets::new(vec![("x".to_owned(), boundaries.to_vec())])
                .err()
                .expect("an error");
            assert!(matches!(&error, InstallError::Buckets { metric } if metric == "x"));
            assert!(error.to_string().contains("`x`"));
        }
    }

    #[test]
    fn boundaries_are_custom_by_suffix_or_none() {
        let custom = |boundaries: &[f64]| ("my.size".to_owned(), boundaries.to_vec());
        let buckets = Buckets::new(vec![custom(&[1.0]), custom(&[1.0, 2.0])]).unwrap();
        assert_eq!(
            buckets.boundaries("my_size").map(|custom| &custom[..]),
            Some(&[1.0, 2.0][..])
        );
        assert_eq!(
            buckets
                .boundaries("a_duration_seconds")
                .map(|durations| &durations[..]),
            Some(&DURATION_BOUNDARIES[..])
        );
        assert!(buckets.boundaries("a_duration_seconds_more").is_none());
        assert!(
            buckets.boundaries("my.size").is_none(),
            "names are compared as rendered"
        );
    }
}
