//! The stream of server-sent events that updates a page.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::page::page_state::PageState;
use crate::page::page_thread::PageJobs;

/// The time between two updates.
const TICK: Duration = Duration::from_secs(1);

/// Sends the overview every second, and the list of traces when it changes. No update is queued for a browser: an update is
/// made when the connection has room for it, and contains all changes since the previous update.
pub(crate) struct EventStream {
    state: Arc<PageState>,
    jobs: PageJobs,
    interval: Interval,
    /// The update that the page's thread is making.
    next: Option<oneshot::Receiver<Update>>,
    /// The version of the list of traces that was sent last.
    sent: Option<u64>,
}

struct Update {
    text: String,
    version: Option<u64>,
}

impl EventStream {
    pub(crate) fn new(state: Arc<PageState>, jobs: PageJobs) -> Self {
        let mut interval = interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            state,
            jobs,
            interval,
            next: None,
            sent: None,
        }
    }

    /// Returns the next update. Returns `None` if the thread is stopped or overloaded: the stream ends, and the browser
    /// reconnects.
    pub(crate) fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let next = match &mut self.next {
            Some(next) => next,
            None => {
                ready!(Pin::new(&mut self.interval).poll_tick(context));
                let (state, sent) = (Arc::clone(&self.state), self.sent);
                let update = self.jobs.run(move || update(&state, sent));
                self.next.insert(update)
            }
        };
        let update = ready!(Pin::new(next).poll(context));
        self.next = None;
        Poll::Ready(update.ok().map(|update| {
            self.sent = update.version;
            update.text.into()
        }))
    }
}

fn update(state: &PageState, sent: Option<u64>) -> Update {
    let mut text = event("overview", &state.overview(Instant::now()));
    let (changes, version) = state.trace_changes(sent);
    for part in &changes {
        text.push_str(&event("traces", part));
    }
    Update { text, version }
}

/// Returns an event with one line of data. JSON without formatting has no line breaks.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
