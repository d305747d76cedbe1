//! Services and bodies that do what a plan says, and plans of all kinds.

use std::{
    collections::VecDeque,
    panic::resume_unwind,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use proptest::{collection::vec, prelude::*, sample::select};
use suite_tests::net::BoxError;
use tower::Service;

use crate::reference::{Event, Head};

/// The script of one exchange, and of whoever waits for it.
#[derive(Clone, Debug)]
pub struct Plan {
    pub method: &'static str,
    pub on_a_clone: bool,
    pub call_panics: bool,
    /// How often the future is pending before it is ready.
    pub pending: u8,
    pub outcome: Outcome,
    pub status: StatusCode,
    /// What `Content-Length` says.
    pub length: Option<u64>,
    pub hint: Hint,
    pub steps: Vec<Step>,
    pub says: Says,
    /// What panics when it is dropped: the future, the body.
    pub drops_panic: (bool, bool),
    /// After so many moves of its own it is dropped.
    pub patience: usize,
    pub drop: Drops,
}

#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    Answers,
    Fails(Fault),
    Panics,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    TimedOut,
    Text,
}

/// What the body says of its size.
#[derive(Clone, Copy, Debug)]
pub enum Hint {
    Nothing,
    Truth,
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

/// What the body says when it is asked whether it has ended.
#[derive(Clone, Debug)]
pub enum Says {
    Never,
    Truth,
    /// One answer for each step that was taken, and then the truth.
    Scripted(Vec<Answer>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    No,
    Yes,
    Panics,
}

#[derive(Clone, Copy, Debug)]
pub enum Drops {
    Plainly,
    /// By an unwinding that is not its own.
    Unwinding,
}

impl Plan {
    /// What the body answers after so many of its steps.
    fn answer(&self, taken: usize) -> Answer {
        let truth = match taken >= self.steps.len() {
            true => Answer::Yes,
            false => Answer::No,
        };
        match &self.says {
            Says::Never => Answer::No,
            Says::Truth => truth,
            Says::Scripted(answers) => answers.get(taken).copied().unwrap_or(truth),
        }
    }

    /// How many bytes the body says it has.
    fn exact(&self) -> Option<u64> {
        match self.hint {
            Hint::Nothing | Hint::Panics => None,
            Hint::Exactly(bytes) => Some(bytes),
            Hint::Truth => Some(self.steps.iter().map(Step::bytes).sum()),
        }
    }

    /// What the head of the response means.
    pub fn head(&self) -> Event {
        let says = self.answer(0);
        if says == Answer::Panics || matches!(self.hint, Hint::Panics) {
            return Event::Panicked;
        }
        let tunnel = self.method == "CONNECT" && self.status.is_success();
        Event::Head(Head {
            status: self.status,
            upgrades: self.status == 101 || tunnel,
            bodiless: self.method == "HEAD"
                || matches!(self.status.as_u16(), 100..=199 | 204 | 304)
                || says == Answer::Yes,
            due: self.exact().or(self.length),
        })
    }

    /// What it means that the body was polled after so many steps; nothing where it was pending.
    pub fn frame(&self, taken: usize) -> Option<Event> {
        let step = self.steps.get(taken);
        let says = match step {
            Some(Step::Pending) => return None,
            Some(Step::Panics) => return Some(Event::Panicked),
            None => self.answer(taken),
            Some(_) => self.answer(taken + 1),
        };
        Some(match step {
            _ if says == Answer::Panics => Event::Panicked,
            Some(Step::Fails(fault)) => Event::Failed(*fault),
            Some(Step::Data(bytes)) => Event::Data {
                bytes: u64::from(*bytes),
                ended: says == Answer::Yes,
            },
            _ => Event::Finished,
        })
    }

