//! What an exchange comes to, said in ten lines instead of a crate.

use http::StatusCode;
use tower_otel_core::Kind;

use crate::script::{Fault, Plan};

/// What has happened to an exchange, as somebody sees it who knows the script.
#[derive(Clone, Debug)]
pub enum Event {
    /// Foreign code unwound: the call, a poll, a question to the body, or a drop.
    Panicked,
    /// The service or its body returned an error.
    Failed(Fault),
    /// The response is there.
    Head(Head),
    /// A frame with so many bytes, after which the body says that it has ended, or not.
    Data { bytes: u64, ended: bool },
    /// Trailers, or `None`.
    Finished,
    /// Whoever waited or read has gone.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
pub struct Head {
    pub status: StatusCode,
    pub upgrades: bool,
    /// There can be no body, or it says that it has ended.
    pub bodiless: bool,
    /// How many bytes are promised.
    pub due: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Complete,
    Upgraded,
    Failed(Fault),
    Cancelled,
    Aborted,
    Panicked,
}

/// The status that was sent, and the end; `None` as long as there is no end.
pub fn reference(life: &[Event]) -> Option<(Option<StatusCode>, Ended)> {
    let (mut head, mut seen) = (None::<Head>, 0);
    let end = life.iter().find_map(|event| match *event {
        Event::Panicked => Some(Ended::Panicked),
        Event::Failed(fault) => Some(Ended::Failed(fault)),
        Event::Head(sent) => {
            head = Some(sent);
            match sent {
                Head { upgrades: true, .. } => Some(Ended::Upgraded),
                Head { bodiless, .. } => bodiless.then_some(Ended::Complete),
            }
        }
        Event::Data { bytes, ended } => {
            seen += bytes;
            ended.then_some(Ended::Complete)
        }
        Event::Finished => Some(Ended::Complete),
        Event::Dropped => Some(match head.map(|head| head.due) {
            None => Ended::Cancelled,
            Some(Some(due)) if seen >= due => Ended::Complete,
            Some(_) => Ended::Aborted,
        }),
    })?;
    Some((head.map(|head| head.status), end))
}

/// What all signals have to say of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub method: &'static str,
    /// The status code, where one was sent.
    pub code: Option<StatusCode>,
    /// The label of the counter.
    pub status: String,
    pub error: Option<String>,
    pub aborted: bool,
}

impl Verdict {
    pub fn of(kind: Kind, plan: &Plan, code: Option<StatusCode>, end: Ended) -> Self {
        let unanswered = match end {
            Ended::Panicked => "panic",
            Ended::Failed(_) => "error",
            _ => "cancelled",
        };
        let wrong = match kind {
            Kind::Server => 500,
            Kind::Client => 400,
        };
        let error = match (end, code, kind) {
            (Ended::Panicked, ..) => Some("panic".to_owned()),
            (Ended::Failed(Fault::TimedOut), ..) => Some("timeout".to_owned()),
            (Ended::Failed(Fault::Text), None, _) => Some("_OTHER".to_owned()),
            (Ended::Failed(Fault::Text), Some(_), _) => Some("body".to_owned()),
            (_, Some(code), _) if code.as_u16() >= wrong => Some(code.as_str().to_owned()),
            (Ended::Cancelled, _, Kind::Server) => Some("cancelled".to_owned()),
            (Ended::Aborted, _, Kind::Server) => Some("aborted".to_owned()),
            _ => None,
        };
        let whole = matches!(end, Ended::Complete | Ended::Upgraded);
        Self {
            method: plan.method,
            code,
            status: code.map_or(unanswered.to_owned(), |code| code.as_str().to_owned()),
            error,
            aborted: kind == Kind::Server && code.is_some() && !whole,
        }
    }
}
