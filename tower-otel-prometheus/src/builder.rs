//! Configures and installs a recorder.

use std::{fmt, sync::Arc};

use metrics::Recorder;

use crate::{
    buckets::{Buckets, SeriesBuckets},
    error::InstallError,
    exemplar::SpanSource,
    prometheus::Prometheus,
    recorder::PrometheusRecorder,
    registry::Registry,
};

impl Prometheus {
    /// Returns a builder with the default configuration.
    pub fn builder() -> PrometheusBuilder {
        PrometheusBuilder::new()
    }
}

/// Configures a recorder for the [`metrics`] facade and installs it.
///
/// Default: bucket boundaries by the name of the histogram, no native histograms, no exemplars.
///
/// ```
/// use tower_otel_prometheus::Prometheus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prometheus = Prometheus::builder()
///     .buckets("db_query_duration_seconds", [0.001, 0.01, 0.1, 1.0])
///     .buckets("http_server_response_body_size_bytes", [1e3, 1e4, 1e5, 1e6])
///     .install()?;
/// # drop(prometheus);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is recorded before `install` or `build`"]
pub struct PrometheusBuilder {
    buckets: Vec<(String, Vec<f64>)>,
    series_buckets: Vec<(String, SeriesBuckets)>,
    native_histograms: bool,
    spans: Option<SpanSource>,
}

impl PrometheusBuilder {
    const fn new() -> Self {
        Self {
            buckets: Vec::new(),
            series_buckets: Vec::new(),
            native_histograms: false,
            spans: None,
        }
    }

    /// Sets the bucket boundaries of the histogram with this name, in the unit of its samples.
    ///
    /// Boundaries are inclusive upper bounds. `+Inf` is added. The name is the complete name of the metric, not a
    /// prefix. It is compared as rendered, so `a.b` and `a_b` are equal. If a name is given twice, the later boundaries apply.
    ///
    /// Default: the duration boundaries for `*_seconds`, the body size boundaries for `*_bytes`, and for
    /// other names the defaults of the OpenTelemetry SDKs: 0, 5, 10, 25, 50, 75, 100, 250, 500, 750,
    /// 1000, 2500, 5000, 7500 and 10000. See [the table](crate#defaults).
    ///
    /// [`install`](Self::install) and [`build`](Self::build) return [`InstallError::Buckets`] if the boundaries
    /// are empty, not finite or not in ascending order.
    pub fn buckets(
        mut self,
        metric: impl Into<String>,
        boundaries: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.buckets
            .push((metric.into(), boundaries.into_iter().collect()));
        self
    }

    /// Adds bucket boundaries to the series of a histogram that have a label with this value. Default: none.
    ///
    /// Use it for the latency objective of a route: with a boundary at the objective, the share of requests within it is
    /// exact. The series also have the boundaries of the metric, so sums over routes are exact at those boundaries:
    ///
    /// ```
    /// use tower_otel_prometheus::Prometheus;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prometheus = Prometheus::builder()
    ///     .series_buckets("http_request_duration_seconds", ("path", "/search"), [0.3])
    ///     .install()?;
    /// # drop(prometheus);
    /// # Ok(())
    /// # }
    /// //   sum(rate(http_request_duration_seconds_bucket{path="/search",le="0.3"}[5m]))
    /// // / sum(rate(http_request_duration_seconds_count{path="/search"}[5m]))
    /// ```
    ///
    /// Calculate quantiles per route, with `sum by (le, path)`. A sum over all routes is too low at a boundary that only some
    /// routes have. If several calls match a series, it has the boundaries of all of them. Names and boundaries follow the rules
    /// of [`buckets`](Self::buckets).
    pub fn series_buckets(
        mut self,
        metric: impl Into<String>,
        (label, value): (impl Into<String>, impl Into<String>),
        boundaries: impl IntoIterator<Item = f64>,
    ) -> Self {
        let buckets = SeriesBuckets {
            label: label.into(),
            value: value.into(),
            boundaries: boundaries.into_iter().collect(),
        };
        self.series_buckets.push((metric.into(), buckets));
        self
    }

