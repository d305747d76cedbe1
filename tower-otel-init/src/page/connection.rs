//! One connection of a browser.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::page::routes::Routes;
use crate::page::stall_guard::StallGuard;

/// The maximum number of bytes of a request head, and of a response that waits to be sent.
const MAX_BUFFER: usize = 64 << 10;
/// The timeout of a request head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Serves requests until the client closes the connection, or does not read for `stall_limit`.
pub(crate) async fn serve<C>(connection: C, routes: Arc<Routes>, stall_limit: Duration)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let respond = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.respond(request).await) }
    });
    let connection = TokioIo::new(StallGuard::new(connection, stall_limit));
    // A client that disconnects is not an error.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(connection, respond)
        .await;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use prost::Message;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::runtime::Builder;

    use super::*;
    use crate::page::page_thread::PageThread;
    use crate::page::test_span::{source, span, text};
    use crate::page::{PageState, StatusSource};

    const GET_EVENTS: &[u8] = b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n";

    #[test]
    fn a_browser_that_stalls_is_dropped_and_nothing_is_stored_for_it() {
        let state = Arc::new(PageState::new("shop".to_owned()));
        let updates = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&updates);
        state.set_source(StatusSource {
            status: Box::new(move || {
                counted.fetch_add(1, Relaxed);
                Value::Null
            }),
            metrics: None,
        });
        for trace in 1..=100 {
            let mut span = span(trace, "GET /a");
            span.attributes.push(text("text", &"x".repeat(60_000)));
            state.add(&span.encode_to_vec(), &source("shop"));
        }
        let thread = PageThread::start(Arc::clone(&state)).unwrap();
        let routes = Arc::new(Routes::new(state, false, None, thread.jobs()));
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (own, mut stalled) = duplex(1024);
            let limit = Duration::from_millis(300);
            let served = tokio::spawn(serve(own, Arc::clone(&routes), limit));
            stalled.write_all(GET_EVENTS).await.unwrap();
            let (own, mut reading) = duplex(1024);
            let other = tokio::spawn(serve(own, routes, limit));
            reading.write_all(GET_EVENTS).await.unwrap();
            let read = tokio::spawn(async move {
                let (mut sum, mut buffer) = (0, vec![0; 4096]);
                while sum < 30_000 {
                    sum += reading.read(&mut buffer).await.unwrap();
                }
            });
            served.await.unwrap();
            read.await.unwrap();
            other.await.unwrap();
        });
        assert!(updates.load(Relaxed) > 1);
    }
}
