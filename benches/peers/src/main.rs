//! Compares the cost of the suite with other crates, in one run.
//!
//! `cargo bench -p tower-otel-benches --bench peers --features peers [-- --quick] [-- --markdown]`
//!
//! Exit code 1: a target is missed. 2: the measurement is too noisy. 3: an arm recorded too little.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![forbid(unsafe_code)]

mod cases;
mod clients;
mod otel_032;
mod servers;

use allocation_tests::CountingAllocator;
use tower_otel_benches::{
    app, client_arms,
    exchange::{InProcess, Subject},
    recorded_counts,
    report::Table,
    signals::DiscardingSignals,
    stats::Estimate,
    workers::{self, Case, CaseResult, Effort, flag},
};

use crate::cases::{GROUPS, Group, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn subject(name: &str) -> Box<dyn Subject> {
    let signals = DiscardingSignals::new(100);
    if let Some(client) = clients::instrument(name, &signals) {
        return client;
    }
    let flush = signals.flush();
    let visitor = InProcess {
        routes: 1,
        flush: move || {
            flush();
            // Does nothing without spans of fastrace.
            fastrace::flush();
        },
    };
    servers::instrument(name, app::hello(), &signals, visitor)
}

const fn case(arm: &'static str, baseline: &'static str) -> Case {
    Case {
        arm,
        baseline,
        threads: 1,
    }
}

/// Each arm over a no-op layer and over the bare application.
fn cases() -> Vec<Case> {
    let group_cases = |group: &'static Group| {
        let arms = group.ours.iter().chain(group.others);
        arms.flat_map(|arm| [case(arm, group.no_op), case(arm, group.bare)])
    };
    let mut cases: Vec<Case> = GROUPS.iter().flat_map(group_cases).collect();
    cases.push(case("bare again", "bare"));
    cases
}

/// The results of all cases.
struct Results(Vec<CaseResult>);

impl Results {
    fn of(&self, arm: &str, baseline: &str) -> &CaseResult {
        let is_it = |one: &&CaseResult| one.case.arm == arm && one.case.baseline == baseline;
        self.0.iter().find(is_it).unwrap()
    }

    fn print(&self, markdown: bool) {
        for group in GROUPS {
            println!("\n{}\n", group.name);
            let mut table = Table::new([
                "in process",
                "ns over a no-op layer",
                "ns over bare",
                "allocations",
                "spans",
                "samples",
            ]);
            let rows = group.ours.iter().map(|arm| (*arm, format!("ours: {arm}")));
            let others = group.others.iter().map(|arm| (*arm, (*arm).to_owned()));
            for (arm, name) in rows.chain(others) {
                let over = self.of(arm, group.no_op);
                table.row([
                    name,
                    over.nanos.to_string(),
                    self.of(arm, group.bare).nanos.to_string(),
                    format!("{:.1}", over.allocations),
                    format!("{:.2}", over.recorded.spans),
                    format!("{:.2}", over.recorded.samples),
                ]);
            }
            table.print(markdown);
        }
    }

    /// Returns the cheapest arm of the other crates, and the ratio of its cost to the cost of the suite.
    fn times(&self, target: &Target) -> (&'static str, Estimate) {
        let ours = self.of(target.ours.0, target.ours.1);
        let ratios = target.others.iter().map(|(arm, baseline)| {
            let ratio = ours.ratio(self.of(arm, baseline));
            (*arm, ratio)
        });
        ratios
            .min_by(|(_, one), (_, other)| one.median.total_cmp(&other.median))
            .unwrap()
    }

    fn verdict(&self, markdown: bool) -> i32 {
        let control = self.of("bare again", "bare");
        let is_reliable = control.is_quiet();
        println!(
            "\nControl, the bare application measured twice: {} ns",
            control.nanos
        );
        println!("\nCost of the cheapest other crate as a multiple of ours:\n");
        let mut table = Table::new(["ours", "the cheapest", "times", "at least", "verdict"]);
        let mut missed = false;
        for target in TARGETS {
            let (other, times) = self.times(target);
            let met = times.low >= target.at_least;
            missed |= !met;
            table.row([
                target.ours.0.to_owned(),
                other.to_owned(),
                format!("{times:.2}"),
                target.at_least.to_string(),
                match (is_reliable, met) {
                    (false, _) => "unreliable",
                    (true, true) => "met",
                    (true, false) => "not met",
                }
                .to_owned(),
            ]);
        }
        table.print(markdown);
        match (is_reliable, missed) {
            (false, _) => 2,
            (true, true) => 1,
            (true, false) => 0,
        }
    }

    /// Returns whether every arm recorded the spans and samples of its group.
    fn all_recorded(&self) -> bool {
        let mut all = true;
        for group in GROUPS {
            for arm in group.ours.iter().chain(group.others) {
                let recorded = self.of(arm, group.no_op).recorded;
                let spans = (recorded.spans - group.spans).abs() < 0.01;
                let samples = recorded.samples >= group.samples - 0.01;
                if !(spans && samples) {
                    println!("\n{arm}: recorded too little, the comparison is invalid");
                    all = false;
                }
            }
        }
        all
    }
}

fn main() {
    if let Some(arm) = workers::worker_arm() {
        let _parent = client_arms::attach_parent_span();
        let _parent_032 = otel_032::attach_parent_span();
        return workers::run_worker(&*subject(&arm), recorded_counts::samples);
    }
    let quick = flag("--quick");
    let effort = Effort {
        launches: if quick { 4 } else { 12 },
        rounds: if quick { 40 } else { 60 },
        exchanges: 2048,
    };
    let results = Results(workers::measure(&cases(), effort));
    let markdown = flag("--markdown");
    results.print(markdown);
    let verdict = results.verdict(markdown);
    std::process::exit(if results.all_recorded() { verdict } else { 3 });
}
