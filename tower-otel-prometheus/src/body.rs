//! The response body of a scrape.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{scrape::Scrape, scrapes::ScrapePlace};

/// The body of a scrape, which is rendered while it is read.
pub struct MetricsBody(Option<(Scrape, ScrapePlace)>);

impl MetricsBody {
    pub(crate) const fn new(scrape: Scrape, place: ScrapePlace) -> Self {
        Self(Some((scrape, place)))
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
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((scrape, place)) = &mut self.0 else {
            return Poll::Ready(None);
        };
        if !place.is_held() {
            self.0 = None;
            let reason = "the scrape took too long, and its place was needed for another one";
            return Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, reason))));
        }
        let piece = scrape.next_piece();
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
