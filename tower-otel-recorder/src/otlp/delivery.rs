//! Sends a batch in requests of a bounded size, with retries. Splits requests that the collector refuses for their size.

use std::{mem, ops::Range};

use crate::{
    exporter::Outcome,
    otlp::{answer::Answer, backoff::Backoff, batch::Batch, client::Client, runtime::Deadline},
};

/// The maximum uncompressed size of a request with several spans. Receivers accept 4 MiB by default.
const MAX_REQUEST: usize = 4 * 1024 * 1024 - 64 * 1024;

/// The maximum number of requests of a batch that are refused for their size. The remaining spans then fail.
const MAX_REFUSALS: usize = 64;

/// Sends a batch until the deadline and returns the number of spans by result. The batch is empty afterwards, even after
/// a panic.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) client: &'a mut Client,
    pub(crate) batch: &'a mut Batch,
    pub(crate) gzip: bool,
    pub(crate) outcome: Outcome,
    pub(crate) refusals: Refusals,
}

/// The requests of a batch that were refused for their size.
///
/// Some collectors refuse requests with the same status because of a rate limit or a quota.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    requests: usize,
    /// The number of these requests with a single span.
    single_spans: usize,
}

impl Refusals {
    /// Returns whether smaller requests would probably also be refused.
    const fn are_final(&self, exported: usize) -> bool {
        self.requests >= MAX_REFUSALS || (self.single_spans > 1 && exported == 0)
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.batch.clear();
    }
}

impl Delivery<'_> {
    pub(crate) async fn run(mut self, deadline: Deadline<'_>) -> Outcome {
        self.batch.sort();
        let mut start = 0;
        while start < self.batch.len() {
            let end = self.batch.end_of_request(start, MAX_REQUEST);
            if let Some(reason) = self.send_all(start..end, deadline).await {
                let spans = self.outcome.spans;
                let left = self.batch.len() - spans.exported - spans.rejected - spans.failed;
                self.outcome.fail(left, reason);
                break;
            }
            start = end;
        }
        mem::take(&mut self.outcome)
    }

    /// Sends a part of the batch. Splits it in halves if it is refused for its size. A refused single span has failed.
    /// Returns the reason if the collector refuses requests regardless of their size.
    async fn send_all(&mut self, part: Range<usize>, deadline: Deadline<'_>) -> Option<String> {
        let mut parts = vec![part];
        while let Some(part) = parts.pop() {
            let spans = part.len();
            match self.send(part.clone(), deadline).await {
                Answer::Accepted { rejected, message } => {
                    let rejected = usize::try_from(rejected).unwrap_or(spans).min(spans);
                    self.outcome.spans.exported += spans - rejected;
                    self.outcome.spans.rejected += rejected;
                    if rejected > 0 {
                        self.outcome.rejection = message;
                    }
                }
                Answer::TooLarge(reason) => {
                    self.refusals.requests += 1;
                    self.refusals.single_spans += usize::from(spans == 1);
                    let accepted = self.outcome.spans.exported + self.outcome.spans.rejected;
                    if self.refusals.are_final(accepted) {
                        return Some(reason);
                    }
                    if spans == 1 {
                        let reason = format!("a single span is too large: {reason}");
                        self.outcome.fail(1, reason);
                    } else {
                        let middle = part.start + spans / 2;
                        parts.extend([middle..part.end, part.start..middle]);
                    }
                }
                Answer::Failed(reason)
                | Answer::Unreachable(reason)
                | Answer::Retry { reason, .. } => {
                    self.outcome.fail(spans, reason);
                }
            }
        }
        None
    }

    /// Sends a request until it is accepted, has failed finally, or the deadline is over. Returns a failure instead of a retry.
    ///
    /// Without a connection, it is sent only once while a flush or a shutdown is requested.
    async fn send(&mut self, part: Range<usize>, deadline: Deadline<'_>) -> Answer {
        let body = match self.client.body(self.batch, part, self.gzip) {
            Ok(body) => body,
            Err(error) => return Answer::Failed(format!("cannot compress: {error}")),
        };
        let mut backoff = Backoff::new();
        let mut last = None;
        loop {
            let answer = deadline.limit(self.client.send(body.clone())).await;
            let Some(answer) = answer else {
                self.client.reconnect();
                return Answer::Failed(match last {
                    Some(reason) => format!("timed out after a retry: {reason}"),
                    None => "timed out: the collector does not respond".to_owned(),
                });
            };
            let (reason, after, is_unreachable) = match answer {
                Answer::Retry { reason, after } => (reason, after, false),
                Answer::Unreachable(reason) => (reason, None, true),
                answer => return answer,
            };
            if !deadline.pause(backoff.delay(after), is_unreachable).await {
                return Answer::Failed(match after {
                    Some(after) => {
                        format!(
                            "{reason} (the collector asks to wait for {after:?}, longer than the timeout)"
                        )
                    }
                    None => reason,
                });
            }
            last = Some(reason);
        }
    }
}
