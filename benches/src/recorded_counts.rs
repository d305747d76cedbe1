//! How much was recorded by this process, so that nobody is cheap by doing nothing.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

static SPANS: AtomicU64 = AtomicU64::new(0);

type Count = Box<dyn Fn() -> u64 + Send>;

static SAMPLES: Mutex<Option<Count>> = Mutex::new(None);

/// So many spans came to an exporter.
pub fn exported(spans: usize) {
    SPANS.fetch_add(spans as u64, Relaxed);
}

/// Who knows how many values are in all histograms.
pub fn samples_by(count: impl Fn() -> u64 + Send + 'static) {
    *SAMPLES.lock().unwrap() = Some(Box::new(count));
}

/// The values in all histograms of a page for Prometheus.
pub fn samples_of(page: &str) -> u64 {
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        name.ends_with("_count")
            .then(|| value.parse::<u64>().ok())?
    };
    page.lines().filter_map(value).sum()
}

/// Spans that were exported so far.
pub fn spans() -> u64 {
    SPANS.load(Relaxed)
}

/// Values in histograms so far.
pub fn samples() -> u64 {
    let samples = SAMPLES.lock().unwrap();
    samples.as_ref().map(|count| count()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_histograms_hold_is_counted_and_nothing_else() {
        let page = "# TYPE took histogram\n\
                    took_bucket{route=\"/a b\",le=\"1\"} 2\n\
                    took_sum{route=\"/a b\"} 0.5\n\
                    took_count{route=\"/a b\"} 3\n\
                    took_count 4\n\
                    served_total{route=\"/\"} 9\n";
        assert_eq!(samples_of(page), 7);
    }
}
