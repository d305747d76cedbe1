//! The export thread.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{Context, InstrumentationScope};

use crate::{
    clock::Clocks,
    control::ExportThread,
    exporter::{ExportInput, Outcome, RecordExporter},
    message::without_credentials,
    scope::default_scope,
    shared::{RecordBox, Shared},
    tap::Tap,
};

const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The minimum time between two attempts to make room for held spans. Each attempt ends a turn early.
const ROOM_PAUSE: Duration = Duration::from_secs(1);

/// The failure of a batch whose exporter panicked.
const PANICKED: &str = "the exporter panicked";

/// Starts the export thread.
pub(crate) fn spawn(
    shared: &Arc<Shared>,
    exporter: Box<dyn RecordExporter>,
    tap: Tap,
    delay: Duration,
) -> io::Result<()> {
    let worker = Worker {
        shared: Arc::clone(shared),
        exporter,
        tap,
        default_scope: default_scope(),
        backlog: Vec::new(),
        exported: Vec::new(),
        failure: None,
        drops: QueueDrops::default(),
        health: Health::Good,
        next_room: Instant::now(),
    };
    thread::Builder::new()
        .name("tower-otel-recorder".to_owned())
        .spawn(move || worker.run(delay))
        .map(drop)
}

struct Worker {
    shared: Arc<Shared>,
    exporter: Box<dyn RecordExporter>,
    tap: Tap,
    default_scope: InstrumentationScope,
    backlog: Vec<RecordBox>,
    /// Exported records that return to the pool.
    exported: Vec<RecordBox>,
    /// The last failure of this turn.
    failure: Option<String>,
    drops: QueueDrops,
    health: Health,
    /// The earliest time of the next attempt to make room for held spans.
    next_room: Instant,
}

/// The spans that were dropped because the queue was full.
#[derive(Debug, Default)]
struct QueueDrops {
    /// The number when it was last read.
    count: u64,
    /// The time at which the number last rose. `None` after the log line that the queue has room again.
    since: Option<Instant>,
}

/// Calls an exporter or a subscriber. Returns `None` if it panics, so that the export thread continues.
fn catch_panic<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// The result of the last export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// The collector has rejected some of the spans.
    Rejecting,
    Failing,
}

/// Ends all waiting when the thread ends, even by a panic.
struct ThreadEnd<'a>(&'a Shared);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        self.0.pipeline.end_thread();
    }
}

