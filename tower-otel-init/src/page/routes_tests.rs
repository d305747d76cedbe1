#![allow(clippy::unwrap_used)]

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt, Full};
use prost::Message;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::*;
use crate::page::page_thread::PageThread;
use crate::page::test_span::span;

/// Returns routes with one trace, and the thread that they need.
fn routes() -> (Routes, PageThread) {
    let state = Arc::new(PageState::new("shop".to_owned()));
    state.add(
        &span(1, "GET /a").encode_to_vec(),
        state.own_sources().with_scope(""),
    );
    let thread = PageThread::start(Arc::clone(&state)).unwrap();
    let routes = Routes::new(state, false, None, thread.jobs());
    (routes, thread)
}

fn run(test: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(test);
}

/// Sends a request with an empty body.
async fn send(routes: &Routes, method: Method, path: &str) -> Response<ResponseBody> {
    let request = Request::builder().method(method).uri(path);
    let request = request
        .header("host", "localhost")
        .header(CONTENT_TYPE, intake::PROTOBUF);
    let body = Full::new(bytes::Bytes::new());
    routes.respond(request.body(body).unwrap()).await
}

async fn is_pending(future: Pin<&mut impl Future>) -> bool {
    let mut future = future;
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

#[test]
fn what_is_decoded_and_rendered_waits_for_the_thread_of_the_page() {
    let (routes, thread) = routes();
    run(async {
        for (method, path) in [
            (Method::GET, "/search?q=a"),
            (Method::POST, "/v1/traces"),
            (Method::GET, "/events"),
        ] {
            let (release, released) = oneshot::channel::<()>();
            let _blocked = thread.jobs().run(move || released.blocking_recv());
            let mut frame = pin!(async {
                let mut response = send(&routes, method, path).await;
                assert_eq!(response.status(), StatusCode::OK, "{path}");
                drop(response.body_mut().frame().await);
            });
            assert!(is_pending(frame.as_mut()).await, "{path}");
            release.send(()).unwrap();
            frame.await;
        }
    });
}

#[test]
fn traces_that_nobody_reads_and_browsers_are_limited() {
    let (routes, _thread) = routes();
    let trace = format!("/traces/{:032x}", 1);
    run(async {
        for (path, max) in [(&*trace, MAX_SENT_TRACES), ("/events", MAX_EVENT_STREAMS)] {
            let mut open = Vec::new();
            for _ in 0..max {
                open.push(send(&routes, Method::GET, path).await);
                assert_eq!(open.last().unwrap().status(), StatusCode::OK, "{path}");
            }
            let refused = send(&routes, Method::GET, path).await;
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(refused.headers().get(RETRY_AFTER).unwrap(), "1");
            open.pop();
            let next = send(&routes, Method::GET, path).await;
            assert_eq!(next.status(), StatusCode::OK, "{path}");
        }
    });
}

#[test]
fn a_trace_that_is_refused_is_not_copied() {
    let (routes, _thread) = routes();
    let trace = format!("/traces/{:032x}", 1);
    run(async {
        let mut open = Vec::new();
        for _ in 0..MAX_SENT_TRACES {
            open.push(send(&routes, Method::GET, &trace).await);
        }
        let mut refused = pin!(send(&routes, Method::GET, &trace));
        // A copy would wait for the lock forever.
        let refused = routes.state.with_locked_traces(|| {
            let mut context = Context::from_waker(Waker::noop());
            refused.as_mut().poll(&mut context)
        });
        let Poll::Ready(refused) = refused else {
            unreachable!("the response waits");
        };
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        open.clear();
        let missing = format!("/traces/{:032x}", 2);
        for _ in 0..=MAX_SENT_TRACES {
            open.push(send(&routes, Method::GET, &missing).await);
            let status = open.last().unwrap().status();
            assert_eq!(status, StatusCode::NOT_FOUND, "it takes no place");
        }
    });
}

#[test]
fn a_fork_answers_every_request_at_once_whatever_lock_is_held() {
    let (routes, thread) = routes();
    let routes = Routes {
        jobs: thread.jobs().in_fork(),
        ..routes
    };
    let trace = format!("/traces/{:032x}", 1);
    let state = Arc::clone(&routes.state);
    state.with_locked_traces(|| {
        run(async {
            for (method, path) in [
                (Method::GET, "/"),
                (Method::GET, "/events"),
                (Method::GET, "/search?q=a"),
                (Method::GET, &*trace),
                (Method::POST, "/v1/traces"),
            ] {
                let mut refused = send(&routes, method, path).await;
                assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
                let text = refused.body_mut().frame().await.unwrap().unwrap();
                let text = String::from_utf8(text.into_data().unwrap().to_vec()).unwrap();
                assert!(text.contains("start telemetry in each process"), "{text}");
            }
        });
    });
}

#[test]
fn a_stopped_page_refuses_work_and_ends_streams() {
    let (routes, thread) = routes();
    drop(thread);
    run(async {
        for (method, path) in [(Method::GET, "/search?q=a"), (Method::POST, "/v1/traces")] {
            let refused = send(&routes, method, path).await;
            assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        let mut events = send(&routes, Method::GET, "/events").await;
        assert!(events.body_mut().frame().await.is_none());
    });
}
