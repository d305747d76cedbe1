//! A body that follows a list of steps.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

pub(crate) enum Step {
    Data(&'static str),
    Trailers,
    /// The trailers of a gRPC call that has failed.
    FailedCall,
    Error,
    Pending,
    Panic,
}

/// A body that follows a list of steps.
#[derive(Default)]
pub(crate) struct ScriptedBody {
    steps: VecDeque<Step>,
    /// Whether `is_end_stream` is true after the last step.
    end_stream: bool,
    pub(crate) hint: SizeHint,
    pub(crate) panics_in_is_end_stream: bool,
    pub(crate) panics_in_drop: bool,
}

impl ScriptedBody {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn with_end_stream(mut self) -> Self {
        self.end_stream = true;
        self
    }

    pub(crate) fn exactly(mut self, bytes: u64) -> Self {
        self.hint = SizeHint::with_exact(bytes);
        self
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => {
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data.as_bytes())))))
            }
            Some(step @ (Step::Trailers | Step::FailedCall)) => {
                let mut trailers = HeaderMap::new();
                let failed = matches!(step, Step::FailedCall);
                let status = if failed { "5" } else { "0" };
                trailers.insert("grpc-status", HeaderValue::from_static(status));
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Some(Step::Error) => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
            Some(Step::Pending) => Poll::Pending,
            Some(Step::Panic) => panic!("the body panics"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        assert!(!self.panics_in_is_end_stream, "is_end_stream panics");
        self.end_stream && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        if self.panics_in_drop {
            panic!("the drop of the body panics");
        }
    }
}
