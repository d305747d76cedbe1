//! The response body of a scrape.

use std::{
    fmt, io, mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{scrape::Scrape, scrapes::ScrapePermit};

/// The response body of a scrape. It is rendered while it is read.
///
/// After each piece the body is pending once, so that other tasks of the thread run before the next piece. If the scrape is
/// evicted, the body fails with `ErrorKind::TimedOut`.
pub struct MetricsBody(Option<RunningScrape>);

struct RunningScrape {
    scrape: Scrape,
    permit: ScrapePermit,
    yields_next: bool,
}

impl MetricsBody {
    pub(crate) const fn new(scrape: Scrape, permit: ScrapePermit) -> Self {
        Self(Some(RunningScrape {
            scrape,
            permit,
            yields_next: false,
        }))
    }

    pub(crate) const fn empty() -> Self {
        Self(None)
    }
}

impl fmt::Debug for MetricsBody {
    /// Omits the recorded values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsBody")
            .field("is_at_end", &self.0.is_none())
            .finish()
    }
}

impl Body for MetricsBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(running) = &mut self.0 else {
            return Poll::Ready(None);
        };
        if mem::replace(&mut running.yields_next, true) {
            running.yields_next = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !running.permit.is_valid() {
            self.0 = None;
            let reason = "the scrape took too long and was evicted for another one";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, reason))));
        }
        let piece = running.scrape.next_piece();
        if piece.is_none() {
            self.0 = None;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.0 {
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}