    /// Adds native buckets to all histograms. Default: off.
    ///
    /// The service then responds in protobuf if a scrape prefers it. The text formats do not contain native
    /// buckets. Native buckets are exponential, eight per doubling, so quantiles are accurate within five percent
    /// for any boundaries. They reach from a thousandth of the lowest positive boundary to a thousand times
    /// the highest one. They use about two kilobytes per series for the default boundaries of durations, and at
    /// most eight for others.
    ///
    /// See [native histograms](https://prometheus.io/docs/specs/native_histograms/).
    pub fn native_histograms(mut self) -> Self {
        self.native_histograms = true;
        self
    }

    /// Adds exemplars to all histograms: the trace id and span id of one sample per bucket. Default: off.
    ///
    /// A sample can be an exemplar if the current OpenTelemetry span is sampled and was started in this process. Each
    /// bucket stores the first such sample after each scrape. The layers of `tower-otel-metrics` record
    /// inside the span of an outer `TraceLayer`. OpenMetrics and protobuf contain exemplars; the text format does
    /// not. Exemplars use about 60 bytes per bucket. Prometheus stores exemplars if it is started with
    /// `--enable-feature=exemplar-storage`.
    ///
    /// See [exemplars](https://prometheus.io/docs/specs/om/open_metrics_spec/#exemplars) in OpenMetrics.
    #[cfg(feature = "opentelemetry")]
    pub fn exemplars(mut self) -> Self {
        self.spans = Some(crate::current_span::exported_span);
        self
    }

    /// Installs the recorder as the global recorder of the process.
    ///
    /// Install it before the first metric is recorded: a handle that was created without a recorder never
    /// records.
    ///
    /// ```
    /// use tower_otel_prometheus::Prometheus;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prometheus = Prometheus::builder().install()?;
    /// metrics::gauge!("websocket_connections").increment(1);
    /// assert!(prometheus.render().contains("websocket_connections 1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InstallError::AlreadyInstalled`] if the process already has a global recorder, and
    /// [`InstallError::Buckets`] if bucket boundaries are not valid.
    pub fn install(self) -> Result<Prometheus, InstallError> {
        let (recorder, prometheus) = self.build()?;
        metrics::set_global_recorder(recorder).map_err(|_| InstallError::AlreadyInstalled)?;
        Ok(prometheus)
    }

    /// Returns the recorder without installing it, and the handle that renders its metrics. Use it to combine recorders, or to
    /// record one thread only.
    ///
    /// ```
    /// use tower_otel_prometheus::Prometheus;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (recorder, prometheus) = Prometheus::builder().build()?;
    /// metrics::with_local_recorder(&recorder, || {
    ///     metrics::counter!("auth_failures_total", "reason" => "expired").increment(1);
    /// });
    /// assert!(prometheus.render().contains("auth_failures_total{reason=\"expired\"} 1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`InstallError::Buckets`] if bucket boundaries are not valid.
    pub fn build(
        self,
    ) -> Result<
        (
            impl Recorder + fmt::Debug + Send + Sync + 'static,
            Prometheus,
        ),
        InstallError,
    > {
        let registry = Arc::new(Registry::new(
            Buckets::new(self.buckets, self.series_buckets)?,
            self.native_histograms,
            self.spans,
        ));
        let recorder = PrometheusRecorder::new(Arc::clone(&registry));
        Ok((recorder, Prometheus::new(registry)))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use metrics::{Unit, with_local_recorder};

    use super::*;
    use tower_otel_semconv::metric::DURATION_BOUNDARIES;

    fn sample(text: &str, series: &str) -> Option<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .map(|value| value.parse().unwrap())
    }

    #[test]
    fn durations_have_the_boundaries_of_the_conventions() {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        let names = [
            "http_request_duration_seconds",
            "http_client_request_duration_seconds",
            "http_server_request_duration_seconds",
            "my_own_duration_seconds",
        ];
        with_local_recorder(&recorder, || {
            for name in names {
                for seconds in [0.001, 0.005, 0.3, 60.0] {
                    metrics::histogram!(name, "method" => "GET").record(seconds);
                }
            }
        });
        let text = prometheus.render();
        for name in names {
            assert!(
                text.contains(&format!("# TYPE {name} histogram\n")),
                "{text}"
            );
            let bucket = |le: &str| {
                sample(
                    &text,
                    &format!("{name}_bucket{{method=\"GET\",le=\"{le}\"}}"),
                )
                .unwrap()
            };
            for (boundary, below) in DURATION_BOUNDARIES.iter().zip([2.0; 7]) {
                assert_eq!(bucket(&boundary.to_string()), below, "{boundary}");
            }
            assert_eq!(
                (bucket("0.5"), bucket("10"), bucket("+Inf")),
                (3.0, 3.0, 4.0)
            );
            assert_eq!(
                sample(&text, &format!("{name}_count{{method=\"GET\"}}")),
                Some(4.0)
            );
            assert_eq!(
                sample(&text, &format!("{name}_sum{{method=\"GET\"}}")),
                Some(60.306)
            );
        }
    }

