//! Both exporters of `tracing` spans, and what of their spans is compared.

use std::{collections::HashMap, time::Duration};

use opentelemetry::{
    Context, KeyValue, SpanId,
    trace::{SpanContext, Status, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use std::sync::{Arc, Mutex};
use tower_otel_recorder::{Recorder, RecorderSpanExt};
use tracing::{Dispatch, Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{
    Layer,
    layer::{Identity, SubscriberExt},
};

/// The number of the span of another process.
pub(crate) const REMOTE: u64 = 0xabc;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Exporter {
    Recorder,
    TracingOpenTelemetry,
}

/// A subscriber and what it exports to.
pub(crate) struct Running {
    exporter: Exporter,
    pub(crate) dispatch: Dispatch,
    spans: Memory,
    recorder: Recorder,
    _provider: SdkTracerProvider,
}

#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

/// What a program has exported, with numbers of spans in place of ids.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    spans: Vec<ExportedSpan>,
    seen: Vec<Seen<String>>,
}

/// What the program itself has seen.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen<I> {
    /// The span that is current in the OpenTelemetry context, after a step.
    Current {
        step: usize,
        span: I,
    },
    SetParent {
        set_parent: bool,
    },
}

#[derive(Debug, PartialEq)]
struct ExportedSpan {
    number: i64,
    name: String,
    kind: String,
    parent: Option<String>,
    parent_is_remote: bool,
    has_trace_of_parent: bool,
    status: &'static str,
    attributes: Vec<String>,
    events: Vec<String>,
    links: Vec<String>,
}

impl Exporter {
    pub(crate) fn start(self, filter: LevelFilter) -> Running {
        let spans = Memory::default();
        let recorder = Recorder::builder(spans.clone()).build().unwrap();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        let registry = tracing_subscriber::registry();
        let dispatch = match self {
            Self::Recorder => {
                let layer = recorder.layer().events(LevelFilter::TRACE);
                registry
                    .with(layer.with_filter(filter))
                    .with(Identity::new())
                    .into()
            }
            Self::TracingOpenTelemetry => {
                let layer = tracing_opentelemetry::layer()
                    .with_tracer(provider.tracer("differential"))
                    .with_threads(false)
                    .with_tracked_inactivity(false);
                registry
                    .with(layer.with_filter(filter))
                    .with(Identity::new())
                    .into()
            }
        };
        Running {
            exporter: self,
            dispatch,
            spans,
            recorder,
            _provider: provider,
        }
    }
}

impl Running {
    pub(crate) fn set_parent(&self, span: &Span, parent: Context) -> bool {
        match self.exporter {
            Exporter::Recorder => RecorderSpanExt::set_parent(span, parent).is_ok(),
            Exporter::TracingOpenTelemetry => {
                OpenTelemetrySpanExt::set_parent(span, parent).is_ok()
            }
        }
    }

    pub(crate) fn finish(self, seen: Vec<Seen<SpanId>>) -> Outcome {
        self.recorder.flush(Duration::from_secs(20)).unwrap();
        let spans = self.spans.0.lock().unwrap().clone();
        let number = |span: &SpanData| {
            let mut attributes = span.attributes.iter();
            let number = attributes.find(|attribute| attribute.key.as_str() == "number");
            number.unwrap().value.to_string()
        };
        let mut names: HashMap<_, _> = spans
            .iter()
            .map(|span| (span.span_context.span_id(), number(span)))
            .collect();
        names.insert(SpanId::INVALID, "none".to_owned());
        names.insert(SpanId::from(REMOTE), "remote".to_owned());
        let name = |id: SpanId| {
            names
                .get(&id)
                .cloned()
                .unwrap_or_else(|| "unknown".to_owned())
        };
        let traces: HashMap<_, _> = spans
            .iter()
            .map(|span| (span.span_context.span_id(), span.span_context.trace_id()))
            .collect();
        let mut exported: Vec<_> = spans
            .iter()
            .map(|span| {
                assert!(span.start_time <= span.end_time);
                let parent = span.parent_span_id;
                ExportedSpan {
                    number: number(span).parse().unwrap(),
                    name: span.name.to_string(),
                    kind: format!("{:?}", span.span_kind),
                    parent: (parent != SpanId::INVALID).then(|| name(parent)),
                    parent_is_remote: span.parent_span_is_remote,
                    has_trace_of_parent: traces
                        .get(&parent)
                        .is_none_or(|trace| *trace == span.span_context.trace_id()),
                    status: match span.status {
                        Status::Unset => "Unset",
                        Status::Ok => "Ok",
                        Status::Error { .. } => "Error",
                    },
                    attributes: attributes(&span.attributes),
                    events: span
                        .events
                        .iter()
                        .map(|event| {
                            let attributes = attributes(&event.attributes).join(" ");
                            format!("event {} {attributes}", event.name)
                        })
                        .collect(),
                    links: span
                        .links
                        .iter()
                        .map(|link| format!("link to {}", link_name(&link.span_context, &name)))
                        .collect(),
                }
            })
            .collect();
        for span in &mut exported {
            // The time of an event has the precision of the clock; links have no time.
            span.events
                .sort_by_key(|event| event.starts_with("event api"));
            span.links
                .sort_by_key(|link| link.starts_with("link to remote"));
        }
        exported.sort_by_key(|span| span.number);
        let seen = seen.into_iter().map(|seen| match seen {
            Seen::Current { step, span } => Seen::Current {
                step,
                span: name(span),
            },
            Seen::SetParent { set_parent } => Seen::SetParent { set_parent },
        });
        Outcome {
            spans: exported,
            seen: seen.collect(),
        }
    }
}

fn link_name(link: &SpanContext, name: &impl Fn(SpanId) -> String) -> String {
    format!("{} sampled={}", name(link.span_id()), link.is_sampled())
}

/// The attributes as text, sorted, without the one that only tracing-opentelemetry has.
fn attributes(attributes: &[KeyValue]) -> Vec<String> {
    let mut attributes: Vec<_> = attributes
        .iter()
        .filter(|attribute| attribute.key.as_str() != "code.module.name")
        .map(|attribute| format!("{}={}", attribute.key, attribute.value))
        .collect();
    attributes.sort();
    attributes
}
