//! The bodies of responses.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::OwnedSemaphorePermit;

use crate::page::event_stream::EventStream;

/// A body in pieces, which share their bytes with the stored spans, or a stream of events.
pub(crate) enum ResponseBody {
    Pieces {
        pieces: VecDeque<Bytes>,
        /// Limits how many bodies keep removed spans alive.
        _permit: Option<OwnedSemaphorePermit>,
    },
    Events(EventStream),
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::Pieces {
            pieces: [Bytes::from_static(text.as_bytes())].into(),
            _permit: None,
        }
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Pieces {
            pieces: [Bytes::from(bytes)].into(),
            _permit: None,
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Pieces { pieces, .. } => {
                Poll::Ready(pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
            }
            Self::Events(events) => events
                .poll_update(context)
                .map(|update| Some(Ok(Frame::data(update)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Pieces { pieces, .. } if pieces.is_empty())
    }
}
