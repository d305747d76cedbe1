//! The CPU time of the export of a span to a gRPC collector, compared with opentelemetry-otlp.
//!
//! `cargo bench -p tower-otel-benches --bench export [-- --quick] [-- --markdown]`
//!
//! Exit code 1: the target is missed. 2: the measurement is too noisy. 3: a span was lost. 4: the target is missed, and the
//! reference arm ("yardstick") also misses it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::{collections::BTreeMap, io::stdin, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tower_otel_benches::{
    app,
    arms::{Arm, instrument},
    collector,
    delivery::{Deliveries, Delivery},
    exchange::{InProcess, Subject},
    export_arms::{ENCODED, ExportArm, SPANS},
    exporting::ExportingSignals,
    report::Table,
    server::pin,
    stats::{Estimate, estimate},
    workers::{Process, argument, flag},
};

const BASELINE: &str = "opentelemetry-otlp";
const CONTROL: &str = "opentelemetry-otlp again";
const OURS: &str = "recorder";

/// Arms with `tower-otel-init`. No browser is connected to the page.
const INIT: &str = "tracing + metrics";
const PAGE: &str = "tracing + metrics, page";

const ARMS: [&str; 7] = [
    BASELINE,
    CONTROL,
    "recorder, opentelemetry-otlp",
    OURS,
    ENCODED,
    INIT,
    PAGE,
];

/// The maximum cost of the recorder's export, relative to the baseline.
const TARGET: f64 = 0.1;

/// The maximum relative difference between the two equal arms.
const NOISE: f64 = 0.03;

/// The CPU time of the process per span, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Sample {
    record: f64,
    export: f64,
}

type Samples = BTreeMap<&'static str, Vec<Vec<Sample>>>;

fn process_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Runs an arm: for each input line it serves requests and then exports their spans, and prints the time of both.
fn run(name: &str, endpoint: String) {
    pin(0);
    let visitor = InProcess {
        routes: 1,
        flush: || {},
    };
    let app = app::with_routes(1);
    if [INIT, PAGE].contains(&name) {
        let signals = ExportingSignals::new(name, endpoint, Arm::parse(name));
        let subject = instrument(name, app, &signals, visitor);
        let guard = signals.into_guard();
        measure(&*subject, || guard.flush());
    } else {
        let arm = ExportArm::new(name, endpoint);
        arm.prepare();
        let subject = instrument(arm.instrumentation(), app, &arm, visitor);
        measure(&*subject, || arm.flush());
    }
}

fn measure(subject: &dyn Subject, flush: impl Fn()) {
    for _ in stdin().lines() {
        let run = subject.prepare(0, SPANS);
        let start = process_time();
        run();
        let recorded = process_time();
        flush();
        let exported = process_time();
        let each = |time: Duration| time.as_nanos() as f64 / SPANS as f64;
        println!("{} {}", each(recorded - start), each(exported - recorded));
    }
}

fn launch(rounds: usize, samples: &mut Samples, deliveries: &mut Deliveries) {
    let mut collector = Process::start(["--collect"]);
    let endpoint = collector.read_line();
    let start = |arm| (arm, Process::start(["--arm", arm, "--to", &endpoint]));
    let mut workers: BTreeMap<&str, Process> = ARMS.into_iter().map(start).collect();
    let mut order = ARMS;
    // The first rounds are a warm-up.
    for round in 0..rounds + 5 {
        fastrand::shuffle(&mut order);
        for arm in order {
            let worker = workers.get_mut(arm).unwrap();
            worker.send_line("");
            let line = worker.read_line();
            let (record, export) = line.split_once(' ').unwrap();
            if round >= 5 {
                let launches = samples.entry(arm).or_default();
                launches.last_mut().unwrap().push(Sample {
                    record: record.parse().unwrap(),
                    export: export.parse().unwrap(),
                });
            }
        }
    }
    for (arm, worker) in workers {
        worker.finish();
        let spans = (rounds + 5) * SPANS;
        deliveries.add(
            arm,
            Delivery {
                requests: spans,
                sampled: spans,
                ..Delivery::default()
            },
        );
    }
    deliveries.add_delivered(&collector::finish(collector));
}

