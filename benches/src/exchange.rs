//! Exchanges in process: called, polled and drained as a server does it, without a socket.

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

/// How many requests are made ahead, outside of the measured time. The queue of ended spans has
/// room for them.
const AHEAD: usize = 128;

/// What one exchange costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Time of the thread on a processor.
    pub nanos: f64,
    /// Allocations of the thread.
    pub allocations: f64,
}

/// Something to be measured.
pub trait Subject: Send {
    /// So many exchanges, from this one on, whose requests are made by now.
    fn prepare(&self, from: usize, exchanges: usize) -> Box<dyn FnOnce()>;

    /// What has to be done from time to time, and is not measured.
    fn settle(&self);

    /// The same for another thread.
    fn fork(&self) -> Box<dyn Subject>;
}

/// Exchanges of a function that does one.
#[derive(Clone)]
pub struct Exchanges<R, F> {
    requests: Arc<dyn Fn(usize) -> R + Send + Sync>,
    run: F,
    after: Arc<dyn Fn() + Send + Sync>,
}

impl<R: 'static, F: FnMut(R) + Clone + Send + 'static> Exchanges<R, F> {
    /// `run` is measured; making the requests, and what is done `after` some of them, is not.
    pub fn subject(
        requests: impl Fn(usize) -> R + Send + Sync + 'static,
        run: F,
        after: impl Fn() + Send + Sync + 'static,
    ) -> Box<dyn Subject> {
        Box::new(Self {
            requests: Arc::new(requests),
            run,
            after: Arc::new(after),
        })
    }
}

impl<R: 'static, F: FnMut(R) + Clone + Send + 'static> Subject for Exchanges<R, F> {
    fn prepare(&self, from: usize, exchanges: usize) -> Box<dyn FnOnce()> {
        let requests: Vec<R> = (from..from + exchanges)
            .map(|at| (self.requests)(at))
            .collect();
        let run = self.run.clone();
        // The list is freed at its end, in the measured time: once, in every arm.
        Box::new(move || requests.into_iter().for_each(run))
    }

    fn settle(&self) {
        (self.after)();
    }

    fn fork(&self) -> Box<dyn Subject> {
        Box::new(Self {
            requests: Arc::clone(&self.requests),
            run: self.run.clone(),
            after: Arc::clone(&self.after),
        })
    }
}

/// So many exchanges, one after the other, and what each cost.
pub fn turn(subject: &dyn Subject, exchanges: usize) -> Cost {
    let (mut time, mut count) = (Duration::ZERO, 0);
    for from in (0..exchanges).step_by(AHEAD) {
        let run = subject.prepare(from, AHEAD.min(exchanges - from));
        let start = thread_time();
        count += allocations(run);
        time += thread_time() - start;
        subject.settle();
    }
    Cost {
        nanos: time.as_nanos() as f64 / exchanges as f64,
        allocations: count as f64 / exchanges as f64,
    }
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// One exchange, from the clone of the service to the end of the body.
pub fn exchange<S, B>(mut service: S, request: Request<Body>)
where
    S: Service<Request<Body>, Response = Response<B>>,
    B: http_body::Body,
{
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready(), "it waits for nothing");
    let future = pin!(service.call(request));
    let Poll::Ready(Ok(response)) = future.poll(cx) else {
        panic!("it waits for nothing, and does not fail");
    };
    let mut body = pin!(black_box(response).into_body());
    while let Poll::Ready(Some(Ok(frame))) = body.as_mut().poll_frame(cx) {
        black_box(frame);
    }
}

/// The same turn on several threads at once; what an exchange costs each of them.
pub fn side_by_side(subject: &dyn Subject, threads: usize, exchanges: usize) -> Cost {
    if threads == 1 {
        return turn(subject, exchanges);
    }
    let costs: Vec<Cost> = thread::scope(|scope| {
        let start = |_| {
            let subject = subject.fork();
            scope.spawn(move || turn(&*subject, exchanges))
        };
        let turns: Vec<_> = (0..threads).map(start).collect();
        turns.into_iter().map(|turn| turn.join().unwrap()).collect()
    });
    let mean = |of: fn(&Cost) -> f64| costs.iter().map(of).sum::<f64>() / costs.len() as f64;
    Cost {
        nanos: mean(|cost| cost.nanos),
        allocations: mean(|cost| cost.allocations),
    }
}

/// Makes a subject of a watched application of so many routes, which are asked for in turn.
#[derive(Debug)]
pub struct InProcess<A> {
    /// How many routes.
    pub routes: usize,
    /// What is done after some exchanges, and not measured.
    pub after: A,
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
        let Self { routes, after } = self;
        Exchanges::subject(
            move |at| app::request(&app::path(routes, at)),
            move |request| exchange(service.clone(), request),
            after,
        )
    }
}
