//! Selects the bucket boundaries of a histogram by its name.

use std::{collections::HashMap, sync::Arc};

use metrics::Label;
use tower_otel_semconv::metric::{BODY_SIZE_BOUNDARIES, DURATION_BOUNDARIES};

use crate::{
    error::InstallError,
    labels::{has_label, label_name, metric_name},
};

/// The suffix of names that get [`DURATION_BOUNDARIES`].
const DURATION_SUFFIX: &str = "_seconds";

/// The suffix of names that get [`BODY_SIZE_BOUNDARIES`].
const SIZE_SUFFIX: &str = "_bytes";

/// The boundaries of other names: the defaults of the OpenTelemetry SDKs.
const OTHER_BOUNDARIES: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 2_500.0, 5_000.0,
    7_500.0, 10_000.0,
];

/// The boundaries of every histogram.
///
/// Names are compared as rendered, because names that are equal when rendered are one histogram.
pub(crate) struct Buckets {
    custom: HashMap<String, Arc<[f64]>>,
    series: HashMap<String, Vec<SeriesBuckets>>,
    durations: Arc<[f64]>,
    sizes: Arc<[f64]>,
    others: Arc<[f64]>,
}

/// The boundaries that series with this label have in addition to those of their metric.
#[derive(Clone, Debug)]
pub(crate) struct SeriesBuckets {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) boundaries: Vec<f64>,
}

impl Buckets {
    /// Returns an error if boundaries are empty, not finite or not ascending. If a name is given twice, the later
    /// boundaries apply. A series has the boundaries of all rules that match it.
    pub(crate) fn new(
        custom: Vec<(String, Vec<f64>)>,
        series: Vec<(String, SeriesBuckets)>,
    ) -> Result<Self, InstallError> {
        let mut by_metric: HashMap<String, Vec<SeriesBuckets>> = HashMap::new();
        for (metric, mut buckets) in series {
            if !are_valid(&buckets.boundaries) {
                return Err(InstallError::Buckets { metric });
            }
            buckets.label = label_name(&buckets.label).into_owned();
            let metric = metric_name(&metric).into_owned();
            by_metric.entry(metric).or_default().push(buckets);
        }
        let custom = custom.into_iter().map(|(metric, boundaries)| {
            if are_valid(&boundaries) {
                Ok((metric_name(&metric).into_owned(), boundaries.into()))
            } else {
                Err(InstallError::Buckets { metric })
            }
        });
        Ok(Self {
            custom: custom.collect::<Result<_, _>>()?,
            series: by_metric,
            durations: DURATION_BOUNDARIES.into(),
            sizes: BODY_SIZE_BOUNDARIES.into(),
            others: OTHER_BOUNDARIES.into(),
        })
    }

    /// Returns the boundaries of a series of the histogram with this rendered name.
    pub(crate) fn boundaries_of<'a>(
        &self,
        name: &str,
        labels: impl Iterator<Item = &'a Label> + Clone,
    ) -> Arc<[f64]> {
        let common = self.boundaries(name);
        let series = self.series.get(name).into_iter().flatten();
        let own: Vec<f64> = series
            .filter(|series| has_label(labels.clone(), &series.label, &series.value))
            .flat_map(|series| &series.boundaries)
            .copied()
            .collect();
        if own.is_empty() {
            return Arc::clone(common);
        }
        let mut all = [common, &own[..]].concat();
        all.sort_unstable_by(f64::total_cmp);
        all.dedup();
        all.into()
    }

    /// Returns the boundaries that all series of the histogram with this rendered name have.
    fn boundaries(&self, name: &str) -> &Arc<[f64]> {
        let by_suffix = || match name {
            name if name.ends_with(DURATION_SUFFIX) => &self.durations,
            name if name.ends_with(SIZE_SUFFIX) => &self.sizes,
            _ => &self.others,
        };
        self.custom.get(name).unwrap_or_else(by_suffix)
    }
}

/// Returns whether boundaries are not empty, finite and ascending. `+Inf` is added when rendering.
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
            let error = Buckets::new(vec![("x".to_owned(), boundaries.to_vec())], Vec::new())
                .err()
                .expect("an error");
            assert!(matches!(&error, InstallError::Buckets { metric } if metric == "x"));
            assert!(error.to_string().contains("`x`"));
        }
    }

    #[test]
    fn a_series_has_the_boundaries_of_all_its_labels_and_those_of_the_metric() {
        let series = |metric: &str, label: &str, value: &str, boundaries: &[f64]| {
            let buckets = SeriesBuckets {
                label: label.to_owned(),
                value: value.to_owned(),
                boundaries: boundaries.to_vec(),
            };
            (metric.to_owned(), buckets)
        };
        let custom = vec![("a.size".to_owned(), vec![1.0, 2.0])];
        let rules = vec![
            series("a_size", "http.route", "/a", &[0.5, 1.0, 3.0]),
            series("a.size", "method", "GET", &[1.5, 3.0]),
            series("other", "http_route", "/a", &[7.0]),
        ];
        let buckets = Buckets::new(custom, rules).unwrap();
        type Labels<'a> = &'a [(&'a str, &'a str)];
        let cases: [(Labels<'_>, &[f64]); 5] = [
            (&[], &[1.0, 2.0]),
            (&[("http_route", "/b"), ("method", "PUT")], &[1.0, 2.0]),
            (&[("method", "/a")], &[1.0, 2.0]),
            (&[("http_route", "/a")], &[0.5, 1.0, 2.0, 3.0]),
            (
                &[("method", "GET"), ("http.route", "/a")],
                &[0.5, 1.0, 1.5, 2.0, 3.0],
            ),
        ];
        for (labels, expected) in cases {
            let labels: Vec<_> = labels
                .iter()
                .map(|(key, value)| Label::new((*key).to_owned(), (*value).to_owned()))
                .collect();
            let boundaries = buckets.boundaries_of("a_size", labels.iter());
            assert_eq!(&boundaries[..], expected, "{labels:?}");
        }
        let invalid = vec![series("a_size", "http_route", "/a", &[2.0, 1.0])];
        let error = Buckets::new(Vec::new(), invalid).err().expect("an error");
        assert!(error.to_string().contains("`a_size`"), "{error}");
    }

    #[test]
    fn boundaries_are_custom_or_by_suffix_or_those_of_the_sdks() {
        let custom = |boundaries: &[f64]| ("my.size".to_owned(), boundaries.to_vec());
        let buckets = Buckets::new(vec![custom(&[1.0]), custom(&[1.0, 2.0])], Vec::new()).unwrap();
        let cases: [(&str, &[f64]); 6] = [
            ("my_size", &[1.0, 2.0]),
            ("my.size", &OTHER_BOUNDARIES),
            ("a_duration_seconds", &DURATION_BOUNDARIES),
            ("lag_seconds", &DURATION_BOUNDARIES),
            ("body_bytes", &BODY_SIZE_BOUNDARIES),
            ("seconds_more", &OTHER_BOUNDARIES),
        ];
        for (name, boundaries) in cases {
            assert_eq!(&buckets.boundaries(name)[..], boundaries, "{name}");
        }
    }
}
