//! Exchanges in process: the service is called and polled, and its body is drained, without a socket.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use allocation_tests::allocations;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use rustix::time::{ClockId, clock_gettime};
use tower::{BoxError, Service};

use crate::{app, arms::Visitor};

/// The number of requests that are created before the measured time. Their spans fit in the export queue.
const PREPARED_REQUESTS: usize = 128;

/// The cost of an exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// The CPU time of the thread, in nanoseconds.
    pub nanos: f64,
    /// The number of allocations of the thread.
    pub allocations: f64,
}

/// A measured service.
pub trait Subject: Send {
    /// Creates the requests of some exchanges and returns a function that runs them.
    fn prepare(&self, from: usize, exchanges: usize) -> Box<dyn FnOnce()>;

    /// Flushes the telemetry, outside of the measured time.
    fn flush(&self);

    /// Returns a clone for another thread.
    fn clone_for_thread(&self) -> Box<dyn Subject>;
}

/// A subject that runs one function for each exchange.
#[derive(Clone)]
pub struct Exchanges<R, F> {
    requests: Arc<dyn Fn(usize) -> R + Send + Sync>,
    run: F,
    flush: Arc<dyn Fn() + Send + Sync>,
}

impl<R: 'static, F: FnMut(R) + Clone + Send + 'static> Exchanges<R, F> {
    /// Creates a subject. Only `run` is measured; `requests` and `flush` are not.
    pub fn subject(
        requests: impl Fn(usize) -> R + Send + Sync + 'static,
        run: F,
        flush: impl Fn() + Send + Sync + 'static,
    ) -> Box<dyn Subject> {
        Box::new(Self {
            requests: Arc::new(requests),
            run,
            flush: Arc::new(flush),
        })
    }
}

impl<R: 'static, F: FnMut(R) + Clone + Send + 'static> Subject for Exchanges<R, F> {
    fn prepare(&self, from: usize, exchanges: usize) -> Box<dyn FnOnce()> {
        let requests: Vec<R> = (from..from + exchanges)
            .map(|at| (self.requests)(at))
            .collect();
        let run = self.run.clone();
        // Freeing the list is part of the measured time, once in every arm.
        Box::new(move || requests.into_iter().for_each(run))
    }

    fn flush(&self) {
        (self.flush)();
    }

    fn clone_for_thread(&self) -> Box<dyn Subject> {
        Box::new(Self {
            requests: Arc::clone(&self.requests),
            run: self.run.clone(),
            flush: Arc::clone(&self.flush),
        })
    }
}

/// Runs exchanges one after another. Returns the mean cost.
pub fn turn(subject: &dyn Subject, exchanges: usize) -> Cost {
    let (mut time, mut count) = (Duration::ZERO, 0);
    for from in (0..exchanges).step_by(PREPARED_REQUESTS) {
        let run = subject.prepare(from, PREPARED_REQUESTS.min(exchanges - from));
        let start = thread_time();
        count += allocations(run);
        time += thread_time() - start;
        subject.flush();
    }
    Cost {
        nanos: time.as_nanos() as f64 / exchanges as f64,
        allocations: count as f64 / exchanges as f64,
    }
}

/// Returns the CPU time of this thread.
pub(crate) fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Runs one exchange, from the clone of the service to the end of the body.
pub fn exchange<S, B>(mut service: S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready(), "the service is ready");
    let future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.poll(cx) else {
        panic!("the exchange is pending or failed");
    };
    let mut body = pin!(black_box(response).into_body());
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(cx) {
        black_box(frame);
    }
}

/// Runs a turn on several threads concurrently. Returns the mean cost of an exchange on a thread.
pub fn run_on_threads(subject: &dyn Subject, threads: usize, exchanges: usize) -> Cost {
    if threads == 1 {
        return turn(subject, exchanges);
    }
    let costs: Vec<Cost> = thread::scope(|scope| {
        let start = |_| {
            let subject = subject.clone_for_thread();
            scope.spawn(move || turn(&*subject, exchanges))
        };
        let turns: Vec<_> = (0..threads).map(start).collect();
        turns.into_iter().map(|turn| turn.join().unwrap()).collect()
    });
    let mean = |value: fn(&Cost) -> f64| costs.iter().map(value).sum::<f64>() / costs.len() as f64;
    Cost {
        nanos: mean(|cost| cost.nanos),
        allocations: mean(|cost| cost.allocations),
    }
}

/// A visitor that creates a subject. The subject requests the routes in turn.
#[derive(Debug)]
pub struct InProcess<A> {
    /// The number of routes.
    pub routes: usize,
    /// Flushes the telemetry, outside of the measured time.
    pub flush: A,
}

impl<A: Fn() + Send + Sync + 'static> Visitor for InProcess<A> {
    type Output = Box<dyn Subject>;

    fn visit<S, B>(self, service: S) -> Self::Output
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Self { routes, flush } = self;
        Exchanges::subject(
            move |at| app::request(&app::path(routes, at)),
            move |request| exchange(service.clone(), request),
            flush,
        )
    }
}
