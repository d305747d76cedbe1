//! The stream of server-sent events that keeps a page up to date.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::page::page_state::PageState;

/// The time between two updates.
const TICK: Duration = Duration::from_secs(1);

/// Sends the overview every second, and the list of traces when it changes. Nothing is stored for a browser: an update is
/// made when the connection has room for it, and says everything since the one before.
pub(crate) struct EventStream {
    state: Arc<PageState>,
    interval: Interval,
    /// The version of the list that was sent.
    sent: Option<u64>,
}

impl EventStream {
    pub(crate) fn new(state: Arc<PageState>) -> Self {
        let mut interval = interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            state,
            interval,
            sent: None,
        }
    }

    pub(crate) fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        match Pin::new(&mut self.interval).poll_tick(context) {
            Poll::Ready(_) => Poll::Ready(self.update()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn update(&mut self) -> Bytes {
        let mut text = event("overview", &self.state.overview(Instant::now()));
        if let Some((changes, version)) = self.state.trace_changes(self.sent) {
            text.push_str(&event("traces", &changes));
            self.sent = Some(version);
        }
        Bytes::from(text)
    }
}

/// JSON has no line breaks, so one line of data is the whole event.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
