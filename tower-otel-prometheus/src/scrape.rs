//! Renders metrics in pieces of bounded size.

use std::sync::Arc;

use crate::{
    counter::AtomicCounter,
    format::Format,
    gauge::AtomicGauge,
    labels::parse_labels,
    protobuf::{self, MetricType},
    registry::Registry,
    table::{Page, Position, SeriesTable},
    text::{Dialect, Float, TextWriter},
};

/// The minimum size of a piece, in bytes. The last piece may be smaller.
const PIECE_SIZE: usize = 16 * 1024;

/// The maximum number of series of a counter or gauge that are read at once, and are in one protobuf message.
const VALUES_PER_PAGE: usize = 64;

/// The maximum number of series of a histogram that are read at once, and are in one protobuf message.
const HISTOGRAMS_PER_PAGE: usize = 8;

/// A render in progress. Between two pieces it holds neither a lock nor a copy of the metrics.
pub(crate) struct Scrape {
    registry: Arc<Registry>,
    format: Format,
    stage: Stage,
    /// Where the stage continues.
    position: Option<Position>,
}

/// The metrics that are rendered next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Counters,
    Gauges,
    Histograms,
    Done,
}

impl Scrape {
    pub(crate) const fn new(registry: Arc<Registry>, format: Format) -> Self {
        Self {
            registry,
            format,
            stage: Stage::Counters,
            position: None,
        }
    }

    /// Renders the next piece, or returns `None` at the end.
    pub(crate) fn next_piece(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        while self.stage != Stage::Done && out.len() < PIECE_SIZE {
            self.render_page(&mut out);
        }
        (!out.is_empty()).then_some(out)
    }

    fn render_page(&mut self, out: &mut Vec<u8>) {
        let registry = Arc::clone(&self.registry);
        let format = self.format;
        match self.stage {
            Stage::Counters => {
                if let Some(page) = self.next_page(&registry.counters, VALUES_PER_PAGE) {
                    write_counters(out, format, &registry, &page);
                }
            }
            Stage::Gauges => {
                if let Some(page) = self.next_page(&registry.gauges, VALUES_PER_PAGE) {
                    write_gauges(out, format, &page);
                }
            }
            Stage::Histograms => {
                if let Some(page) = self.next_page(&registry.histograms, HISTOGRAMS_PER_PAGE) {
                    write_histograms(out, format, &page);
                } else if format == Format::OpenMetrics {
                    out.extend(b"# EOF\n");
                }
            }
            Stage::Done => {}
        }
    }

    /// Returns the next page of a table, or proceeds to the next stage.
    fn next_page<S>(&mut self, table: &SeriesTable<S>, length: usize) -> Option<Page<S>> {
        let page = table.page(self.position.as_ref(), length);
        match &page {
            Some(page) => self.position = page.end(),
            None => {
                self.position = None;
                self.stage = match self.stage {
                    Stage::Counters => Stage::Gauges,
                    Stage::Gauges => Stage::Histograms,
                    Stage::Histograms | Stage::Done => Stage::Done,
                };
            }
        }
        page
    }
}

fn write_counters(
    out: &mut Vec<u8>,
    format: Format,
    registry: &Registry,
    page: &Page<AtomicCounter>,
) {
    let name = &*page.name;
    let help = page.help.as_deref();
    let Some(mut text) = TextWriter::new(out, format) else {
        let series = page.series();
        let series = series.map(|(labels, counter)| (parse_labels(labels), counter.value() as f64));
        protobuf::write_values(out, name, help, MetricType::Counter, series);
        return;
    };
    if page.is_first {
        match counter_family(name, registry) {
            Some(family) if text.dialect == Dialect::OpenMetrics => {
                text.head(family, help, "counter");
            }
            None if text.dialect == Dialect::OpenMetrics => text.head(name, help, "unknown"),
            _ => text.head(name, help, "counter"),
        }
    }
    for (labels, counter) in page.series() {
        text.value(name, labels, counter.value());
    }
}

/// Returns the name without `_total`, under which OpenMetrics describes a counter. Returns `None` if the name does not
/// end in `_total`, or if another metric uses the shorter name or that name with `_created`; the type is then `unknown`.
fn counter_family<'a>(name: &'a str, registry: &Registry) -> Option<&'a str> {
    let family = name.strip_suffix("_total")?;
    let is_free = !registry.uses_name(family) && !registry.uses_name(&format!("{family}_created"));
    (!family.is_empty() && is_free).then_some(family)
}

fn write_gauges(out: &mut Vec<u8>, format: Format, page: &Page<AtomicGauge>) {
    let (name, help) = (&*page.name, page.help.as_deref());
    let Some(mut text) = TextWriter::new(out, format) else {
        let series = page.series();
        let series = series.map(|(labels, gauge)| (parse_labels(labels), gauge.value()));
        protobuf::write_values(out, name, help, MetricType::Gauge, series);
        return;
    };
    if page.is_first {
        text.head(name, help, "gauge");
    }
    for (labels, gauge) in page.series() {
        text.value(name, labels, Float(gauge.value()));
    }
}

fn write_histograms(
    out: &mut Vec<u8>,
    format: Format,
    page: &Page<crate::histogram::AtomicHistogram>,
) {
    let (name, help) = (&*page.name, page.help.as_deref());
    let Some(mut text) = TextWriter::new(out, format) else {
        let series = page.series();
        let series = series.map(|(labels, histogram)| (parse_labels(labels), histogram));
        protobuf::write_histogram(out, name, help, series);
        return;
    };
    if page.is_first {
        text.head(name, help, "histogram");
    }
    for (labels, histogram) in page.series() {
        text.histogram(name, labels, histogram);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use metrics::HistogramFn;

    use super::*;
    use crate::{buckets::Buckets, exemplar::ExportedSpan, histogram::AtomicHistogram};

    /// Returns 1,000 histograms with labels of 64 bytes. Each bucket has samples and an exemplar.
    fn histograms() -> Arc<Registry> {
        let span = || {
            Some(ExportedSpan {
                trace_id: [0xab; 16],
                span_id: [0x01; 8],
            })
        };
        let buckets = Buckets::new(Vec::new(), Vec::new()).unwrap();
        let registry = Registry::new(buckets, true, Some(span));
        for n in 0..1_000 {
            let label = metrics::Label::new("path", format!("{n:064}"));
            let key = metrics::Key::from_parts("http_request_duration_seconds", vec![label]);
            let histogram = registry.histogram(&key);
            // Each sample is in a different native bucket.
            for exponent in -80..80 {
                let value = (f64::from(exponent) / 8.0).exp2();
                // The method of the histogram, because that of `Arc` records samples one by one.
                AtomicHistogram::record_many(&histogram, value, 1_000_000);
            }
        }
        Arc::new(registry)
    }

    #[test]
    fn pieces_with_exemplars_and_native_histograms_are_bounded() {
        let registry = histograms();
        for format in [Format::Text, Format::OpenMetrics, Format::Protobuf] {
            let mut scrape = Scrape::new(Arc::clone(&registry), format);
            let pieces = std::iter::from_fn(|| scrape.next_piece());
            let longest = pieces.map(|piece| piece.len()).max().unwrap();
            assert!(longest < 32 * 1024, "{format:?}: {longest}");
        }
    }
}
