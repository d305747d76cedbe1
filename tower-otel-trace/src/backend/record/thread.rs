//! The thread that makes spans of what has ended, and exports them.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::{Context, InstrumentationScope};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use super::{queue::Queue, span::Clocks};
use crate::backend::scope;

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn start<E: SpanExporter + 'static>(
    queue: &Arc<Queue>,
    exporter: E,
    delay: Duration,
) -> io::Result<()> {
    let worker = Worker {
        queue: Arc::clone(queue),
        exporter,
        scope: scope(),
        batch: Vec::new(),
        complaint: None,
        warned: false,
        failing: false,
    };
    thread::Builder::new()
        .name("tower-otel-record".to_owned())
        .spawn(move || worker.run(delay))
        .map(drop)
}

struct Worker<E> {
    queue: Arc<Queue>,
    exporter: E,
    scope: InstrumentationScope,
    batch: Vec<SpanData>,
    complaint: Option<String>,
    /// Whether it was said that spans are lost.
    warned: bool,
    /// Whether it was said that spans cannot be exported, and not yet that they can.
    failing: bool,
}

/// Tells those who wait, however the thread ends.
struct Leaving<'a>(&'a Queue);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.gone();
    }
}

impl<E: SpanExporter> Worker<E> {
    fn run(mut self, delay: Duration) {
        let queue = Arc::clone(&self.queue);
        let _leaving = Leaving(&queue);
        // What the exporter does is not to be traced.
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        queue.served_by(thread::current());
        // Neither a loop without a pause nor a time that no clock has.
        let delay = delay.clamp(SHORTEST, LONGEST);
        let mut done = 0;
        loop {
            let turn = queue.wait(Instant::now() + delay, done);
            self.empty();
            self.warn_of_losses();
            if let Some(timeout) = turn.shutdown {
                let closed = catch_unwind(AssertUnwindSafe(|| {
                    self.exporter.shutdown_with_timeout(timeout)
                }));
                self.judge(closed);
            }
            done = turn.flushes;
            queue.done(done, self.complaint.take());
            if turn.shutdown.is_some() {
                break;
            }
        }
    }

    fn warn_of_losses(&mut self) {
        if !self.warned && self.queue.counts.dropped.load(Relaxed) > 0 {
            self.warned = true;
            tracing::warn!(
                "the recorder's queue was full, and what did not fit is lost; \
                 this is said once, the recorder counts the rest"
            );
        }
    }

    /// Exports what is there now. What comes meanwhile is for the next time.
    fn empty(&mut self) {
        let clocks = Clocks::read();
        for _ in 0..self.queue.len() {
            let Some(mut entry) = self.queue.pop() else {
                break;
            };
            self.batch
                .push(entry.span(clocks, &self.scope, self.queue.limits()));
            self.queue.give_back(entry);
            if self.batch.len() >= self.queue.batch() {
                self.export();
            }
        }
        self.export();
    }

    fn export(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let next = Vec::with_capacity(self.batch.capacity());
        let batch = mem::replace(&mut self.batch, next);
        let count = batch.len() as u64;
        let exported = catch_unwind(AssertUnwindSafe(|| {
            futures_executor::block_on(self.exporter.export(batch))
        }));
        let went_well = self.judge(exported);
        self.tell(went_well);
        let counts = &self.queue.counts;
        let counter = if went_well {
            &counts.exported
        } else {
            &counts.failed
        };
        counter.fetch_add(count, Relaxed);
    }

    /// Warns when exports begin to fail, and when they are well again.
    fn tell(&mut self, went_well: bool) {
        if self.failing != went_well {
            return;
        }
        self.failing = !went_well;
        if went_well {
            tracing::warn!("the recorder exports spans again; what failed meanwhile is lost");
        } else {
            let complaint = self.complaint.as_deref().unwrap_or_default();
            tracing::warn!(
                "the recorder cannot export spans: {}; this is said once until it can, and each \
                 batch until then is lost and counted",
                without_credentials(complaint)
            );
        }
    }

    /// Whether it went well. What did not is kept for who asks.
    fn judge(&mut self, result: thread::Result<OTelSdkResult>) -> bool {
        let complaint = match result {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the exporter panicked".to_owned(),
        };
        self.complaint = Some(complaint);
        false
    }
}

/// A text without what is secret in its URLs: credentials, and a query.
fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A password may have commas and brackets in it: only what no URL has ends one.
        let end = part
            .find([' ', '\t', '\n', '"', '<', '>'])
            .unwrap_or(part.len());
        let (url, rest) = part.split_at(end);
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = url.split_at(url.find('/').unwrap_or(url.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        told.extend(["://", host, path, rest]);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_not_repeated() {
        for (text, told) in [
            ("", ""),
            ("no collector", "no collector"),
            ("a@b: http://h/x@y", "a@b: http://h/x@y"),
            (
                "for url (http://me:s3cr3t@h:4318/v1)",
                "for url (http://h:4318/v1)",
            ),
            ("http://a@b@h and grpc://me@h?q=1", "http://h and grpc://h"),
            ("(http://me:pa,s)s'@h:4318/v1)", "(http://h:4318/v1)"),
            ("<http://me:a@h/v1?token=a,b>.", "<http://h/v1>."),
        ] {
            assert_eq!(without_credentials(text), told);
        }
    }
}
