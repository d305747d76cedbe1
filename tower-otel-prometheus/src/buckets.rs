//! Which names have buckets, and which ones.

use std::collections::HashMap;
use std::sync::Arc;

use tower_otel_semconv::metric::{BODY_SIZE_BOUNDARIES, DURATION_BOUNDARIES};

use crate::{error::InstallError, text};

/// Ends the name of every duration this suite records, on either side and under any prefix.
const DURATION_SUFFIX: &str = "_duration_seconds";

/// Ends the name of every size of a body.
const SIZE_SUFFIX: &str = "_body_size_bytes";

/// Decides by the name as it is rendered: names that are rendered as one are one histogram.
pub(crate) struct Buckets {
    own: HashMap<String, Arc<[f64]>>,
    durations: Arc<[f64]>,
    sizes: Arc<[f64]>,
}

impl Buckets {
    /// Of a name given twice the later boundaries hold.
    pub(crate) fn new(own: Vec<(String, Vec<f64>)>) -> Result<Self, InstallError> {
        let own = own.into_iter().map(|(metric, boundaries)| {
            if are_buckets(&boundaries) {
                Ok((text::metric_name(&metric).into_owned(), boundaries.into()))
            } else {
                Err(InstallError::Buckets { metric })
            }
        });
        Ok(Self {
            own: own.collect::<Result<_, _>>()?,
            durations: DURATION_BOUNDARIES.into(),
            sizes: BODY_SIZE_BOUNDARIES.into(),
        })
    }

    /// The boundaries of the histogram that is rendered as `name`.
    pub(crate) fn of(&self, name: &str) -> Option<&Arc<[f64]>> {
        self.own
            .get(name)
            .or_else(|| name.ends_with(DURATION_SUFFIX).then_some(&self.durations))
            .or_else(|| name.ends_with(SIZE_SUFFIX).then_some(&self.sizes))
    }
}

/// `+Inf` comes by itself, and a sample counts at the first boundary it does not exceed, so
/// anything but finite ascending numbers would be rendered wrong without a word.
fn are_buckets(boundaries: &[f64]) -> bool {
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
    fn boundaries_that_would_be_rendered_wrong_are_refused() {
        let refused: [&[f64]; 6] = [
            &[],
            &[1.0, 1.0],
            &[2.0, 1.0],
            &[f64::NAN],
            &[1.0, f64::INFINITY],
            &[f64::NEG_INFINITY],
        ];
        for boundaries in refused {
            let error = Buckets::new(vec![("x".to_owned(), boundaries.to_vec())])
                .err()
                .expect("no buckets");
            assert!(matches!(&error, InstallError::Buckets { metric } if metric == "x"));
            assert!(error.to_string().contains("`x`"));
        }
    }

    #[test]
    fn a_name_has_buckets_of_its_own_or_those_of_durations_or_none() {
        let own = |boundaries: &[f64]| ("my.size".to_owned(), boundaries.to_vec());
        let buckets = Buckets::new(vec![own(&[1.0]), own(&[1.0, 2.0])]).unwrap();
        assert_eq!(
            buckets.of("my_size").map(|own| &own[..]),
            Some(&[1.0, 2.0][..])
        );
        assert_eq!(
            buckets
                .of("a_duration_seconds")
                .map(|durations| &durations[..]),
            Some(&DURATION_BOUNDARIES[..])
        );
        assert!(buckets.of("a_duration_seconds_more").is_none());
        assert!(buckets.of("my.size").is_none(), "no name is rendered so");
    }
}
