//! Long-lived responses: streams of events, and upgraded connections.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use http::{HeaderMap, header::CONTENT_TYPE};
use pin_project_lite::pin_project;

use crate::head::ResponseHead;

/// A response extension that marks a [long-lived stream](crate#long-lived-streams) or an upgraded connection.
///
/// A response with the `Content-Type` `text/event-stream` does not need it.
///
/// # Streams
///
/// ```
/// use http::Response;
/// use tower_otel_core::LongLived;
///
/// fn rows<B>(body: B) -> Response<B> {
///     let mut response = Response::new(body);
///     response.extensions_mut().insert(LongLived::default());
///     response
/// }
/// ```
///
/// With axum, a handler returns `(Extension(LongLived::default()), body)`.
///
/// # Upgraded connections
///
/// The exchange of an upgrade ends when the response head arrives. [`run`](Self::run) observes the connection that follows.
/// The handler inserts a clone into the response:
///
/// ```
/// # use std::future::Future;
/// # struct WebSocket;
/// # struct WebSocketUpgrade;
/// # impl WebSocketUpgrade {
/// #     fn on_upgrade<F: Future>(self, _: impl FnOnce(WebSocket) -> F) -> http::Response<()> {
/// #         http::Response::new(())
/// #     }
/// # }
/// # type Response = http::Response<()>;
/// use tower_otel_core::LongLived;
///
/// // `WebSocketUpgrade`, `WebSocket` and `Response` are those of axum.
/// async fn chat(upgrade: WebSocketUpgrade) -> Response {
///     let connection = LongLived::default();
///     let extension = connection.clone();
///     let mut response = upgrade.on_upgrade(|socket| connection.run(talk(socket)));
///     response.extensions_mut().insert(extension);
///     response
/// }
///
/// async fn talk(socket: WebSocket) {
///     // Receive and send messages.
///     # drop(socket);
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LongLived(Arc<Mutex<Vec<Observer>>>);

/// An observer of a connection. Dropping it ends the observation.
struct Observer(Box<CallInside>);

/// Calls code inside the context of an observer.
type CallInside = dyn FnMut(&mut dyn FnMut()) + Send;

impl LongLived {
    /// Returns a future that runs the upgraded connection and returns its output. Until the connection ends, the metrics layer
    /// counts it as an open stream, and the trace layer runs it inside a separate span, with a link to the span of the request.
    pub fn run<F: Future>(self, connection: F) -> impl Future<Output = F::Output> {
        Connection {
            inner: connection,
            observers: Vec::new(),
            long_lived: self,
        }
    }

    /// Adds an observer of the upgraded connection. The observer is dropped when the connection ends. Observers are added from
    /// the innermost to the outermost.
    #[doc(hidden)]
    pub fn observe(&self, observer: impl FnMut(&mut dyn FnMut()) + Send + 'static) {
        let mut observers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        observers.push(Observer(Box::new(observer)));
    }

    fn take(&self) -> Vec<Observer> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

pin_project! {
    struct Connection<F> {
        // Dropped before the observers.
        #[pin]
        inner: F,
        observers: Vec<Observer>,
        long_lived: LongLived,
    }
}

impl<F: Future> Future for Connection<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        // The layers add observers when they return the response. That may be after the first poll.
        this.observers.append(&mut this.long_lived.take());
        let mut inner = this.inner;
        let mut polled = Poll::Pending;
        inside(this.observers, &mut || polled = inner.as_mut().poll(cx));
        if polled.is_ready() {
            this.observers.clear();
        }
        polled
    }
}

/// Calls code inside the contexts of all observers. The last one is the outermost.
fn inside(observers: &mut [Observer], code: &mut dyn FnMut()) {
    match observers.split_last_mut() {
        None => code(),
        Some((Observer(outer), inner)) => outer(&mut || inside(inner, code)),
    }
}

/// Returns whether a response of unknown length is a long-lived stream.
pub(crate) fn is_long_lived(response: &dyn ResponseHead) -> bool {
    response.extensions().get::<LongLived>().is_some() || is_event_stream(response.headers())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    let content_type = headers.get(CONTENT_TYPE);
    let split =
        content_type.and_then(|value| value.as_bytes().split_at_checked(EVENT_STREAM.len()));
    split.is_some_and(|(media_type, parameters)| {
        media_type.eq_ignore_ascii_case(EVENT_STREAM)
            && matches!(parameters.first(), None | Some(b';' | b' '))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::pin,
        task::Waker,
    };

    use http::HeaderValue;

    use super::*;

    type Events = Arc<Mutex<Vec<&'static str>>>;

    struct Ends(Events, &'static str);

    impl Drop for Ends {
        fn drop(&mut self) {
            add(&self.0, self.1);
        }
    }

    fn add(events: &Events, event: &'static str) {
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }

    fn taken(events: &Events) -> Vec<&'static str> {
        mem::take(&mut *events.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn observe(long_lived: &LongLived, events: &Events, names: [&'static str; 3]) {
        let [enters, exits, ends] = names;
        let ends = Ends(Arc::clone(events), ends);
        long_lived.observe(move |code| {
            add(&ends.0, enters);
            code();
            add(&ends.0, exits);
        });
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_connection_runs_inside_of_its_observers_which_end_with_it() {
        let events = Events::default();
        let connection = LongLived::default();
        observe(&connection, &events, ["<in", "in>", "in ends"]);
        observe(&connection, &events, ["<out", "out>", "out ends"]);
        let mut running = pin!(connection.run(ready(())));
        assert!(poll(running.as_mut()).is_ready());
        let expected = ["<out", "<in", "in>", "out>", "in ends", "out ends"];
        assert_eq!(taken(&events), expected);
    }

    #[test]
    fn observers_that_are_added_late_end_with_a_connection_that_is_dropped() {
        let events = Events::default();
        let connection = LongLived::default();
        let mut running = Box::pin(connection.clone().run(pending::<()>()));
        assert!(poll(running.as_mut()).is_pending());
        observe(&connection, &events, ["<", ">", "ends"]);
        drop(connection);
        assert!(poll(running.as_mut()).is_pending());
        assert_eq!(taken(&events), ["<", ">"]);
        drop(running);
        assert_eq!(taken(&events), ["ends"]);
    }

    #[test]
    fn a_connection_that_never_runs_ends_with_its_last_handle() {
        let events = Events::default();
        let connection = LongLived::default();
        observe(&connection, &events, ["<", ">", "ends"]);
        let clone = connection.clone();
        drop(connection);
        assert_eq!(taken(&events), [""; 0]);
        drop(clone);
        assert_eq!(taken(&events), ["ends"]);
    }

    #[test]
    fn an_event_stream_has_its_content_type() {
        for (content_type, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-stream-v2", false),
            ("text/event", false),
            ("text/plain", false),
        ] {
            let value = HeaderValue::from_static(content_type);
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            assert_eq!(is_event_stream(&headers), expected, "{content_type}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
