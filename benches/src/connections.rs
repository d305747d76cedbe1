//! Whether an arm costs a request more with many connections than with few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    report::Table,
    samples::{BARE, BARE_AGAIN, CONNECTIONS, SERVING, Samples},
    service_times::Verdict,
    stats::{Estimate, estimate},
};

/// The arms, each compared with `no-op`.
pub const ARMS: &[&str] = &[
    BARE,
    BARE_AGAIN,
    NO_OP,
    "metrics",
    "record + metrics",
    "tracing + metrics",
];

const NO_OP: &str = "no-op";

/// The largest number of connections.
pub const MOST: usize = 512;

/// The maximum growth of a cost, as a part of it.
const GROWTH: f64 = 0.15;

/// Allows this process and its children to open as many files as the hard limit says.
pub fn raise_file_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Prints what each arm adds to the CPU time of a request, with few and with many connections.
pub fn report(samples: &Samples, markdown: bool) {
    let [few, many] = CONNECTIONS else { return };
    let baseline = |arm| match arm {
        BARE_AGAIN | NO_OP => BARE,
        _ => NO_OP,
    };
    let added = |workload: &'static str, arm: &'static str| {
        samples.differences(workload, (arm, baseline(arm)), SERVING)
    };
    let control = nanos(&differences(
        &added(many.name, BARE_AGAIN),
        &added(few.name, BARE_AGAIN),
    ));
    let mut table = Table::new([
        "CPU of serving",
        "over",
        "ns, 2 connections",
        "ns, 512 connections",
        "ns more",
        "at most",
        "",
    ]);
    for arm in ARMS.iter().copied().filter(|arm| *arm != BARE) {
        let (few, many) = (added(few.name, arm), added(many.name, arm));
        let cost = nanos(&few);
        let more = nanos(&differences(&many, &few));
        let most = cost.median * GROWTH;
        // Two bare servers must not differ by as much as the limit.
        let is_resolved = control.low >= -most && control.high <= most;
        let verdict = match Verdict::of(more, most) {
            Verdict::Under if is_resolved => "met",
            Verdict::Over if is_resolved => "not met",
            _ => "cannot tell",
        };
        let (most, verdict) = match arm {
            BARE_AGAIN | NO_OP => Default::default(),
            _ => (format!("{most:.0}"), verdict.to_owned()),
        };
        table.row([
            arm.to_owned(),
            baseline(arm).to_owned(),
            cost.to_string(),
            nanos(&many).to_string(),
            more.to_string(),
            most,
            verdict,
        ]);
    }
    println!("\nWith more connections\n");
    table.print(markdown);
}

fn nanos(launches: &[Vec<f64>]) -> Estimate {
    estimate(launches).map(|seconds| seconds * 1e9)
}

fn differences(many: &[Vec<f64>], few: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let launches = many.iter().zip(few).map(|(many, few)| {
        let rounds = many.iter().zip(few);
        rounds.map(|(many, few)| many - few).collect()
    });
    launches.collect()
}
