//! Services and bodies that follow a plan.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use suite_tests::net::BoxError;
use tower::Service;

use crate::reference::{Event, Head};

/// A plan of one exchange: its service, its body and its caller.
#[derive(Clone, Debug)]
pub struct Plan {
    pub method: &'static str,
    /// Whether a clone of the service is called.
    pub calls_clone: bool,
    pub call_panics: bool,
    /// The number of polls that return pending before the future is ready.
    pub pending: u8,
    pub outcome: Outcome,
    pub status: StatusCode,
    /// The value of `Content-Length`.
    pub length: Option<u64>,
    pub hint: Hint,
    pub steps: Vec<Step>,
    pub end_stream: EndStream,
    /// Whether dropping the future and dropping the body panics.
    pub drops_panic: (bool, bool),
    /// The number of steps after which the caller drops the future or the body.
    pub max_steps: usize,
    pub drop: DropMode,
}

#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Responds,
    Fails(Fault),
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TimedOut,
    Text,
}

/// The size hint of the body.
#[derive(Clone, Copy, Debug)]
pub enum Hint {
    Unknown,
    Correct,
    Exactly(u64),
    Panics,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    Data(u8),
    Trailers,
    Fails(Fault),
    Pending,
    Panics,
}

/// The results of `is_end_stream`.
#[derive(Clone, Debug)]
pub enum EndStream {
    Never,
    Correct,
    /// One result for each step taken, then the correct one.
    Scripted(Vec<EndStreamResult>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStreamResult {
    No,
    Yes,
    Panics,
}

#[derive(Clone, Copy, Debug)]
pub enum DropMode {
    Normal,
    /// During the unwinding of an unrelated panic.
    Unwinding,
}

impl Plan {
    /// The result of `is_end_stream` after `taken` steps.
    fn end_stream_after(&self, taken: usize) -> EndStreamResult {
        let correct = match taken >= self.steps.len() {
            true => EndStreamResult::Yes,
            false => EndStreamResult::No,
        };
        match &self.end_stream {
            EndStream::Never => EndStreamResult::No,
            EndStream::Correct => correct,
            EndStream::Scripted(results) => results.get(taken).copied().unwrap_or(correct),
        }
    }

    /// The exact size in the size hint.
    fn exact(&self) -> Option<u64> {
        match self.hint {
            Hint::Unknown | Hint::Panics => None,
            Hint::Exactly(bytes) => Some(bytes),
            Hint::Correct => Some(self.steps.iter().map(Step::bytes).sum()),
        }
    }

    /// The event that the response head causes.
    pub fn head(&self) -> Event {
        let ended = self.end_stream_after(0);
        if ended == EndStreamResult::Panics || matches!(self.hint, Hint::Panics) {
            return Event::Panicked;
        }
        let tunnel = self.method == "CONNECT" && self.status.is_success();
        Event::Head(Head {
            status: self.status,
            upgrades: self.status == 101 || tunnel,
            bodiless: self.method == "HEAD"
                || matches!(self.status.as_u16(), 100..=199 | 204 | 304)
                || ended == EndStreamResult::Yes,
            length: self.exact().or(self.length),
        })
    }

    /// The event that a poll of the body after `taken` steps causes. `None` if the poll is pending.
    pub fn frame(&self, taken: usize) -> Option<Event> {
        let step = self.steps.get(taken);
        let ended = match step {
            Some(Step::Pending) => return None,
            Some(Step::Panics) => return Some(Event::Panicked),
            None => self.end_stream_after(taken),
            Some(_) => self.end_stream_after(taken + 1),
        };
        Some(match step {
            _ if ended == EndStreamResult::Panics => Event::Panicked,
            Some(Step::Fails(fault)) => Event::Failed(*fault),
            Some(Step::Data(bytes)) => Event::Data {
                bytes: u64::from(*bytes),
                ended: ended == EndStreamResult::Yes,
            },
            _ => Event::Finished,
        })
    }

    /// Removes panics that would occur during an unwinding, which abort the process.
    pub fn without_double_panics(mut self) -> Self {
        if matches!(self.head(), Event::Panicked) || matches!(self.drop, DropMode::Unwinding) {
            self.drops_panic.1 = false;
        }
        if matches!(self.drop, DropMode::Unwinding) {
            self.drops_panic.0 = false;
        }
        self
    }
}

impl Step {
    fn bytes(&self) -> u64 {
        match self {
            Self::Data(bytes) => u64::from(*bytes),
            _ => 0,
        }
    }
}

impl Fault {
    fn error(self) -> BoxError {
        match self {
            Self::TimedOut => std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
            Self::Text => "something else".into(),
        }
    }
}

/// Unwinds like a panic, without printing a message.
fn unwind() -> ! {
    resume_unwind(Box::new(()))
}

/// A service that follows the plan in the request.
#[derive(Clone, Copy)]
pub struct Scripted;

impl Service<Request<Plan>> for Scripted {
    type Response = Response<ScriptedBody>;
    type Error = BoxError;
    type Future = ScriptedFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Plan>) -> ScriptedFuture {
        let plan = request.into_body();
        if plan.call_panics {
            unwind();
        }
        ScriptedFuture {
            pending: plan.pending,
            plan,
        }
    }
}

pub struct ScriptedFuture {
    plan: Plan,
    pending: u8,
}

impl Future for ScriptedFuture {
    type Output = Result<Response<ScriptedBody>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(pending) = self.pending.checked_sub(1) {
            self.pending = pending;
            return Poll::Pending;
        }
        let plan = self.plan.clone();
        Poll::Ready(match plan.outcome {
            Outcome::Panics => unwind(),
            Outcome::Fails(fault) => Err(fault.error()),
            Outcome::Responds => {
                let mut response = Response::builder().status(plan.status);
                if let Some(length) = plan.length {
                    response = response.header(header::CONTENT_LENGTH, length);
                }
                let steps = plan.steps.clone().into();
                let body = ScriptedBody {
                    plan,
                    steps,
                    taken: 0,
                };
                Ok(response.body(body).unwrap())
            }
        })
    }
}

impl Drop for ScriptedFuture {
    fn drop(&mut self) {
        if self.plan.drops_panic.0 {
            unwind();
        }
    }
}

pub struct ScriptedBody {
    plan: Plan,
    steps: VecDeque<Step>,
    taken: usize,
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(step) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        self.taken += 1;
        Poll::Ready(Some(match step {
            Step::Pending => return Poll::Pending,
            Step::Panics => unwind(),
            Step::Data(bytes) => Ok(Frame::data(vec![b'.'; usize::from(bytes)].into())),
            Step::Trailers => Ok(Frame::trailers(HeaderMap::new())),
            Step::Fails(fault) => Err(fault.error()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        match self.plan.end_stream_after(self.taken) {
            EndStreamResult::No => false,
            EndStreamResult::Yes => true,
            EndStreamResult::Panics => unwind(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if let Hint::Panics = self.plan.hint {
            unwind();
        }
        match self.plan.exact() {
            Some(bytes) => SizeHint::with_exact(bytes),
            None => SizeHint::new(),
        }
    }
}

impl Drop for ScriptedBody {
    fn drop(&mut self) {
        if self.plan.drops_panic.1 {
            unwind();
        }
    }
}
