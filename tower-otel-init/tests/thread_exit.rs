//! Log lines and spans of destructors that run while their thread exits.
//!
//! At that time, the thread-local variables of other libraries may already be destroyed. A panic in the destructor of a
//! thread-local variable aborts the process, so each case runs in a separate process.
#![cfg(all(feature = "grpc", feature = "logs"))]
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::env;
use std::future::pending;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Waker};
use std::thread;

use collector::{Collector, TIMEOUT};
use tower_otel_init::{MetricsExporter, Protocol, Sampler, Telemetry, TracesExporter, keep_trace};

/// What the thread does before it exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    UsesContext,
    Logs,
}

/// What a destructor does at the exit of its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Logs,
    EntersSpan,
    DropsInstrumentedFuture,
    KeepsTrace,
}

const LAST_ACTIONS: [Last; 4] = [
    Last::Logs,
    Last::EntersSpan,
    Last::DropsInstrumentedFuture,
    Last::KeepsTrace,
];

const CASE: &str = "THREAD_EXIT_CASE";
const EXPORTS: &str = "THREAD_EXIT_EXPORTS";

struct OnDrop(Box<dyn FnOnce()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        std::mem::replace(&mut self.0, Box::new(|| ()))();
    }
}

thread_local! {
    static LAST: RefCell<Option<OnDrop>> = const { RefCell::new(None) };
}

#[tracing::instrument]
async fn instrumented() {
    pending().await
}

#[test]
fn a_log_line_or_a_span_at_the_exit_of_a_thread_does_not_abort_the_process() {
    let mut failed = Vec::new();
    for (format, traces, exports) in [
        ("json", "all", "otlp"),
        ("json", "sampled", "otlp"),
        ("json", "sampled", "none"),
        ("pretty", "all", "none"),
    ] {
        for before in [Before::UsesContext, Before::Logs] {
            for last in LAST_ACTIONS {
                let case = format!("{before:?} {last:?}");
                let output = Command::new(env::current_exe().unwrap())
                    .args(["--exact", "child", "--ignored", "--nocapture"])
                    .envs([
                        (CASE, &*case),
                        ("LOG_FORMAT", format),
                        ("LOG_TRACES", traces),
                        (EXPORTS, exports),
                    ])
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                // A thread that has used the buffer of log lines cannot use it at its exit.
                let is_lost = (before, last) == (Before::UsesContext, Last::Logs)
                    && !text.contains("last words");
                if !output.status.success() || !text.contains("ended") || is_lost {
                    let error = String::from_utf8_lossy(&output.stderr);
                    failed.push(format!(
                        "{format} {traces} {exports} {case}: {text}\n{error}"
                    ));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn child() {
    let case = env::var(CASE).unwrap();
    let logs_before = case.starts_with(&format!("{:?} ", Before::Logs));
    let last = LAST_ACTIONS.into_iter();
    let mut last = last.filter(|action| case.ends_with(&format!(" {action:?}")));
    let last = last.next().unwrap();

    let collector = Collector::grpc();
    let builder = Telemetry::builder("users").metrics(MetricsExporter::None);
    // `tracing` drops the events of an exiting thread that has logged, and those of a panic hook within a layer, but only
    // while any thread has its own subscriber. The threads of exporters have one.
    let exports = env::var(EXPORTS).unwrap() == "otlp";
    let builder = match exports {
        false => builder.traces(TracesExporter::None),
        true => builder
            .endpoint(collector.endpoint())
            .protocol(Protocol::Grpc)
            .sampler(Sampler::ratio(1.0))
            .export_logs(true),
    };
    let telemetry = builder.install().unwrap();
    if last == Last::Logs {
        std::panic::set_hook(Box::new(|_| tracing::error!("a panic")));
    }
    let future = (last == Last::DropsInstrumentedFuture).then(started_on_another_thread);
    thread::spawn(move || {
        // The first used variable of a thread is destroyed last.
        LAST.with_borrow(|_| ());
        opentelemetry::Context::current();
        if logs_before {
            tracing::info!("first words");
        }
        let act = move || match last {
            Last::Logs => tracing::info!("last words"),
            Last::EntersSpan => tracing::info_span!("last").in_scope(|| ()),
            Last::DropsInstrumentedFuture => drop(future),
            Last::KeepsTrace => keep_trace(),
        };
        LAST.set(Some(OnDrop(Box::new(act))));
    })
    .join()
    .unwrap();

    telemetry.flush(TIMEOUT).unwrap();
    let dropped = telemetry.dropped_log_records().total();
    let _ = telemetry.shutdown(TIMEOUT);
    if exports && !logs_before {
        let has_span = matches!(last, Last::EntersSpan | Last::DropsInstrumentedFuture);
        assert_eq!(collector.spans(), usize::from(has_span));
        assert_eq!(dropped, u64::from(last == Last::Logs));
    }
    println!("ended");
}

type HeldFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns a future with a `tracing` span, which it enters when it is dropped.
fn started_on_another_thread() -> HeldFuture {
    let started = thread::spawn(|| {
        let mut future: HeldFuture = Box::pin(instrumented());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(cx).is_pending());
        future
    });
    started.join().unwrap()
}
