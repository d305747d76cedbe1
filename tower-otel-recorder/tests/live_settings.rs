//! Sampler and keep rules are replaced while spans start and end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Link, Span, SpanContext, SpanKind, Status, TraceContextExt, TraceState, Tracer,
        TracerProvider,
    },
};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample, SpanData, SpanExporter},
};
use support::{LONG, Memory, build, wait_until};
use tower_otel_recorder::{Keep, Recorder, RecorderTracer};

fn recorder(memory: &Memory) -> (Recorder, RecorderTracer) {
    let builder = Recorder::builder(memory.clone()).queue_size(1 << 20);
    let recorder = build(builder.queue_bytes(1 << 32));
    let tracer = recorder.tracer_provider().tracer("api");
    (recorder, tracer)
}

/// A trace of two spans, which fails if `fails`.
fn trace(tracer: &RecorderTracer, parent: &Context, fails: bool) -> TraceId {
    let root = Context::new().with_span(tracer.start_with_context("root", parent));
    drop(tracer.start_with_context("child", &root));
    if fails {
        root.span().set_status(Status::error("no stock"));
    }
    root.span().end();
    root.span().span_context().trace_id()
}

fn remote_parent(is_sampled: bool) -> Context {
    let flags = TraceFlags::default().with_sampled(is_sampled);
    let ids = (TraceId::from(1), SpanId::from(1));
    let parent = SpanContext::new(ids.0, ids.1, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(parent)
}

/// The number of spans of each trace.
fn spans_of_traces(spans: &[SpanData]) -> HashMap<TraceId, usize> {
    let mut traces = HashMap::new();
    for span in spans {
        *traces.entry(span.span_context.trace_id()).or_default() += 1;
    }
    traces
}

/// Runs traces on two threads until `change` returns. Returns the number of traces.
fn under_load(tracer: &RecorderTracer, fails: bool, change: impl FnOnce()) -> usize {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let run = || {
            let mut traces = 0;
            while !is_done.load(SeqCst) {
                trace(tracer, &Context::new(), fails);
                traces += 1;
            }
            traces
        };
        let threads = [(); 2].map(|()| scope.spawn(run));
        change();
        is_done.store(true, SeqCst);
        threads.map(|thread| thread.join().unwrap()).iter().sum()
    })
}

#[test]
fn a_ratio_takes_effect_at_once_and_traces_under_load_stay_whole() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    let load = under_load(&tracer, false, || {
        for round in 0..1_000 {
            for (ratio, expected) in [(0.0, false), (1.0, true)] {
                recorder.set_ratio(ratio, round % 2 == 0);
                let span = tracer.start_with_context("probe", &Context::new());
                assert_eq!(span.span_context().is_sampled(), expected, "{ratio}");
            }
            recorder.set_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)));
            let span = tracer.start_with_context("probe", &Context::new());
            assert!(!span.span_context().is_sampled());
        }
    });
    recorder.flush(LONG).unwrap();
    let traces = spans_of_traces(&memory.spans());
    let probes = traces.values().filter(|spans| **spans == 1).count();
    assert_eq!(probes, 1_000);
    assert!(traces.values().all(|spans| [1, 2].contains(spans)));
    assert!(traces.len() - probes <= load);
    let counts = recorder.counts();
    assert_eq!((counts.dropped, counts.queued), (0, 0));
    assert_eq!(counts.started, counts.exported);
}

#[test]
fn a_ratio_follows_the_parent_that_it_is_told_to_follow() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    for (ratio, parent_based, is_parent_sampled, expected) in [
        (0.0, true, true, true),
        (1.0, true, false, false),
        (0.0, false, true, false),
        (1.0, false, false, true),
    ] {
        recorder.set_ratio(ratio, parent_based);
        let remote = remote_parent(is_parent_sampled);
        let root = tracer.start_with_context("root", &remote);
        assert_eq!(root.span_context().is_sampled(), expected);
        // The child follows its parent in this process, whatever is set in between.
        recorder.set_ratio(1.0 - ratio, parent_based);
        let root = Context::new().with_span(root);
        let child = tracer.start_with_context("child", &root);
        assert_eq!(child.span_context().is_sampled(), expected);
    }
}

/// A sampler that notes what it was asked.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<Vec<String>>>);

impl ShouldSample for Noting {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        _: &SpanKind,
        attributes: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let text = format!("{name} {}", attributes.len());
        self.0.lock().unwrap().push(text);
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::NONE,
        }
    }
}

#[test]
fn a_parent_based_sampler_is_asked_for_roots_only_and_with_attributes() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    let noting = Noting::default();
    let start = || {
        let builder = tracer.span_builder("root");
        let builder = builder.with_attributes([KeyValue::new("http.route", "/")]);
        let root = builder.start_with_context(&tracer, &Context::new());
        let root = Context::new().with_span(root);
        drop(tracer.start_with_context("child", &root));
    };
    recorder.set_sampler(Sampler::ParentBased(Box::new(noting.clone())));
    start();
    recorder.set_sampler(noting.clone());
    start();
    let asked = noting.0.lock().unwrap().join(", ");
    assert_eq!(asked, "root 1, root 1, child 0");
}

