//! The bodies of responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::page::body_places::Placed;
use crate::page::event_stream::EventStream;
use crate::page::trace_body::TraceBody;

/// A body of one piece, a trace, or a stream of events. A trace and a stream of events end when they lose their place.
pub(crate) enum ResponseBody {
    Whole(Option<Bytes>),
    Trace(Placed<TraceBody>),
    Events(Placed<EventStream>),
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self::Whole(Some(Bytes::from_static(text.as_bytes())))
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Whole(Some(bytes.into()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take()),
            Self::Trace(trace) => Poll::Ready(trace.read(TraceBody::next_piece).flatten()),
            Self::Events(events) => events
                .read(|events| events.poll_update(context))
                .unwrap_or(Poll::Ready(None)),
        };
        data.map(|data| data.map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Trace(trace) => trace.read(|trace| trace.is_ended()).unwrap_or(true),
            Self::Events(_) => false,
        }
    }
}
