//! A reference model: the end of an exchange, computed from its events.

use http::StatusCode;
use tower_otel_core::Kind;

use crate::plan::{Fault, Plan};

/// An event of an exchange, known from its plan.
#[derive(Clone, Debug)]
pub enum Event {
    /// The service or the body panicked, in any of its methods or in a drop.
    Panicked,
    /// The service or its body returned an error.
    Failed(Fault),
    /// The service returned a response.
    Head(Head),
    /// The body returned data; `ended` is the result of `is_end_stream` after it.
    Data { bytes: u64, ended: bool },
    /// The body returned trailers or `None`.
    Finished,
    /// The caller dropped the future or the body.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub status: StatusCode,
    pub upgrades: bool,
    /// Whether the response cannot have a body, or `is_end_stream` is true from the start.
    pub bodiless: bool,
    /// The exact length of the body, if known.
    pub length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedEnd {
    Complete,
    Upgraded,
    Failed(Fault),
    Cancelled,
    Aborted,
    Panicked,
}

/// Returns the status that was sent and the end. `None` if the exchange has not ended.
pub fn reference(events: &[Event]) -> Option<(Option<StatusCode>, ExpectedEnd)> {
    let (mut head, mut seen) = (None::<Head>, 0);
    let finished = |head: Option<Head>, seen| match head.and_then(|head| head.length) {
        Some(length) if seen < length => ExpectedEnd::Failed(Fault::Text),
        _ => ExpectedEnd::Complete,
    };
    let end = events.iter().find_map(|event| match *event {
        Event::Panicked => Some(ExpectedEnd::Panicked),
        Event::Failed(fault) => Some(ExpectedEnd::Failed(fault)),
        Event::Head(sent) => {
            head = Some(sent);
            match sent {
                Head { upgrades: true, .. } => Some(ExpectedEnd::Upgraded),
                Head { bodiless, .. } => bodiless.then_some(ExpectedEnd::Complete),
            }
        }
        Event::Data { bytes, ended } => {
            seen += bytes;
            ended.then(|| finished(head, seen))
        }
        // A body that is shorter than its length has failed.
        Event::Finished => Some(finished(head, seen)),
        Event::Dropped => Some(match head.map(|head| head.length) {
            None => ExpectedEnd::Cancelled,
            Some(Some(length)) if seen >= length => ExpectedEnd::Complete,
            Some(_) => ExpectedEnd::Aborted,
        }),
    })?;
    Some((head.map(|head| head.status), end))
}

/// What every signal must record of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub method: &'static str,
    /// The status code, if one was sent.
    pub code: Option<StatusCode>,
    /// The label of the counter.
    pub status: String,
    pub error: Option<String>,
    pub aborted: bool,
}

impl Expected {
    pub fn of(kind: Kind, plan: &Plan, code: Option<StatusCode>, end: ExpectedEnd) -> Self {
        let no_response = match end {
            ExpectedEnd::Panicked => "panic",
            ExpectedEnd::Failed(_) => "error",
            _ => "cancelled",
        };
        let first_error = match kind {
            Kind::Server => 500,
            Kind::Client => 400,
        };
        let error = match (end, code, kind) {
            (ExpectedEnd::Panicked, ..) => Some("panic".to_owned()),
            (ExpectedEnd::Failed(Fault::TimedOut), ..) => Some("timeout".to_owned()),
            (ExpectedEnd::Failed(Fault::Text), None, _) => Some("_OTHER".to_owned()),
            (ExpectedEnd::Failed(Fault::Text), Some(_), _) => Some("body".to_owned()),
            (_, Some(code), _) if code.as_u16() >= first_error => Some(code.as_str().to_owned()),
            (ExpectedEnd::Cancelled, _, Kind::Server) => Some("cancelled".to_owned()),
            (ExpectedEnd::Aborted, _, Kind::Server) => Some("aborted".to_owned()),
            _ => None,
        };
        let complete = matches!(end, ExpectedEnd::Complete | ExpectedEnd::Upgraded);
        Self {
            method: plan.method,
            code,
            status: code.map_or(no_response.to_owned(), |code| code.as_str().to_owned()),
            error,
            aborted: kind == Kind::Server && code.is_some() && !complete,
        }
    }
}