#[test]
fn keep_rules_take_effect_at_once_and_traces_under_load_stay_whole() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    recorder.set_ratio(0.0, true);
    let all = Keep::errors().per_second(u32::MAX);
    let mut probes = Vec::new();
    under_load(&tracer, true, || {
        for _ in 0..1_000 {
            recorder.set_keep(None).unwrap();
            probes.push((trace(&tracer, &Context::new(), true), 0));
            recorder.set_keep(Some(all)).unwrap();
            probes.push((trace(&tracer, &Context::new(), true), 2));
        }
    });
    recorder.flush(LONG).unwrap();
    let traces = spans_of_traces(&memory.spans());
    for (trace, expected) in probes {
        assert_eq!(traces.get(&trace).copied().unwrap_or_default(), expected);
    }
    // Rules that are set in the middle of a trace hold nothing of it, or only its root.
    assert!(traces.values().all(|spans| [1, 2].contains(spans)));
    let counts = recorder.counts();
    assert_eq!(counts.started, counts.exported);
    assert_eq!((counts.not_held, counts.keep_limited), (0, 0));
}

#[test]
fn spans_that_are_held_when_the_rules_are_removed_are_not_kept_and_free_their_memory() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    recorder.set_ratio(0.0, true);
    // Each trace takes 2 KiB of 16 MiB. Few are open at a time, because other tests need places in the table of the process.
    for _ in 0..200 {
        recorder.set_keep(Some(Keep::errors())).unwrap();
        let start = || tracer.start_with_context("root", &Context::new());
        let mut open: Vec<_> = (0..100).map(|_| start()).collect();
        recorder.set_keep(None).unwrap();
        open.iter_mut()
            .for_each(|span| span.set_status(Status::error("no stock")));
        drop(open);
    }
    recorder.flush(LONG).unwrap();
    let counts = recorder.counts();
    assert_eq!((counts.started, counts.not_held), (0, 0));
}

#[test]
fn rules_with_a_limit_of_zero_change_nothing() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    recorder.set_ratio(0.0, true);
    recorder.set_keep(Some(Keep::errors())).unwrap();
    let error = recorder.set_keep(Some(Keep::errors().per_second(0)));
    let error = error.unwrap_err().to_string();
    let expected =
        "per_second of the keep rules is 0 (expected at least 1); the rules stay as they are";
    assert_eq!(error, expected);
    trace(&tracer, &Context::new(), true);
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 2);
}

#[test]
fn a_changed_limit_of_kept_traces_does_not_start_a_new_second() {
    let memory = Memory::new(true);
    let (recorder, tracer) = recorder(&memory);
    recorder.set_ratio(0.0, true);
    for _ in 0..100 {
        let rules = Keep::errors().per_second(2);
        recorder.set_keep(Some(rules)).unwrap();
        trace(&tracer, &Context::new(), true);
    }
    let counts = recorder.counts();
    let kept = counts.started / 2;
    // A slow machine may take some seconds.
    assert!((2..50).contains(&kept), "{kept}");
    assert_eq!(counts.keep_limited, 200 - counts.started);
}

/// An exporter that fails.
#[derive(Debug)]
struct Failing;

impl SpanExporter for Failing {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        let text = "http://me:secret@collector/ refused".to_owned();
        Err(OTelSdkError::InternalFailure(text))
    }
}

#[test]
fn the_report_has_the_last_kept_roots_and_the_failure_without_credentials() {
    let recorder = build(Recorder::builder(Failing).keep(Keep::errors().per_second(1_000)));
    recorder.set_ratio(0.0, true);
    assert_eq!(recorder.export_report(), (None, Vec::new()));
    let tracer = recorder.tracer_provider().tracer("api");
    let traces: Vec<_> = (0..40)
        .map(|_| trace(&tracer, &Context::new(), true))
        .collect();
    trace(&tracer, &Context::new(), false);
    recorder.flush(LONG).unwrap_err();
    let mut failure = None;
    wait_until("a failure", || {
        failure = recorder.export_report().0;
        failure.is_some()
    });
    let failure = failure.unwrap();
    assert!(failure.contains("http://collector/ refused"), "{failure}");
    let roots = recorder.export_report().1;
    let found: Vec<_> = roots
        .iter()
        .map(|root| root.span_context.trace_id())
        .collect();
    assert_eq!(found, traces[8..]);
    let root = &roots[0];
    assert_eq!(
        (&*root.name, &root.status),
        ("root", &Status::error("no stock"))
    );
    assert_eq!(
        root.attributes,
        [KeyValue::new("sampling.keep.reason", "error")]
    );
    assert!(root.end_time.duration_since(root.start_time).unwrap() < Duration::from_secs(60));
}
