//! A service inside of the layers that counts the outcome of every request. It shares no code with
//! the layers.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use suite_tests::net::BoxError;
use tower::Service;

use crate::app::{self, AppResponse, InnerSpans};

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// A known method, or `_OTHER`.
    pub method: &'static str,
    pub route: Option<&'static str>,
    /// The status code that was sent.
    pub code: Option<u16>,
    pub error: Option<String>,
    /// Whether a response started and did not complete.
    pub aborted: bool,
}

impl Outcome {
    /// Returns the `status` label of the request counter.
    pub fn status(&self) -> String {
        match (self.code, self.error.as_deref()) {
            (Some(code), _) => code.to_string(),
            (None, Some("_OTHER")) => "error".to_owned(),
            (None, other) => other.unwrap_or_default().to_owned(),
        }
    }
}

/// The counts of a server.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Totals>>);

#[derive(Debug, Default)]
struct Totals {
    started: u64,
    responses: u64,
    outcomes: BTreeMap<Outcome, u64>,
}

impl Ledger {
    pub fn started(&self) -> u64 {
        self.0.lock().unwrap().started
    }

    /// Returns the number of responses that were passed to the server.
    pub fn responses(&self) -> u64 {
        self.0.lock().unwrap().responses
    }

    pub fn ended(&self) -> u64 {
        self.0.lock().unwrap().outcomes.values().sum()
    }

    pub fn outcomes(&self) -> BTreeMap<Outcome, u64> {
        self.0.lock().unwrap().outcomes.clone()
    }

    /// Returns the summed outcomes of several ledgers.
    pub fn sum<'a>(ledgers: impl IntoIterator<Item = &'a Self>) -> BTreeMap<Outcome, u64> {
        let mut outcomes = BTreeMap::new();
        for (outcome, times) in ledgers.into_iter().flat_map(Self::outcomes) {
            *outcomes.entry(outcome).or_default() += times;
        }
        outcomes
    }

    fn begin(&self, method: &Method, path: &str) -> LedgerEntry {
        self.0.lock().unwrap().started += 1;
        let method = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]
            .into_iter()
            .find(|known| method == known)
            .unwrap_or("_OTHER");
        LedgerEntry {
            ledger: self.clone(),
            head_only: method == "HEAD",
            outcome: Some(Outcome {
                method,
                route: app::route_of_path(path),
                code: None,
                error: Some("cancelled".to_owned()),
                aborted: false,
            }),
        }
    }
}

/// One request. Dropping the entry records its current outcome.
struct LedgerEntry {
    ledger: Ledger,
    head_only: bool,
    outcome: Option<Outcome>,
}

impl LedgerEntry {
    fn set_error(&mut self, error: &str) {
        if let Some(outcome) = &mut self.outcome {
            outcome.error = Some(error.to_owned());
        }
    }

    /// Records the response. The outcome is `aborted` until the body completes.
    fn response(&mut self, code: u16) {
        self.ledger.0.lock().unwrap().responses += 1;
        if let Some(outcome) = &mut self.outcome {
            outcome.code = Some(code);
            // An error status takes precedence over a disconnected client.
            outcome.error = Some(match code {
                500.. => code.to_string(),
                _ => "aborted".to_owned(),
            });
            outcome.aborted = true;
        }
    }

    /// Records that the body has completed.
    fn complete(&mut self) {
        if let Some(outcome) = &mut self.outcome {
            outcome.aborted = false;
            outcome.error = outcome.error.take().filter(|error| error != "aborted");
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            *self
                .ledger
                .0
                .lock()
                .unwrap()
                .outcomes
                .entry(outcome)
                .or_default() += 1;
        }
    }
}

impl Drop for LedgerEntry {
    fn drop(&mut self) {
        self.end();
    }
}

/// The application, with its ledger.
#[derive(Clone, Debug, Default)]
pub struct LedgerService {
    ledger: Ledger,
    /// Counts the spans of the application. `None` if it has no spans.
    inner_spans: Option<InnerSpans>,
}

impl LedgerService {
    pub const fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            inner_spans: None,
        }
    }

    /// Returns the application with spans inside of each request.
    pub const fn with_inner_spans(ledger: Ledger, inner_spans: InnerSpans) -> Self {
        Self {
            ledger,
            inner_spans: Some(inner_spans),
        }
    }
}

impl<B> Service<Request<B>> for LedgerService
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = AppResponse;
    type Error = BoxError;
    type Future = LedgerFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> LedgerFuture {
        LedgerFuture {
            entry: Some(self.ledger.begin(request.method(), request.uri().path())),
            future: match &self.inner_spans {
                Some(spans) => Box::pin(app::handle_in_spans(request, spans.clone())),
                None => Box::pin(app::handle(request)),
            },
        }
    }
}

pub struct LedgerFuture {
    entry: Option<LedgerEntry>,
    future: Pin<Box<dyn Future<Output = Result<AppResponse, BoxError>> + Send>>,
}

impl Future for LedgerFuture {
    type Output = Result<AppResponse, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        let mut entry = self.entry.take().expect("polled after completion");
        match polled {
            Err(panic) => {
                entry.set_error("panic");
                drop(entry);
                resume_unwind(panic)
            }
            Ok(Poll::Ready(Ok(response))) => {
                let status = response.status();
                entry.response(status.as_u16());
                if entry.head_only || status == 204 || response.body().is_end_stream() {
                    entry.complete();
                }
                let response = response.map(|body| LedgerBody { entry, body }.boxed_unsync());
                Poll::Ready(Ok(response))
            }
            Ok(Poll::Ready(Err(error))) => {
                entry.set_error("_OTHER");
                Poll::Ready(Err(error))
            }
            Ok(Poll::Pending) => Poll::Pending,
        }
    }
}

struct LedgerBody {
    entry: LedgerEntry,
    body: UnsyncBoxBody<Bytes, BoxError>,
}

impl Body for LedgerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Err(_))) => {
                self.entry.set_error("body");
                self.entry.end();
            }
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(_) => self.entry.complete(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
