//! The instruments of metrics about spans and log records.

use opentelemetry_semantic_conventions::metric;

use crate::item_counts::ItemCounts;

/// A metric of one component.
#[derive(Clone, Copy)]
pub(crate) struct Instrument {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) component: Component,
    pub(crate) values: Values,
}

/// The component that a metric describes.
#[derive(Clone, Copy)]
pub(crate) enum Component {
    /// A processor of this type.
    Processor(&'static str),
    /// An exporter. Its type is the protocol, followed by this text.
    Exporter(&'static str),
}

impl Component {
    /// Returns the `otel.component.type`.
    pub(crate) fn name(self, protocol: &str) -> String {
        match self {
            Self::Processor(name) => name.to_owned(),
            Self::Exporter(signal) => format!("{protocol}_{signal}"),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Values {
    /// Counts by `error.type`, which is empty for success.
    Counter(fn(ItemCounts) -> Vec<(&'static str, u64)>),
    Gauge(fn(ItemCounts) -> u64),
}

const PROCESSED: Values = Values::Counter(|counts| {
    let ItemCounts {
        delivered, dropped, ..
    } = counts;
    let given = delivered + dropped.export_failed + dropped.rejected;
    vec![
        ("", given),
        ("queue_full", dropped.queue_full),
        ("already_shutdown", dropped.shutdown),
    ]
});

const PROCESSED_SPANS: Values = Values::Counter(|counts| {
    let mut values = match PROCESSED {
        Values::Counter(processed) => processed(counts),
        Values::Gauge(_) => Vec::new(),
    };
    values.push(("not_held", counts.not_held));
    values.push(("keep_limited", counts.keep_limited));
    values
});

const EXPORTED: Values = Values::Counter(|counts| {
    let ItemCounts {
        delivered, dropped, ..
    } = counts;
    vec![
        ("", delivered),
        ("export_failed", dropped.export_failed),
        ("rejected", dropped.rejected),
    ]
});

const QUEUED: Values = Values::Gauge(|counts| counts.queued);
const EXPORTING: Values = Values::Gauge(|counts| counts.exporting);

pub(crate) fn span_instruments() -> [Instrument; 4] {
    let unit = "{span}";
    let processor = Component::Processor("batching_span_processor");
    let exporter = Component::Exporter("span_exporter");
    [
        Instrument {
            name: metric::OTEL_SDK_PROCESSOR_SPAN_PROCESSED,
            description: "The number of spans that were given to the exporter, or dropped before.",
            unit,
            component: processor,
            values: PROCESSED_SPANS,
        },
        Instrument {
            name: metric::OTEL_SDK_EXPORTER_SPAN_EXPORTED,
            description: "The number of spans that were delivered, or lost in an export.",
            unit,
            component: exporter,
            values: EXPORTED,
        },
        Instrument {
            name: metric::OTEL_SDK_PROCESSOR_SPAN_QUEUE_SIZE,
            description: "The number of spans that wait for their export.",
            unit,
            component: processor,
            values: QUEUED,
        },
        Instrument {
            name: metric::OTEL_SDK_EXPORTER_SPAN_INFLIGHT,
            description: "The number of spans that are being exported.",
            unit,
            component: exporter,
            values: EXPORTING,
        },
    ]
}

pub(crate) fn log_record_instruments() -> [Instrument; 4] {
    let unit = "{log_record}";
    let processor = Component::Processor("batching_log_processor");
    let exporter = Component::Exporter("log_exporter");
    [
        Instrument {
            name: metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED,
            description: "The number of log records that were given to the exporter, or dropped before.",
            unit,
            component: processor,
            values: PROCESSED,
        },
        Instrument {
            name: metric::OTEL_SDK_EXPORTER_LOG_EXPORTED,
            description: "The number of log records that were delivered, or lost in an export.",
            unit,
            component: exporter,
            values: EXPORTED,
        },
        Instrument {
            name: metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE,
            description: "The number of log records that wait for their export.",
            unit,
            component: processor,
            values: QUEUED,
        },
        Instrument {
            name: metric::OTEL_SDK_EXPORTER_LOG_INFLIGHT,
            description: "The number of log records that are being exported.",
            unit,
            component: exporter,
            values: EXPORTING,
        },
    ]
}
