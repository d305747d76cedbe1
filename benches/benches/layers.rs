//! The cost of each layer in process, over a no-op layer.
//!
//! `cargo bench -p tower-otel-benches --bench layers [-- --quick] [-- --markdown] [-- --group "On two threads"]`
//!
//! Exit code 1: the budget is exceeded. 2: the measurement is too noisy.

#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;

use allocation_tests::CountingAllocator;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use tower::{BoxError, Service};
use tower_otel_benches::{
    app,
    arms::{Arm, Visitor, instrument},
    cache_line, client_arms,
    exchange::{Exchanges, InProcess, Subject, exchange, turn},
    report::Table,
    signals::DiscardingSignals,
    stats::Estimate,
    workers::{self, Case, CaseResult, Effort, argument, flag},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A case and its limits.
struct Line {
    case: Case,
    /// The first case of the group with this arm, and the maximum cost as a multiple of its cost.
    beside: Option<(&'static str, f64)>,
    /// The maximum number of allocations.
    allocations: Option<f64>,
}

const fn line(arm: &'static str, baseline: &'static str) -> Line {
    let case = Case {
        arm,
        baseline,
        threads: 1,
    };
    Line {
        case,
        beside: None,
        allocations: None,
    }
}

impl Line {
    const fn at_most(self, multiple: f64, arm: &'static str) -> Self {
        Self {
            beside: Some((arm, multiple)),
            ..self
        }
    }

    const fn allocating(self, at_most: f64) -> Self {
        Self {
            allocations: Some(at_most),
            ..self
        }
    }

    const fn on_two_threads(self) -> Self {
        let case = Case {
            threads: 2,
            ..self.case
        };
        Self { case, ..self }
    }
}

/// The maximum of what a hundred or 10,000 routes add to an exchange, over what they add to that of a no-op layer.
const MORE_ROUTES: f64 = 1.15;

/// The maximum cost with 100,000 series, over that with one.
const MORE_SERIES: f64 = 1.1;

/// The maximum cost on each of two threads, over that on one.
const TWO_THREADS: f64 = 1.1;

/// Groups of cases that are measured together. The groups run one after another, because cases with two threads or many
/// routes disturb other cases. Each group has a control.
const GROUPS: &[(&str, &[Line])] = &[
    (
        "Spans",
        &[
            line("bare again", "bare"),
            line("no-op", "bare"),
            line("record", "no-op"),
            line("record@10", "no-op"),
            line("record@0", "no-op").allocating(2.0),
            line("recorded tracing", "no-op"),
            line("recorded tracing@10", "no-op"),
            line("recorded tracing@0", "no-op"),
            line("direct", "no-op"),
            line("direct@0", "no-op"),
            line("direct, by hand", "no-op"),
            line("tracing", "no-op"),
            line("tracing@0", "no-op"),
            line("tracing, by hand", "no-op"),
            line("tracing, no subscriber", "no-op"),
        ],
    ),
    (
        "Metrics, and both",
        &[
            line("bare again", "bare"),
            line("no-op", "bare"),
            line("yardstick of metrics", "no-op"),
            line("metrics", "no-op")
                .at_most(1.5, "yardstick of metrics")
                .allocating(1.0),
            line("metrics, around", "bare"),
            line("metrics, otel", "no-op"),
            line("yardstick of record + metrics", "no-op"),
            line("record + metrics", "no-op")
                .at_most(1.3, "yardstick of record + metrics")
                .allocating(3.0),
            line("record + metrics, around", "bare"),
            line("yardstick of tracing + metrics", "no-op"),
            line("recorded tracing + metrics", "no-op")
                .at_most(0.85, "yardstick of tracing + metrics")
                .allocating(4.0),
            line("direct + metrics", "no-op"),
            line("direct, metrics", "no-op"),
            line("tracing + metrics", "no-op"),
        ],
    ),
    (
        "Clients",
        &[
            line("call again", "call"),
            line("inject", "call"),
            line("client metrics", "call"),
            line("client record + inject", "call"),
            line("client direct + inject", "call"),
            line("client tracing + inject", "call"),
            line("client direct + metrics + inject", "call"),
        ],
    ),
    (
        "As the application grows",
        &[
            line("bare again", "bare"),
            line("no-op#100", "no-op"),
            line("metrics#100", "metrics").at_most(MORE_ROUTES, "no-op#100"),
            line("record + metrics#100", "record + metrics").at_most(MORE_ROUTES, "no-op#100"),
            line("no-op#10000", "no-op"),
            line("metrics#10000", "metrics").at_most(MORE_ROUTES, "no-op#10000"),
            line("record + metrics#10000", "record + metrics").at_most(MORE_ROUTES, "no-op#10000"),
            line(
                "recorded tracing + metrics#10000",
                "recorded tracing + metrics",
            )
            .at_most(MORE_ROUTES, "no-op#10000"),
            line("metrics", "no-op"),
            line("metrics, 100 000 series", "no-op, 100 000 series")
                .at_most(MORE_SERIES, "metrics"),
        ],
    ),
    (
        "On two threads",
        &[
            line("bare again", "bare").on_two_threads(),
            line("no-op", "bare").on_two_threads(),
            line("metrics", "no-op"),
            line("metrics", "no-op")
                .on_two_threads()
                .at_most(TWO_THREADS, "metrics"),
            line("record + metrics", "no-op"),
            line("record + metrics", "no-op")
                .on_two_threads()
                .at_most(TWO_THREADS, "record + metrics"),
            line("recorded tracing + metrics", "no-op"),
            line("recorded tracing + metrics", "no-op")
                .on_two_threads()
                .at_most(TWO_THREADS, "recorded tracing + metrics"),
            line("direct + metrics", "no-op"),
            line("direct + metrics", "no-op")
                .on_two_threads()
                .at_most(TWO_THREADS, "direct + metrics"),
        ],
    ),
];

/// The numbers of routes and status codes, for a hundred thousand series.
const ROUTES: usize = 10_000;
const STATUSES: usize = 10;

fn subject(text: &str) -> Box<dyn Subject> {
    if let Some(name) = text.strip_suffix(", 100 000 series") {
        return with_many_series(name);
    }
    let arm = Arm::parse(text);
    let signals = DiscardingSignals::new(arm.sampling);
    if matches!(arm.name, "call" | "call again" | "inject") || arm.name.starts_with("client ") {
        return client_arms::instrument(arm.name, &signals);
    }
    let visitor = InProcess {
        routes: arm.routes,
        flush: signals.flush(),
    };
    let subject = instrument(arm.name, app::with_routes(arm.routes), &signals, visitor);
    // Each route has been requested before the measurement.
    turn(&*subject, 2 * arm.routes);
    subject
}

/// Measures requests to one route, while the table contains the series of all routes.
fn with_many_series(name: &str) -> Box<dyn Subject> {
    struct FillSeries;

    impl Visitor for FillSeries {
        type Output = Box<dyn Subject>;

        fn visit<S, B>(self, service: S) -> Self::Output
        where
            S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
            S: Clone + Send + Sync + 'static,
            S::Future: Send,
            B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
        {
            for at in 0..ROUTES * STATUSES {
                let mut request = app::request(&app::path(ROUTES, at));
                let status = u16::try_from(200 + at / ROUTES).unwrap();
                let status = HeaderValue::from(status);
                request.headers_mut().insert("x-status", status);
                exchange(service.clone(), request);
            }
            Exchanges::subject(
                |_| app::request("/users/7"),
                move |request| exchange(service.clone(), request),
                || {},
            )
        }
    }

    instrument(
        name,
        app::with_any_status(ROUTES),
        &DiscardingSignals::new(100),
        FillSeries,
    )
}

fn main() {
    if let Some(arm) = workers::worker_arm() {
        let _current = client_arms::attach_parent_span();
        // Samples are not counted, because reading 100,000 series is too slow.
        return workers::run_worker(&*subject(&arm), || 0);
    }
    let effort = Effort {
        launches: if flag("--quick") { 2 } else { 4 },
        rounds: if flag("--quick") { 20 } else { 50 },
        exchanges: 2048,
    };
    let only = argument("--group");
    let (mut quiet, mut worst) = (true, Verdict::Met);
    for (name, lines) in GROUPS {
        if only.as_deref().is_some_and(|only| only != *name) {
            continue;
        }
        let cases: Vec<Case> = lines.iter().map(|line| line.case).collect();
        let results = workers::measure(&cases, effort);
        println!("\n{name}\n");
        worst = worst.max(report(&results, lines));
        let group_is_quiet = results
            .iter()
            .any(|result| result.case.arm.ends_with(" again") && result.is_quiet());
        if !group_is_quiet {
            println!("\nThe times are unreliable: two measurements of the control differ.");
        }
        quiet &= group_is_quiet;
    }
    println!("\nShared memory\n");
    cache_line::report(flag("--markdown"));
    match worst {
        Verdict::Met => {}
        Verdict::Open => println!("\nThis machine cannot tell whether the budget is met."),
        Verdict::Exceeded => println!("\nThe budget is exceeded."),
    }
    std::process::exit(match (quiet, worst) {
        (false, _) | (true, Verdict::Open) => 2,
        (true, Verdict::Exceeded) => 1,
        (true, Verdict::Met) => 0,
    });
}

/// Whether the cost of a case is at most its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Met,
    /// The interval contains the limit.
    Open,
    Exceeded,
}

impl Verdict {
    fn of(line: &Line, result: &CaseResult, multiple: Option<Estimate>) -> Self {
        let allocates_more = line
            .allocations
            .is_some_and(|limit| result.allocations > limit + 0.1);
        match (multiple, line.beside) {
            _ if allocates_more => Self::Exceeded,
            (Some(multiple), Some((_, most))) if multiple.low > most => Self::Exceeded,
            (Some(multiple), Some((_, most))) if multiple.high > most => Self::Open,
            _ => Self::Met,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Open => "cannot tell",
            Self::Exceeded => "not met",
        }
    }
}

/// Prints a group. Returns its worst verdict.
fn report(results: &[CaseResult], lines: &[Line]) -> Verdict {
    let mut table = Table::new([
        "in process",
        "threads",
        "over",
        "ns",
        "times",
        "of",
        "at most",
        "allocations",
        "at most",
        "spans",
        "",
    ]);
    let mut worst = Verdict::Met;
    for (result, line) in results.iter().zip(lines) {
        let multiple = line.beside.map(|(arm, _)| {
            let yardstick = results.iter().find(|other| other.case.arm == arm);
            yardstick.unwrap().ratio(result)
        });
        let verdict = Verdict::of(line, result, multiple);
        let limited = line.beside.is_some() || line.allocations.is_some();
        worst = worst.max(verdict);
        let (beside, most) = line.beside.unzip();
        let text = |limit: Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        table.row([
            line.case.arm.to_owned(),
            line.case.threads.to_string(),
            line.case.baseline.to_owned(),
            result.nanos.to_string(),
            multiple
                .map(|multiple| format!("{multiple:.2}"))
                .unwrap_or_default(),
            beside.unwrap_or_default().to_owned(),
            text(most),
            format!("{:.1}", result.allocations),
            text(line.allocations),
            format!("{:.2}", result.recorded.spans),
            if limited { verdict.text() } else { "" }.to_owned(),
        ]);
    }
    table.print(flag("--markdown"));
    worst
}