impl Worker {
    fn run(mut self, delay: Duration) {
        let shared = Arc::clone(&self.shared);
        let pipeline = &shared.pipeline;
        let _end = ThreadEnd(&shared);
        // The exporter must not create spans about its own requests.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        pipeline.set_thread(match self.exporter.waker() {
            Some(waker) => ExportThread::Waiting(waker),
            None => ExportThread::Parked(thread::current()),
        });
        let delay = delay.clamp(MIN_DELAY, MAX_DELAY);
        let mut done = 0;
        loop {
            let park = |duration| self.exporter.park(duration);
            let turn = pipeline.next_turn(self.end_of_wait(delay), done, park);
            // Exports can take a long time.
            self.make_room();
            self.export_all(delay);
            catch_panic(|| self.log_drops(delay));
            if let Some(timeout) = turn.shutdown {
                // The export has used a part of the time.
                let deadline = pipeline.requested().shutdown_deadline;
                let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
                self.shut_down(left.unwrap_or(timeout));
            }
            done = turn.flushes;
            pipeline.end_turn(done, self.failure.take());
            if turn.shutdown.is_some() {
                break;
            }
        }
    }

    /// Returns the latest time at which the next turn starts.
    fn end_of_wait(&self, delay: Duration) -> Instant {
        let end = Instant::now() + delay;
        match self.shared.lacks_room() {
            true => end.min(self.next_room),
            false => end,
        }
    }

    /// Makes room for held spans, unless the last attempt is less than [`ROOM_PAUSE`] ago.
    fn make_room(&mut self) {
        let now = Instant::now();
        if now >= self.next_room && self.shared.make_room() {
            self.next_room = now + ROOM_PAUSE;
        }
    }

    /// Exports all spans that are queued now. Spans that end meanwhile are exported in the next turn.
    fn export_all(&mut self, delay: Duration) {
        let shared = Arc::clone(&self.shared);
        let pipeline = &shared.pipeline;
        pipeline.drain(&mut self.backlog);
        let clocks = Clocks::read();
        // `export` takes spans off the end.
        self.backlog.reverse();
        while !self.backlog.is_empty() {
            let sizes = self.backlog.iter().rev().map(|record| record.bytes);
            let batch = pipeline.batch().first(sizes);
            if !pipeline.begin_export(batch) {
                self.backlog.clear();
                break;
            }
            catch_panic(|| self.log_drops(delay));
            let outcome = self.export(batch.spans, clocks);
            pipeline.end_export(outcome.spans);
            shared.report.set_failure(outcome.problem());
            catch_panic(|| self.log_change(&outcome));
        }
        if self.backlog.capacity() > 4096 {
            self.backlog = Vec::new();
        }
    }

    /// Exports this many spans from the end of the reversed backlog.
    fn export(&mut self, spans: usize, clocks: Clocks) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let input = ExportInput {
            clocks,
            default_scope: &self.default_scope,
            limits: &shared.limits,
        };
        let mut skipped = 0;
        for _ in 0..spans {
            let Some(mut pooled) = self.backlog.pop() else {
                break;
            };
            shared.report.observe(&pooled.record, clocks);
            let (record, exporter) = (&mut pooled.record, &mut *self.exporter);
            catch_panic(|| self.tap.encode(record, &input, exporter));
            match catch_panic(|| exporter.add(record, &input)) {
                Some(()) => drop(catch_panic(|| self.tap.observe(record, &input, exporter))),
                None => skipped += 1,
            }
            pooled.record.clear();
            self.exported.push(pooled);
        }
        shared.pipeline.give_back(&mut self.exported);
        let requested = || shared.pipeline.requested();
        let mut outcome = catch_panic(|| self.exporter.export(&requested)).unwrap_or_else(|| {
            let mut outcome = Outcome::default();
            outcome.fail(spans.saturating_sub(skipped), PANICKED.to_owned());
            outcome
        });
        if skipped > 0 {
            outcome.fail(skipped, PANICKED.to_owned());
        }
        if outcome.failure.is_some() {
            self.failure.clone_from(&outcome.failure);
        }
        outcome
    }

    fn shut_down(&mut self, timeout: Duration) {
        match catch_panic(|| self.exporter.shutdown(timeout)) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.failure = Some(without_credentials(&error.to_string())),
            None => self.failure = Some(PANICKED.to_owned()),
        }
    }

    /// Logs when spans start to be dropped because the queue is full, and when none was dropped for the duration of `delay`.
    /// Spans that end after the shutdown are not logged.
    fn log_drops(&mut self, delay: Duration) {
        let dropped = self.shared.pipeline.counters().full();
        let now = Instant::now();
        if dropped > self.drops.count {
            if self.drops.since.is_none() {
                tracing::warn!(
                    dropped,
                    "the recorder's queue was full: spans were dropped; further drops are counted and not logged until the \
                     queue has room, which is logged"
                );
            }
            self.drops = QueueDrops {
                count: dropped,
                since: Some(now),
            };
        } else if self
            .drops
            .since
            .is_some_and(|since| now.duration_since(since) >= delay)
        {
            self.drops.since = None;
            tracing::warn!(dropped, "the recorder's queue has room again");
        }
    }

    /// Logs when exports start to fail or spans start to be rejected, and when exports succeed again.
    fn log_change(&mut self, outcome: &Outcome) {
        let health = match outcome.spans {
            spans if spans.failed > 0 => Health::Failing,
            spans if spans.rejected > 0 => Health::Rejecting,
            _ => Health::Good,
        };
        let before = std::mem::replace(&mut self.health, health);
        match (before, health) {
            (before, health) if before == health => {}
            (_, Health::Failing) => {
                let failure = outcome.failure.as_deref().unwrap_or_default();
                tracing::warn!(
                    "the recorder cannot export spans: {failure}; batches are dropped and counted until \
                     an export succeeds, which is logged"
                );
            }
            (_, Health::Rejecting) => {
                let rejected = outcome.spans.rejected;
                let reason = outcome.rejection.as_deref().unwrap_or("no reason");
                tracing::warn!(
                    rejected,
                    "the collector rejected spans of a batch: {reason}; rejected spans are counted, and \
                     the next batch without any is logged"
                );
            }
            (Health::Rejecting, Health::Good) => {
                tracing::warn!("the collector accepts all spans again")
            }
            (_, Health::Good) => tracing::warn!(
                "the recorder exports spans again; the batches that failed in the meantime are lost"
            ),
        }
    }
}
