//! A plain service just inside of the layers, which keeps its own account of what came of every
//! request, and shares not a line with them.

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

use crate::app::{self, Answer};

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ending {
    /// A known method, or `_OTHER`.
    pub method: &'static str,
    pub route: Option<&'static str>,
    /// The status that was sent.
    pub code: Option<u16>,
    pub error: Option<String>,
    /// Whether there was a response that did not reach its end.
    pub aborted: bool,
}

impl Ending {
    /// The label of the counter.
    pub fn status(&self) -> String {
        match (self.code, self.error.as_deref()) {
            (Some(code), _) => code.to_string(),
            (None, Some("_OTHER")) => "error".to_owned(),
            (None, other) => other.unwrap_or_default().to_owned(),
        }
    }
}

/// The account of a server.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Account>>);

#[derive(Debug, Default)]
struct Account {
    begun: u64,
    answered: u64,
    endings: BTreeMap<Ending, u64>,
}

impl Ledger {
    pub fn begun(&self) -> u64 {
        self.0.lock().unwrap().begun
    }

    /// How many heads of responses were given to the server.
    pub fn answered(&self) -> u64 {
        self.0.lock().unwrap().answered
    }

    pub fn ended(&self) -> u64 {
        self.0.lock().unwrap().endings.values().sum()
    }

    pub fn endings(&self) -> BTreeMap<Ending, u64> {
        self.0.lock().unwrap().endings.clone()
    }

    /// The endings of several ledgers together.
    pub fn sum<'a>(ledgers: impl IntoIterator<Item = &'a Self>) -> BTreeMap<Ending, u64> {
        let mut endings = BTreeMap::new();
        for (ending, times) in ledgers.into_iter().flat_map(Self::endings) {
            *endings.entry(ending).or_default() += times;
        }
        endings
    }

    fn begin(&self, method: &Method, path: &str) -> Entry {
        self.0.lock().unwrap().begun += 1;
        let method = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"]
            .into_iter()
            .find(|known| method == known)
            .unwrap_or("_OTHER");
        Entry {
            ledger: self.clone(),
            head_only: method == "HEAD",
            ending: Some(Ending {
                method,
                route: app::matched(path),
                code: None,
                error: Some("cancelled".to_owned()),
                aborted: false,
            }),
        }
    }
}

/// One request. Dropped as it is, it ends as it is.
struct Entry {
    ledger: Ledger,
    head_only: bool,
    ending: Option<Ending>,
}

impl Entry {
    fn now_is(&mut self, error: &str) {
        if let Some(ending) = &mut self.ending {
            ending.error = Some(error.to_owned());
        }
    }

    /// There is a response, which is cut short from now on unless something else is said.
    fn answered(&mut self, code: u16) {
        self.ledger.0.lock().unwrap().answered += 1;
        if let Some(ending) = &mut self.ending {
            ending.code = Some(code);
            // An error of the status goes before that of a peer which has gone.
            ending.error = Some(match code {
                500.. => code.to_string(),
                _ => "aborted".to_owned(),
            });
            ending.aborted = true;
        }
    }

    /// The response has reached its end.
    fn whole(&mut self) {
        if let Some(ending) = &mut self.ending {
            ending.aborted = false;
            ending.error = ending.error.take().filter(|error| error != "aborted");
        }
        self.end();
    }

    fn end(&mut self) {
        if let Some(ending) = self.ending.take() {
            *self
                .ledger
                .0
                .lock()
                .unwrap()
                .endings
                .entry(ending)
                .or_default() += 1;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end();
    }
}

/// The application behind its ledger.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Ledger);

impl<B> Service<Request<B>> for Kept
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = Handling;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Handling {
        Handling {
            entry: Some(self.0.begin(request.method(), request.uri().path())),
            future: Box::pin(app::handle(request)),
        }
    }
}

pub struct Handling {
    entry: Option<Entry>,
    future: Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>>,
}

impl Future for Handling {
    type Output = Result<Answer, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        let mut entry = self.entry.take().expect("polled once to its end");
        match polled {
            Err(panic) => {
                entry.now_is("panic");
                drop(entry);
                resume_unwind(panic)
            }
            Ok(Poll::Ready(Ok(response))) => {
                let status = response.status();
                entry.answered(status.as_u16());
                if entry.head_only || status == 204 || response.body().is_end_stream() {
                    entry.whole();
                }
                let kept = response.map(|body| KeptBody { entry, body }.boxed_unsync());
                Poll::Ready(Ok(kept))
            }
            Ok(Poll::Ready(Err(error))) => {
                entry.now_is("_OTHER");
                Poll::Ready(Err(error))
            }
            Ok(Poll::Pending) => Poll::Pending,
        }
    }
}

struct KeptBody {
    entry: Entry,
    body: UnsyncBoxBody<Bytes, BoxError>,
}

impl Body for KeptBody {
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
                self.entry.now_is("body");
                self.entry.end();
            }
            Poll::Ready(Some(Ok(_))) if !self.body.is_end_stream() => {}
            Poll::Ready(_) => self.entry.whole(),
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
