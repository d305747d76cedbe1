//! Random exchanges against a reference model: span, counter, histogram and gauge record each
//! exchange exactly once, at the same time, with the values of the model.
//!
//! Random plans cover futures and bodies that are pending, ready, fail or panic at any poll;
//! trailers; an `is_end_stream` that is early, late or wrong; exact and wrong sizes; responses without
//! bodies; callers that drop the exchange, also while unwinding; clones of the service; and several
//! interleaved exchanges. Environment variables set the number of cases and the seed:
//!
//! ```console
//! PROPTEST_CASES=100000 PROPTEST_RNG_SEED=7 cargo test --release -p suite-tests --test lifecycle_model
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod plan;
mod random_plan;
mod reference;
mod telemetry;

use std::{
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use proptest::{collection::vec, prelude::*};
use suite_tests::net::BoxError;
use tower::{Layer, Service, ServiceBuilder};
use tower_otel_core::{Kind, observe};

use crate::{
    plan::{DropMode, Outcome, Plan, Scripted},
    random_plan::plan,
    reference::{Event, Expected, reference},
    telemetry::{RecordedTelemetry, uri},
};

/// A caller that follows its plan: calls a service, waits for the response, reads the body and drops it.
struct Caller<F, B> {
    plan: Plan,
    stage: Stage<F, B>,
    steps: usize,
    events: Vec<Event>,
}

enum Stage<F, B> {
    NotCalled,
    Waiting(Pin<Box<F>>),
    /// The body, and the number of its steps taken.
    Reading(Pin<Box<B>>, usize),
    Finished,
}

impl<F, B> Caller<F, B>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            stage: Stage::NotCalled,
            steps: 0,
            events: Vec::new(),
        }
    }

    fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    /// Performs the next step and stores its event.
    fn step<S>(&mut self, service: &mut S, index: usize)
    where
        S: Service<Request<Plan>, Future = F> + Clone,
    {
        self.steps += 1;
        if self.steps > self.plan.max_steps {
            return self.drop_exchange();
        }
        let cx = &mut Context::from_waker(Waker::noop());
        match &mut self.stage {
            Stage::Finished => {}
            Stage::NotCalled => self.call(service, index),
            Stage::Waiting(future) => {
                let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
                match (polled, self.plan.outcome) {
                    (Ok(Poll::Pending), _) => {}
                    (Ok(Poll::Ready(Ok(response))), _) => {
                        self.events.push(self.plan.head());
                        let reading = Stage::Reading(Box::pin(response.into_body()), 0);
                        let waiting = std::mem::replace(&mut self.stage, reading);
                        // The body has the exchange now, so a panic of the future is not recorded.
                        let _ = catch_unwind(AssertUnwindSafe(|| drop(waiting)));
                    }
                    (Ok(Poll::Ready(Err(_))), Outcome::Fails(fault)) => {
                        self.events.push(Event::Failed(fault));
                    }
                    (Ok(Poll::Ready(Err(error))), _) => panic!("unexpected error: {error}"),
                    (Err(_), _) => self.events.push(Event::Panicked),
                }
            }
            Stage::Reading(body, taken) => {
                let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
                let frame = self.plan.frame(*taken);
                if let (Ok(polled), Some(frame)) = (polled, &frame) {
                    let ready = matches!(polled, Poll::Ready(_));
                    assert!(ready, "{frame:?} is not forwarded");
                }
                self.events.extend(frame);
                *taken += usize::from(*taken < self.plan.steps.len());
            }
        }
    }

    fn call<S>(&mut self, service: &mut S, index: usize)
    where
        S: Service<Request<Plan>, Future = F> + Clone,
    {
        let request = Request::builder().method(self.plan.method).uri(uri(index));
        let request = request.body(self.plan.clone()).unwrap();
        let called = catch_unwind(AssertUnwindSafe(|| match self.plan.calls_clone {
            true => service.clone().call(request),
            false => service.call(request),
        }));
        self.stage = match called {
            Ok(future) => Stage::Waiting(Box::pin(future)),
            Err(_) => {
                self.events.push(Event::Panicked);
                Stage::Finished
            }
        };
    }

    /// Drops the future or the body.
    fn drop_exchange(&mut self) {
        let dropped = std::mem::replace(&mut self.stage, Stage::Finished);
        if let Stage::NotCalled | Stage::Finished = dropped {
            return;
        }
        let result = catch_unwind(AssertUnwindSafe(|| match self.plan.drop {
            DropMode::Normal => drop(dropped),
            DropMode::Unwinding => {
                let _dropped = dropped;
                resume_unwind(Box::new("unrelated"));
            }
        }));
        let own_panic = result.is_err_and(|payload| !payload.is::<&str>());
        self.events.push(match own_panic {
            true => Event::Panicked,
            false => Event::Dropped,
        });
    }

    /// Returns `None` before the call, `Some(None)` while in flight, then the result of the model.
    fn expected(&self, kind: Kind) -> Option<Option<Expected>> {
        if let (Stage::NotCalled, _) | (Stage::Finished, true) =
            (&self.stage, self.events.is_empty())
        {
            return None;
        }
        let (code, end) = match reference(&self.events) {
            Some(ended) => ended,
            None => return Some(None),
        };
        Some(Some(Expected::of(kind, &self.plan, code, end)))
    }
}