    #[test]
    fn custom_buckets_replace_the_default_ones() {
        let (recorder, prometheus) = Prometheus::builder()
            .buckets("slow_duration_seconds", [1.0])
            .buckets("slow_duration_seconds", [10.0, 60.0])
            .build()
            .unwrap();
        with_local_recorder(&recorder, || {
            metrics::histogram!("slow_duration_seconds").record(30)
        });
        let buckets: Vec<_> = prometheus
            .render()
            .lines()
            .filter_map(|line| {
                line.strip_prefix("slow_duration_seconds_bucket")
                    .map(str::to_owned)
            })
            .collect();
        assert_eq!(
            buckets,
            ["{le=\"10\"} 0", "{le=\"60\"} 1", "{le=\"+Inf\"} 1"]
        );
    }

    #[test]
    fn the_share_within_an_objective_and_the_sum_over_routes_are_exact() {
        const NAME: &str = "http_request_duration_seconds";
        let (recorder, prometheus) = Prometheus::builder()
            .series_buckets(NAME, ("path", "/search"), [0.3, 1.2])
            .native_histograms()
            .build()
            .unwrap();
        with_local_recorder(&recorder, || {
            for path in ["/search", "/users/{id}"] {
                for seconds in [0.2, 0.28, 0.3, 0.4, 1.1, 1.3] {
                    metrics::histogram!(NAME, "path" => path).record(seconds);
                }
            }
        });
        let text = prometheus.render();
        let bucket = |path: &str, le: &str| {
            sample(
                &text,
                &format!("{NAME}_bucket{{path=\"{path}\",le=\"{le}\"}}"),
            )
        };
        assert_eq!(bucket("/search", "0.3"), Some(3.0));
        assert_eq!(bucket("/search", "1.2"), Some(5.0));
        assert_eq!(bucket("/users/{id}", "0.3"), None);
        for (boundary, count) in [("0.25", 1.0), ("0.5", 4.0), ("2.5", 6.0), ("+Inf", 6.0)] {
            for path in ["/search", "/users/{id}"] {
                assert_eq!(bucket(path, boundary), Some(count), "{path} {boundary}");
            }
        }
    }

    #[test]
    fn names_are_rendered_without_units() {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        with_local_recorder(&recorder, || {
            metrics::describe_counter!("requests", Unit::Count, "Requests.");
            metrics::describe_gauge!("body", Unit::Bytes, "Bodies.");
            metrics::describe_histogram!("a_duration_seconds", Unit::Milliseconds, "Durations.");
            metrics::counter!("requests").increment(3);
            metrics::gauge!("body").set(4);
            metrics::histogram!("a_duration_seconds").record(5);
        });
        let text = prometheus.render();
        let values = [
            "requests",
            "body",
            "a_duration_seconds_sum",
            "a_duration_seconds_count",
        ]
        .map(|series| sample(&text, series));
        assert_eq!(
            values,
            [Some(3.0), Some(4.0), Some(5.0), Some(1.0)],
            "{text}"
        );
        assert!(
            text.contains("# HELP requests Requests.\n# TYPE requests counter\n"),
            "{text}"
        );
    }

    #[test]
    fn metrics_are_updated_before_each_render() {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        let counter = with_local_recorder(&recorder, || metrics::counter!("updates_total"));
        prometheus.before_render(move || counter.increment(1));
        prometheus.before_render(|| panic!("only the first function is called"));
        for renders in [1.0, 2.0] {
            let text = prometheus.clone().render();
            assert_eq!(sample(&text, "updates_total"), Some(renders));
        }
    }

    #[test]
    fn a_second_global_recorder_is_an_error() {
        let first = Prometheus::builder().install().unwrap();
        metrics::counter!("first_total").increment(1);
        let error = Prometheus::builder().install().unwrap_err();
        assert!(matches!(error, InstallError::AlreadyInstalled));
        assert!(error.to_string().contains("already installed"));
        assert_eq!(sample(&first.render(), "first_total"), Some(1.0));
    }
}
