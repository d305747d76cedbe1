//! The cost of each layer in process, over a no-op layer.
//!
//! `cargo bench -p tower-otel-benches --bench layers [-- --quick] [-- --markdown]`
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
    client_arms,
    exchange::{Exchanges, InProcess, Subject, exchange, turn},
    report::Table,
    signals::DiscardingSignals,
    workers::{self, Case, CaseResult, Effort, flag},
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A case and its limits in nanoseconds and in allocations.
struct Line(Case, Option<f64>, Option<f64>);

const fn line(arm: &'static str, baseline: &'static str) -> Line {
    let case = Case {
        arm,
        baseline,
        threads: 1,
    };
    Line(case, None, None)
}

impl Line {
    const fn at_most(self, nanos: f64) -> Self {
        Self(self.0, Some(nanos), self.2)
    }

    const fn allocating(self, at_most: f64) -> Self {
        Self(self.0, self.1, Some(at_most))
    }

    const fn on_two_threads(self) -> Self {
        let Self(case, nanos, allocations) = self;
        Self(Case { threads: 2, ..case }, nanos, allocations)
    }
}

/// Groups of cases that are measured together. The groups run one after another, because cases with two threads or many
/// routes disturb other cases. Each group has a control.
const GROUPS: &[(&str, &[Line])] = &[
    (
        "Spans",
        &[
            line("bare again", "bare"),
            line("no-op", "bare"),
            line("direct", "no-op").at_most(600.0),
            line("direct@10", "no-op"),
            line("direct@0", "no-op").at_most(250.0).allocating(2.0),
            line("record", "no-op").at_most(300.0),
            line("record@10", "no-op"),
            line("record@0", "no-op").at_most(250.0).allocating(2.0),
            line("tracing", "no-op").at_most(1500.0),
            line("tracing@10", "no-op"),
            line("tracing@0", "no-op"),
            line("tracing, no subscriber", "no-op"),
            line("direct, by hand", "no-op"),
            line("tracing, by hand", "no-op"),
        ],
    ),
    (
        "Metrics, and both",
        &[
            line("bare again", "bare"),
            line("no-op", "bare"),
            line("metrics", "no-op").at_most(150.0),
            line("metrics, around", "bare")
                .at_most(150.0)
                .allocating(0.0),
            line("metrics, otel", "no-op"),
            line("direct + metrics", "no-op"),
            line("direct, metrics", "no-op"),
            line("direct + metrics, around", "bare"),
            line("record + metrics", "no-op"),
            line("record + metrics, around", "bare"),
            line("tracing + metrics", "no-op"),
            line("yardstick of record + metrics", "no-op"),
            line("yardstick of tracing + metrics", "no-op"),
            line("tracing + metrics, around", "bare"),
        ],
    ),
    (
        "Clients",
        &[
            line("call again", "call"),
            line("inject", "call").at_most(100.0),
            line("client metrics", "call"),
            line("client direct + inject", "call"),
            line("client record + inject", "call"),
            line("client tracing + inject", "call"),
            line("client direct + metrics + inject", "call"),
        ],
    ),
    (
        "As the application grows",
        &[
            line("bare again", "bare"),
            line("direct + metrics", "no-op"),
            line("direct + metrics#100", "no-op#100"),
            line("direct + metrics#10000", "no-op#10000"),
            line("record + metrics", "no-op"),
            line("record + metrics#10000", "no-op#10000"),
            line("metrics", "no-op"),
            line("metrics#100", "no-op#100"),
            line("metrics#10000", "no-op#10000"),
            line("metrics, 100 000 series", "no-op, 100 000 series"),
        ],
    ),
    (
        "On two threads",
        &[
            line("bare again", "bare").on_two_threads(),
            line("no-op", "bare").on_two_threads(),
            line("metrics", "no-op").on_two_threads(),
            line("direct", "no-op").on_two_threads(),
            line("record", "no-op").on_two_threads(),
            line("direct + metrics", "no-op").on_two_threads(),
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
    let (mut quiet, mut within_budget) = (true, true);
    for (name, lines) in GROUPS {
        let cases: Vec<Case> = lines.iter().map(|line| line.0).collect();
        let results = workers::measure(&cases, effort);
        println!("\n{name}\n");
        within_budget &= report(&results, lines);
        let group_is_quiet = results
            .iter()
            .any(|result| result.case.arm.ends_with(" again") && result.is_quiet());
        if !group_is_quiet {
            println!("\nThe times are unreliable: two measurements of the control differ.");
        }
        quiet &= group_is_quiet;
    }
    if !within_budget {
        println!("\nThe budget is exceeded.");
    }
    std::process::exit(match (quiet, within_budget) {
        (false, _) => 2,
        (true, false) => 1,
        (true, true) => 0,
    });
}

/// Prints a group. Returns whether it is within the budget.
fn report(results: &[CaseResult], lines: &[Line]) -> bool {
    let mut table = Table::new([
        "in process",
        "over",
        "ns",
        "budget",
        "allocations",
        "budget",
        "spans",
        "",
    ]);
    let mut within_budget = true;
    for (result, Line(case, nanos, allocations)) in results.iter().zip(lines) {
        let met = nanos.is_none_or(|limit| result.nanos.high <= limit)
            && allocations.is_none_or(|limit| result.allocations <= limit + 0.1);
        let limited = nanos.is_some() || allocations.is_some();
        within_budget &= met;
        let text = |limit: &Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        table.row([
            case.arm.to_owned(),
            case.baseline.to_owned(),
            result.nanos.to_string(),
            text(nanos),
            format!("{:.1}", result.allocations),
            text(allocations),
            format!("{:.2}", result.recorded.spans),
            match (limited, met) {
                (false, _) => "",
                (true, true) => "met",
                (true, false) => "not met",
            }
            .to_owned(),
        ]);
    }
    table.print(flag("--markdown"));
    within_budget
}