    /// Without what would make Rust itself abort: a panic while one unwinds.
    fn survivable(mut self) -> Self {
        if matches!(self.head(), Event::Panicked) || matches!(self.drop, Drops::Unwinding) {
            self.drops_panic.1 = false;
        }
        if matches!(self.drop, Drops::Unwinding) {
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

/// Unwinds as a panic does, without a message for each.
fn panics() -> ! {
    resume_unwind(Box::new(()))
}

/// Does what the plan in the request says.
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
            panics();
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
            Outcome::Panics => panics(),
            Outcome::Fails(fault) => Err(fault.error()),
            Outcome::Answers => {
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
            panics();
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
            Step::Panics => panics(),
            Step::Data(bytes) => Ok(Frame::data(vec![b'.'; usize::from(bytes)].into())),
            Step::Trailers => Ok(Frame::trailers(HeaderMap::new())),
            Step::Fails(fault) => Err(fault.error()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        match self.plan.answer(self.taken) {
            Answer::No => false,
            Answer::Yes => true,
            Answer::Panics => panics(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if let Hint::Panics = self.plan.hint {
            panics();
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
            panics();
        }
    }
}

// === plans of all kinds ===

fn fault() -> impl Strategy<Value = Fault> {
    select(vec![Fault::TimedOut, Fault::Text])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Step::Data),
        2 => Just(Step::Pending),
        1 => Just(Step::Trailers),
        1 => fault().prop_map(Step::Fails),
        1 => Just(Step::Panics),
    ]
}

fn says() -> impl Strategy<Value = Says> {
    let answer = prop_oneof![
        8 => Just(Answer::No),
        3 => Just(Answer::Yes),
        1 => Just(Answer::Panics),
    ];
    prop_oneof![
        2 => Just(Says::Never),
        1 => Just(Says::Truth),
        1 => vec(answer, 0..6).prop_map(Says::Scripted),
    ]
}

/// How the service answers: the future, the head.
fn answers() -> impl Strategy<Value = (bool, u8, Outcome, StatusCode, Option<u64>)> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Answers),
        1 => fault().prop_map(Outcome::Fails),
        1 => Just(Outcome::Panics),
    ];
    let status = prop_oneof![
        4 => Just(200_u16),
        2 => select(vec![404, 500, 503, 206]),
        2 => select(vec![101, 103, 204, 304]),
    ];
    (
        prop::bool::weighted(0.05),
        0..3_u8,
        outcome,
        status.prop_map(|status| StatusCode::from_u16(status).unwrap()),
        proptest::option::weighted(0.2, 0..8_u64),
    )
}

/// How the body behaves.
fn bodies() -> impl Strategy<Value = (Hint, Vec<Step>, Says)> {
    let hint = prop_oneof![
        8 => Just(Hint::Nothing),
        8 => Just(Hint::Truth),
        4 => (0..8_u64).prop_map(Hint::Exactly),
        1 => Just(Hint::Panics),
    ];
    (hint, vec(step(), 0..5), says())
}

/// Who waits for it, and how long.
fn callers() -> impl Strategy<Value = (&'static str, bool, (bool, bool), usize, Drops)> {
    (
        prop_oneof![
            6 => Just("GET"),
            1 => Just("POST"),
            2 => Just("HEAD"),
            1 => Just("CONNECT"),
        ],
        any::<bool>(),
        (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        1..10_usize,
        prop_oneof![4 => Just(Drops::Plainly), 1 => Just(Drops::Unwinding)],
    )
}

pub fn plan() -> impl Strategy<Value = Plan> {
    (callers(), answers(), bodies()).prop_map(|(caller, answer, body)| {
        let (method, on_a_clone, drops_panic, patience, drop) = caller;
        let (call_panics, pending, outcome, status, length) = answer;
        let (hint, steps, says) = body;
        let plan = Plan {
            method,
            on_a_clone,
            call_panics,
            pending,
            outcome,
            status,
            length,
            hint,
            steps,
            says,
            drops_panic,
            patience,
            drop,
        };
        plan.survivable()
    })
}
