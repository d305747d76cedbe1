use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder as ExporterBuilder;

use crate::buckets::Buckets;
use crate::registry::Registry;
use crate::upkeep::Upkeep;
use crate::{error::InstallError, prometheus::Prometheus, recorder::Recorder};

/// Below this the upkeep would do nothing but upkeep.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Configures a [`Recorder`] and installs it.
///
/// ```
/// use std::time::Duration;
/// use tower_otel_prometheus::Prometheus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prometheus = Prometheus::builder()
///     .buckets("db_query_duration_seconds", [0.001, 0.01, 0.1, 1.0])
///     .buckets("http_server_response_body_size_bytes", [1e3, 1e4, 1e5, 1e6])
///     .upkeep(Duration::from_secs(1))
///     .install()?;
/// # drop(prometheus);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is recorded before `install` or `build`"]
pub struct PrometheusBuilder {
    buckets: Vec<(String, Vec<f64>)>,
    upkeep: Duration,
    native: bool,
}

impl Default for PrometheusBuilder {
    fn default() -> Self {
        Self {
            buckets: Vec::new(),
            upkeep: Duration::from_secs(5),
            native: false,
        }
    }
}

impl PrometheusBuilder {
    /// Gives the histogram of exactly this name its own buckets: finite upper boundaries in
    /// ascending order; `+Inf` comes by itself. Given twice, the later ones hold.
    pub fn buckets(
        mut self,
        metric: impl Into<String>,
        boundaries: impl IntoIterator<Item = f64>,
    ) -> Self {
        self.buckets
            .push((metric.into(), boundaries.into_iter().collect()));
        self
    }

    /// Counts every histogram with buckets in native ones too, and answers a scrape that prefers
    /// protobuf in it. Off by default.
    ///
    /// They are exponential, eight for each doubling, so that quantiles are right within five
    /// percent without a choice of boundaries; they reach a thousandfold beyond these. A series takes
    /// two kilobytes more, and no more than that. The text format has no native histograms and stays
    /// as it is.
    pub fn native_histograms(mut self) -> Self {
        self.native = true;
        self
    }

    /// How often the samples of histograms without buckets are sorted into their summaries, at least
    /// a millisecond apart; every five seconds unless told.
    ///
    /// Until then such a sample takes 16 bytes, so at ten thousand a second five seconds hold
    /// under a megabyte. Histograms with buckets need none of this. A plain thread does it, for as long as the [`Recorder`] or a
    /// [`Prometheus`] lives, which for an installed recorder is as long as the process. It does
    /// not keep the process from exiting.
    pub fn upkeep(mut self, interval: Duration) -> Self {
        self.upkeep = interval;
        self
    }

    /// Makes the recorder the global one, which everything in this process records to.
    ///
    /// Install it before the layers see their first request: what ended earlier was not counted,
    /// and a handle that somebody else has taken without a recorder stays mute.
    ///
    /// # Errors
    ///
    /// If a recorder is already installed, a metric was given boundaries that are no buckets, or
    /// the upkeep thread cannot be started.
    pub fn install(self) -> Result<Prometheus, InstallError> {
        let (recorder, prometheus) = self.build()?;
        metrics::set_global_recorder(recorder).map_err(|_| InstallError::AlreadyInstalled)?;
        Ok(prometheus)
    }

    /// Makes the recorder without installing it.
    ///
    /// # Errors
    ///
    /// If a metric was given boundaries that are no buckets, or the upkeep thread cannot be
    /// started.
    pub fn build(self) -> Result<(Recorder, Prometheus), InstallError> {
        let registry = Arc::new(Registry::new(Buckets::new(self.buckets)?, self.native));
        let recorder = ExporterBuilder::new().build_recorder();
        let handle = recorder.handle();
        let kept_up = handle.clone();
        let interval = self.upkeep.max(SHORTEST_INTERVAL);
        let upkeep = Upkeep::start(interval, move || kept_up.run_upkeep());
        let upkeep = Arc::new(upkeep.map_err(InstallError::Upkeep)?);
        Ok((
            Recorder::new(recorder, Arc::clone(&registry), Arc::clone(&upkeep)),
            Prometheus {
                handle,
                registry,
                _upkeep: upkeep,
            },
        ))
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
    use std::thread;
    use std::time::Instant;

    use metrics::{Unit, with_local_recorder};

    use super::*;
    use tower_otel_semconv::metric::DURATION_BOUNDARIES;

    const LONG: Duration = Duration::from_secs(60);

    fn sample(text: &str, series: &str) -> Option<f64> {
        text.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .map(|value| value.parse().unwrap())
    }

    /// The samples the exporter has sorted by now, read without making it sort.
    fn sorted(prometheus: &Prometheus, count: u64) -> bool {
        let state = format!("{:?}", prometheus.handle);
        state.contains(&format!("max_bucket_duration: 60s, count: {count} }}"))
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
    fn a_name_with_buckets_of_its_own_keeps_to_them() {
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
    fn names_are_rendered_as_they_were_recorded_whatever_their_unit() {
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
    fn samples_are_sorted_while_nobody_scrapes() {
        let (recorder, prometheus) = Prometheus::builder()
            .upkeep(Duration::ZERO)
            .build()
            .unwrap();
        with_local_recorder(&recorder, || {
            let histogram = metrics::histogram!("a_summary");
            (0..1000).for_each(|_| histogram.record(0.1));
        });
        let deadline = Instant::now() + LONG;
        while !sorted(&prometheus, 1000) {
            assert!(Instant::now() < deadline, "{:?}", prometheus.handle);
            thread::yield_now();
        }
    }

    #[test]
    fn without_upkeep_samples_pile_up_until_a_scrape() {
        let (recorder, prometheus) = Prometheus::builder().upkeep(LONG * 60).build().unwrap();
        with_local_recorder(&recorder, || metrics::histogram!("a_summary").record(0.1));
        assert!(!sorted(&prometheus, 1));
        let _ = prometheus.render();
        assert!(sorted(&prometheus, 1));
    }

    #[test]
    fn upkeep_lasts_as_long_as_the_recorder_or_a_handle() {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        let upkeep = Arc::downgrade(&prometheus._upkeep);
        let service = prometheus.service();
        drop(prometheus);
        drop(service);
        assert!(upkeep.upgrade().is_some(), "the recorder still records");
        drop(recorder);
        assert!(upkeep.upgrade().is_none());
    }

    #[test]
    fn a_second_global_recorder_is_refused_by_name() {
        let first = Prometheus::install().unwrap();
        metrics::counter!("kept_total").increment(1);
        let error = Prometheus::install().unwrap_err();
        assert!(matches!(error, InstallError::AlreadyInstalled));
        assert!(error.to_string().contains("already installed"));
        assert_eq!(sample(&first.render(), "kept_total"), Some(1.0));
    }
}