/// Runs the callers interleaved and checks all signals after every step.
fn run_callers<S, B>(
    telemetry: &RecordedTelemetry,
    kind: Kind,
    mut service: S,
    plans: &[Plan],
    turns: &[usize],
) where
    S: Service<Request<Plan>, Response = Response<B>, Error = BoxError> + Clone,
    B: Body<Data = Bytes, Error = BoxError>,
{
    // Not dropped when an assertion fails: a drop that panics would abort the process.
    let callers = plans.iter().cloned().map(Caller::new).collect();
    let mut callers: ManuallyDrop<Vec<_>> = ManuallyDrop::new(callers);
    let mut turns = turns.iter().copied().chain(0..);
    loop {
        let mut unfinished: Vec<_> = (0..callers.len())
            .filter(|index| !callers[*index].is_finished())
            .collect();
        let (Some(turn), false) = (turns.next(), unfinished.is_empty()) else {
            break;
        };
        let index = unfinished.swap_remove(turn % unfinished.len());
        callers[index].step(&mut service, index);
        telemetry.check(&expectations(&callers, kind));
    }
    telemetry.check_meter(&expectations(&callers, kind));
}

fn expectations<F, B>(callers: &[Caller<F, B>], kind: Kind) -> Vec<Option<Option<Expected>>>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    callers.iter().map(|caller| caller.expected(kind)).collect()
}

/// Observes all signals in one layer.
fn joined(kind: Kind, plans: &[Plan], turns: &[usize]) {
    RecordedTelemetry::with(kind, |telemetry| {
        let layers = telemetry.layers();
        let service = observe((layers.spans, (layers.facade, layers.otel))).layer(Scripted);
        run_callers(telemetry, kind, service, plans, turns);
    });
}

/// Observes each signal in its own layer.
fn stacked(kind: Kind, plans: &[Plan], turns: &[usize]) {
    RecordedTelemetry::with(kind, |telemetry| {
        let layers = telemetry.layers();
        let service = ServiceBuilder::new()
            .layer(layers.spans.0)
            .layer(layers.facade.0)
            .layer(layers.otel.1)
            .layer(layers.spans.2)
            .layer(layers.spans.1)
            .layer(layers.facade.1)
            .layer(layers.otel.0)
            .service(Scripted);
        run_callers(telemetry, kind, service, plans, turns);
    });
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Server), Just(Kind::Client)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_exchange_is_recorded_once_and_equally_by_all_signals(
        kind in kinds(),
        plans in vec(plan(), 1..5),
        turns in vec(0..60_usize, 0..40),
    ) {
        joined(kind, &plans, &turns);
        stacked(kind, &plans, &turns);
    }
}
