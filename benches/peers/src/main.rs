//! What the suite costs beside what others cost, in one run and one table.
//!
//! `cargo bench -p tower-otel-benches --bench peers --features peers [-- --quick] [-- --markdown]`
//!
//! Fails with 1 if a target is missed, with 2 if the machine was too restless to tell.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
#![forbid(unsafe_code)]

mod cases;
mod clients;
mod older;
mod servers;

use allocation_tests::CountingAllocator;
use tower_otel_benches::{
    app, client_arms,
    drive::{self, Case, Effort, Outcome, flag},
    exchange::{InProcess, Subject},
    recorded,
    report::Table,
    signals::Discarded,
    stats::Estimate,
};

use crate::cases::{GROUPS, Group, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn subject(name: &str) -> Box<dyn Subject> {
    let signals = Discarded::new(100);
    if let Some(client) = clients::watch(name, &signals) {
        return client;
    }
    let visitor = InProcess {
        routes: 1,
        after: signals.flush(),
    };
    servers::watch(name, app::hello(), &signals, visitor)
}

const fn case(arm: &'static str, baseline: &'static str) -> Case {
    Case {
        arm,
        baseline,
        threads: 1,
    }
}

/// Each arm over the layer that does nothing and over nothing.
fn cases() -> Vec<Case> {
    let of = |group: &'static Group| {
        let arms = group.ours.iter().chain(group.others);
        arms.flat_map(|arm| [case(arm, group.no_op), case(arm, group.bare)])
    };
    let mut cases: Vec<Case> = GROUPS.iter().flat_map(of).collect();
    cases.push(case("bare again", "bare"));
    cases
}

/// What all cases came to.
struct Outcomes(Vec<Outcome>);

impl Outcomes {
    fn of(&self, arm: &str, baseline: &str) -> &Outcome {
        let is_it = |one: &&Outcome| one.case.arm == arm && one.case.baseline == baseline;
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

    /// How many times as much the cheapest of the others costs.
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
        let counts = control.is_quiet();
        println!("\nThe same bare application again: {} ns", control.nanos);
        println!("\nHow many times as much the cheapest of the others costs:\n");
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
                match (counts, met) {
                    (false, _) => "does not count",
                    (true, true) => "met",
                    (true, false) => "not met",
                }
                .to_owned(),
            ]);
        }
        table.print(markdown);
        match (counts, missed) {
            (false, _) => 2,
            (true, true) => 1,
            (true, false) => 0,
        }
    }

    /// Whoever records nothing is cheap, and is not to be compared with.
    fn all_recorded(&self) -> bool {
        let mut all = true;
        for group in GROUPS {
            for arm in group.ours.iter().chain(group.others) {
                let recorded = self.of(arm, group.no_op).recorded;
                let spans = (recorded.spans - group.spans).abs() < 0.01;
                let samples = recorded.samples >= group.samples - 0.01;
                if !(spans && samples) {
                    println!("\n{arm}: does not record what it should, and is not to be compared");
                    all = false;
                }
            }
        }
        all
    }
}

fn main() {
    if let Some(arm) = drive::arm() {
        let _current = client_arms::current();
        let _older = older::current();
        return drive::work(&*subject(&arm), recorded::samples);
    }
    let quick = flag("--quick");
    let effort = Effort {
        launches: if quick { 4 } else { 12 },
        rounds: if quick { 40 } else { 60 },
        exchanges: 2048,
    };
    let outcomes = Outcomes(drive::measure(&cases(), effort));
    let markdown = flag("--markdown");
    outcomes.print(markdown);
    let verdict = outcomes.verdict(markdown);
    std::process::exit(if outcomes.all_recorded() { verdict } else { 3 });
}
