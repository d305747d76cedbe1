//! No text shows a secret, and every public type and setter is covered.

use std::collections::BTreeSet;

use crate::{
    layers::{core, metrics, prometheus, propagate, semconv, trace},
    public_items::{public_types, text_setters},
    telemetry::{init, recorder_types, test_kit},
    texts::{ALLOWED, SECRET, Texts},
};

/// Public types that contain no text: enums, numbers, addresses.
const WITHOUT_TEXT: &str = "
    tower_otel_core::Attempts
    tower_otel_core::LocalAddr
    tower_otel_core::PeerAddr
    tower_otel_core::RouteLayer
    tower_otel_init::DropCounts
    tower_otel_init::MetricsExporter
    tower_otel_init::Protocol
    tower_otel_init::ShutdownError
    tower_otel_init::TracesExporter
    tower_otel_metrics::FacadeMetrics
    tower_otel_metrics::Names
    tower_otel_propagate::BaggagePropagator
    tower_otel_propagate::NoPropagation
    tower_otel_propagate::RemoteParent
    tower_otel_propagate::W3cPropagator
    tower_otel_recorder::SetParentError
    tower_otel_recorder::SpanCounts
    tower_otel_semconv::Endpoint
    tower_otel_semconv::ForwardedHeaders
    tower_otel_semconv::Kind
    tower_otel_test::Histogram
    tower_otel_trace::OptIn
    tower_otel_trace::TracingBackend
";

pub(crate) fn texts() -> Vec<(&'static str, String)> {
    let mut texts = Texts::default();
    for add in [
        core,
        semconv,
        propagate,
        trace,
        metrics,
        prometheus,
        recorder_types,
        init,
        test_kit,
    ] {
        add(&mut texts);
    }
    texts.0
}

#[test]
fn debug_and_display_of_no_public_type_show_a_secret() {
    let texts = texts();
    let shown: Vec<_> = texts
        .iter()
        .filter(|(_, text)| text.contains(SECRET))
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
    // The search finds allowed texts, so it would find secrets.
    assert!(texts.iter().any(|(_, text)| text.contains(ALLOWED)));
}

#[test]
fn every_public_type_has_a_text_or_is_listed_as_one_without() {
    let rows = texts();
    let rows: BTreeSet<_> = rows.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed: BTreeSet<_> = WITHOUT_TEXT.split_whitespace().map(str::to_owned).collect();
    assert!(rows.is_disjoint(&listed));
    let checked: BTreeSet<_> = rows.union(&listed).cloned().collect();
    assert_eq!(checked, public_types());
}

#[test]
fn every_setter_that_accepts_a_text_is_called_here() {
    let source = concat!(
        include_str!("texts.rs"),
        include_str!("layers.rs"),
        include_str!("telemetry.rs")
    );
    let setters = text_setters();
    assert!(setters.contains("header"));
    let missing: Vec<_> = setters
        .iter()
        .filter(|name| !source.contains(&format!(".{name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
