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
    drained::DrainedSpans,
    export_log::ExportLog,
    exporter::{ExportInput, Meanwhile, Outcome, RecordExporter, RepeatedWork},
    message::without_credentials,
    scope::default_scope,
    shared::{RecordBox, Shared},
    tap::Tap,
};

const MIN_DELAY: Duration = Duration::from_millis(1);
const MAX_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The minimum time between two attempts to make room for held spans. An attempt can wake the thread before the delay ends.
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
        drained: DrainedSpans::default(),
        exported: Vec::new(),
        failure: None,
        log: ExportLog::default(),
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
    drained: DrainedSpans,
    /// Exported records that return to the pool.
    exported: Vec<RecordBox>,
    /// The last failure of this turn.
    failure: Option<String>,
    log: ExportLog,
    /// The earliest time of the next attempt to make room for held spans.
    next_room: Instant,
}

/// Calls an exporter or a subscriber. Returns `None` if it panics, so that the export thread continues.
fn catch_panic<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call))
        // The destructor of the payload may panic, too.
        .map_err(std::mem::forget)
        .ok()
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
            self.log_drops(delay);
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

    /// Exports all spans that are queued now. Spans that end meanwhile are exported in the next turn, but with
    /// `OtlpExporter` the tap receives them within the delay.
    fn export_all(&mut self, delay: Duration) {
        let shared = Arc::clone(&self.shared);
        let pipeline = &shared.pipeline;
        self.drained.start_turn(pipeline);
        let clocks = Clocks::read();
        while !self.drained.turn_is_over() {
            let batch = self.drained.next_batch(pipeline.batch());
            if !pipeline.begin_export(batch) {
                self.drained.clear();
                break;
            }
            self.log_drops(delay);
            let outcome = self.export(batch.spans, clocks, delay);
            pipeline.end_export(outcome.spans);
            shared.report.set_failure(outcome.problem());
            catch_panic(|| self.log.result(&outcome));
        }
        self.drained.shrink();
    }

    /// Exports this many of the drained spans. Meanwhile, the tap receives the others.
    fn export(&mut self, spans: usize, clocks: Clocks, delay: Duration) -> Outcome {
        let shared = Arc::clone(&self.shared);
        let input = ExportInput {
            clocks,
            default_scope: &self.default_scope,
            limits: &shared.limits,
        };
        let (encodes, taps) = (self.exporter.encodes(), self.tap.is_set());
        let mut skipped = 0;
        for _ in 0..spans {
            let Some((mut pooled, is_tapped)) = self.drained.take_next() else {
                break;
            };
            shared.report.observe(&pooled.record, clocks);
            let record = &mut pooled.record;
            let taps = taps && !is_tapped;
            if taps && !encodes {
                catch_panic(|| self.tap.encode_and_call(record, &input));
            }
            match catch_panic(|| self.exporter.add(record, &input)) {
                Some(()) if taps && encodes => {
                    let message = self.exporter.last_message();
                    catch_panic(|| self.tap.call(message, record, &input));
                }
                Some(()) => {}
                None => skipped += 1,
            }
            pooled.record.clear();
            self.exported.push(pooled);
        }
        shared.pipeline.give_back(&mut self.exported);
        let mut outcome = catch_panic(|| self.send(delay)).unwrap_or_else(|| {
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

    /// Exports the batch. Meanwhile, the tap sees the spans that wait for their export, and those that end. They are encoded
    /// again when they are exported.
    fn send(&mut self, delay: Duration) -> Outcome {
        let Self {
            shared,
            exporter,
            tap,
            default_scope,
            drained,
            ..
        } = self;
        let taps = tap.is_set();
        let mut work = || {
            let input = ExportInput {
                clocks: Clocks::read(),
                default_scope,
                limits: &shared.limits,
            };
            drained.drain_and_tap(&shared.pipeline, |record| {
                catch_panic(|| tap.encode_and_call(record, &input));
            });
        };
        exporter.export(Meanwhile {
            requested: &|| shared.pipeline.requested(),
            work: taps.then_some(RepeatedWork {
                interval: delay,
                work: &mut work,
            }),
        })
    }

    fn log_drops(&mut self, delay: Duration) {
        let dropped = self.shared.pipeline.counters().full();
        catch_panic(|| self.log.drops(dropped, delay));
    }

    fn shut_down(&mut self, timeout: Duration) {
        match catch_panic(|| self.exporter.shutdown(timeout)) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.failure = Some(without_credentials(&error.to_string())),
            None => self.failure = Some(PANICKED.to_owned()),
        }
    }
}
