//! Counts the exported spans and the samples of this process, to check that every arm records.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering::Relaxed},
};

static SPANS: AtomicU64 = AtomicU64::new(0);

type Count = Box<dyn Fn() -> u64 + Send>;

static SAMPLES: Mutex<Option<Count>> = Mutex::new(None);

/// Adds exported spans.
pub fn add_spans(spans: usize) {
    SPANS.fetch_add(spans as u64, Relaxed);
}

/// Sets the function that counts the samples of all histograms.
pub fn set_sample_counter(count: impl Fn() -> u64 + Send + 'static) {
    *SAMPLES.lock().unwrap() = Some(Box::new(count));
}

/// Returns the number of samples in all histograms of a Prometheus page.
pub fn samples_in_page(page: &str) -> u64 {
    let value = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let name = series.split('{').next()?;
        name.ends_with("_count")
            .then(|| value.parse::<u64>().ok())?
    };
    page.lines().filter_map(value).sum()
}

/// Returns the number of exported spans.
pub fn spans() -> u64 {
    SPANS.load(Relaxed)
}

/// Returns the number of samples in histograms.
pub fn samples() -> u64 {
    let samples = SAMPLES.lock().unwrap();
    samples.as_ref().map(|count| count()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_samples_of_histograms_are_counted() {
        let page = "# TYPE took histogram\n\
                    took_bucket{route=\"/a b\",le=\"1\"} 2\n\
                    took_sum{route=\"/a b\"} 0.5\n\
                    took_count{route=\"/a b\"} 3\n\
                    took_count 4\n\
                    served_total{route=\"/\"} 9\n";
        assert_eq!(samples_in_page(page), 7);
    }
}
