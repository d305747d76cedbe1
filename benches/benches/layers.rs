//! What each layer costs in process, over a layer that does nothing.
//!
//! `cargo bench -p tower-otel-benches --bench layers [-- --quick] [-- --markdown]`
//!
//! Fails with 1 if the budget is not met, with 2 if the machine was too restless to tell.

#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;

use allocation_tests::CountingAllocator;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use tower::{BoxError, Service};
use tower_otel_benches::{
    app,
    arms::{Arm, Visitor, watch},
    client_arms,
    drive::{self, Case, Effort, Outcome, flag},
    exchange::{Exchanges, InProcess, Subject, exchange, turn},
    report::Table,
    signals::Discarded,
};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// A case, and what it may cost: nanoseconds, allocations.
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

/// Lines that are measured side by side. Each group has a control of its own, and is done before the
/// next begins: what needs two processors, or all of a cache, is not to disturb the rest.
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

/// Routes and statuses that make a hundred thousand series.
const ROUTES: usize = 10_000;
const STATUSES: usize = 10;

fn subject(text: &str) -> Box<dyn Subject> {
    if let Some(name) = text.strip_suffix(", 100 000 series") {
        return among_many_series(name);
    }
    let arm = Arm::parse(text);
    let signals = Discarded::new(arm.sampling);
    if matches!(arm.name, "call" | "call again" | "inject") || arm.name.starts_with("client ") {
        return client_arms::watch(arm.name, &signals);
    }
    let visitor = InProcess {
        routes: arm.routes,
        after: signals.flush(),
    };
    let subject = watch(arm.name, app::with_routes(arm.routes), &signals, visitor);
    // All routes have been there once.
    turn(&*subject, 2 * arm.routes);
    subject
}

/// One route is asked for, and the series of all others live.
fn among_many_series(name: &str) -> Box<dyn Subject> {
    struct Filled;

    impl Visitor for Filled {
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

    watch(
        name,
        app::with_any_status(ROUTES),
        &Discarded::new(100),
        Filled,
    )
}

fn main() {
    if let Some(arm) = drive::arm() {
        let _current = client_arms::current();
        // A page of a hundred thousand series is not to be read.
        return drive::work(&*subject(&arm), || 0);
    }
    let effort = Effort {
        launches: if flag("--quick") { 2 } else { 4 },
        rounds: if flag("--quick") { 20 } else { 50 },
        exchanges: 2048,
    };
    let (mut quiet, mut kept) = (true, true);
    for (name, lines) in GROUPS {
        let cases: Vec<Case> = lines.iter().map(|line| line.0).collect();
        let outcomes = drive::measure(&cases, effort);
        println!("\n{name}\n");
        kept &= report(&outcomes, lines);
        let counts = outcomes
            .iter()
            .any(|outcome| outcome.case.arm.ends_with(" again") && outcome.is_quiet());
        if !counts {
            println!("\nTimes do not count: the same thing, measured twice, differs.");
        }
        quiet &= counts;
    }
    if !kept {
        println!("\nThe budget is not met.");
    }
    std::process::exit(match (quiet, kept) {
        (false, _) => 2,
        (true, false) => 1,
        (true, true) => 0,
    });
}

/// Prints a group, and says whether it is within its budget.
fn report(outcomes: &[Outcome], lines: &[Line]) -> bool {
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
    let mut kept = true;
    for (outcome, Line(case, nanos, allocations)) in outcomes.iter().zip(lines) {
        let met = nanos.is_none_or(|limit| outcome.nanos.high <= limit)
            && allocations.is_none_or(|limit| outcome.allocations <= limit + 0.1);
        let limited = nanos.is_some() || allocations.is_some();
        kept &= met;
        let text = |limit: &Option<f64>| limit.map(|limit| limit.to_string()).unwrap_or_default();
        table.row([
            case.arm.to_owned(),
            case.baseline.to_owned(),
            outcome.nanos.to_string(),
            text(nanos),
            format!("{:.1}", outcome.allocations),
            text(allocations),
            format!("{:.2}", outcome.recorded.spans),
            match (limited, met) {
                (false, _) => "",
                (true, true) => "met",
                (true, false) => "not met",
            }
            .to_owned(),
        ]);
    }
    table.print(flag("--markdown"));
    kept
}