/// Returns the median of a figure of an arm, relative to the same figure of another arm in the same round.
fn ratio(samples: &Samples, arm: &str, base: &str, value: fn(&Sample) -> f64) -> Estimate {
    let launches = samples[arm].iter().zip(&samples[base]);
    let launches = launches.map(|(arm, base)| {
        let rounds = arm.iter().zip(base);
        rounds.map(|(arm, base)| value(arm) / value(base)).collect()
    });
    estimate(&launches.collect::<Vec<Vec<f64>>>())
}

fn nanos(samples: &Samples, arm: &str, value: fn(&Sample) -> f64) -> Estimate {
    let launches = samples[arm].iter();
    let launches = launches.map(|rounds| rounds.iter().map(value).collect());
    estimate(&launches.collect::<Vec<Vec<f64>>>())
}

/// Returns the time that the page adds to the export of a span, in nanoseconds.
fn page_cost(samples: &Samples) -> Estimate {
    let launches = samples[PAGE].iter().zip(&samples[INIT]);
    let launches = launches.map(|(page, init)| {
        let rounds = page.iter().zip(init);
        rounds
            .map(|(page, init)| page.export - init.export)
            .collect()
    });
    estimate(&launches.collect::<Vec<Vec<f64>>>())
}

fn report(samples: &Samples, markdown: bool) -> i32 {
    println!("\nProcessor time of the process for each span, in nanoseconds [95 % interval]\n");
    let mut table = Table::new(["arm", "record", "export", "export, of the baseline"]);
    for arm in ARMS {
        table.row([
            arm.to_owned(),
            format!("{:.0}", nanos(samples, arm, |sample| sample.record)),
            format!("{:.0}", nanos(samples, arm, |sample| sample.export)),
            format!(
                "{:.3}",
                ratio(samples, arm, BASELINE, |sample| sample.export)
            ),
        ]);
    }
    table.print(markdown);
    let export = |arm, base| ratio(samples, arm, base, |sample| sample.export);
    let control = export(CONTROL, BASELINE);
    let is_quiet = control.low >= 1.0 - NOISE && control.high <= 1.0 + NOISE;
    let (cost, floor) = (export(OURS, BASELINE), export(ENCODED, BASELINE));
    let is_out_of_reach = floor.low > TARGET;
    let verdict = match (is_quiet, cost.high <= TARGET, is_out_of_reach) {
        (false, ..) => ("unreliable, the equal arms differ", 2),
        (true, true, _) => ("met", 0),
        (true, false, true) => ("not met, and out of reach of the yardstick", 4),
        (true, false, false) => ("not met", 1),
    };
    println!(
        "\nThe export costs {cost:.3} of the baseline (at most {TARGET}): {}",
        verdict.0
    );
    println!(
        "The yardstick costs {floor:.3} of the baseline. The export costs {:.2} of the yardstick.",
        export(OURS, ENCODED)
    );
    println!("The page costs {:.0} ns per span.", page_cost(samples));
    verdict.1
}

fn main() {
    if let Some(arm) = argument("--arm") {
        return run(&arm, argument("--to").unwrap());
    }
    if flag("--collect") {
        pin(1);
        return collector::run();
    }
    let (launches, rounds) = if flag("--quick") { (3, 60) } else { (8, 300) };
    let (mut samples, mut deliveries) = (Samples::new(), Deliveries::default());
    for at in 0..launches {
        for arm in ARMS {
            samples.entry(arm).or_default().push(Vec::new());
        }
        eprintln!("launch {} of {launches}", at + 1);
        launch(rounds, &mut samples, &mut deliveries);
    }
    let markdown = flag("--markdown");
    let verdict = report(&samples, markdown);
    let complete = deliveries.report(markdown);
    std::process::exit(if complete { verdict } else { 3 });
}
