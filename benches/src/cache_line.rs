//! What a write to memory costs that threads share.

use std::{
    hint::{self, black_box},
    sync::{
        Arc, Mutex,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Relaxed, SeqCst},
        },
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    app::work::spin,
    exchange::thread_time,
    report::Table,
    server::pin,
    stats::{Estimate, estimate},
};

/// The number of measured operations of a thread in a round.
const OPERATIONS: u32 = 2_000;

const ROUNDS: usize = 200;

/// The work between two operations, about half a microsecond. Without it, a processor does several operations
/// before another one gets the line, so each of them looks cheap.
const SPINS: u64 = 250;

/// The written memory, alone on its cache lines.
#[repr(align(128))]
struct Line {
    word: AtomicU64,
    lock: Mutex<u64>,
}

type Operation = fn(&Arc<Line>);

const OPERATIONS_BY_NAME: &[(&str, Operation)] = &[
    ("store", |line| line.word.store(1, Relaxed)),
    ("fetch_add", |line| {
        line.word.fetch_add(1, Relaxed);
    }),
    ("addition to a float", |line| {
        let add = |bits| Some((f64::from_bits(bits) + 1.0).to_bits());
        let _ = line.word.fetch_update(AcqRel, Relaxed, add);
    }),
    ("Mutex, locked and unlocked", |line| {
        *line.lock.lock().unwrap() += 1;
    }),
    ("Arc, cloned and dropped", |line| {
        drop(black_box(Arc::clone(line)));
    }),
];

/// Prints what an operation costs a thread if no other thread writes the line, and if a second one does, too.
pub fn report(markdown: bool) {
    let mut table = Table::new([
        "a write to a cache line",
        "one thread",
        "two threads, a line each",
        "two threads, one line",
    ]);
    for (name, operation) in OPERATIONS_BY_NAME {
        let own = || Arc::new(Line::default());
        let shared = own();
        let cells = [
            measured(*operation, &[own()]),
            measured(*operation, &[own(), own()]),
            measured(*operation, &[Arc::clone(&shared), shared]),
        ];
        let [one, apart, together] = cells.map(|nanos| format!("{nanos} ns"));
        table.row([(*name).to_owned(), one, apart, together]);
    }
    table.print(markdown);
}

impl Default for Line {
    fn default() -> Self {
        Self {
            word: AtomicU64::new(0),
            lock: Mutex::new(0),
        }
    }
}

/// Runs an operation on one thread for each line. Returns the nanoseconds that it adds to the work between.
fn measured(operation: Operation, lines: &[Arc<Line>]) -> Estimate {
    let rounds = (0..ROUNDS).map(|_| {
        let work = round(|_| (), lines);
        let both = round(operation, lines);
        (both.as_nanos() as f64 - work.as_nanos() as f64) / f64::from(OPERATIONS)
    });
    estimate(&[rounds.collect()])
}

/// Returns the mean CPU time of the threads, of a round in which no thread waited for a processor.
fn round(operation: Operation, lines: &[Arc<Line>]) -> Duration {
    loop {
        if let Some(time) = undisturbed_round(operation, lines) {
            return time;
        }
    }
}

fn undisturbed_round(operation: Operation, lines: &[Arc<Line>]) -> Option<Duration> {
    // A barrier that sleeps would let one thread finish before the other one starts.
    let ready = AtomicUsize::new(0);
    let run = |(cpu, line): (usize, &Arc<Line>)| {
        pin(cpu);
        ready.fetch_add(1, SeqCst);
        while ready.load(SeqCst) < lines.len() {
            hint::spin_loop();
        }
        let (start, start_of_thread) = (Instant::now(), thread_time());
        for _ in 0..OPERATIONS {
            spin(SPINS);
            black_box(operation)(line);
        }
        let time = thread_time() - start_of_thread;
        (start.elapsed() < time.mul_f64(1.02)).then_some(time)
    };
    let times: Option<Vec<Duration>> = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = lines
            .iter()
            .enumerate()
            .map(|at| scope.spawn(move || run(at)))
            .collect();
        let times = threads.into_iter().map(|thread| thread.join().unwrap());
        times.collect()
    });
    let times = times?;
    Some(times.iter().sum::<Duration>() / times.len() as u32)
}
