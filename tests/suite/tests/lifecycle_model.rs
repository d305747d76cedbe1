//! The life of an exchange, whatever happens to it: span, counter, histogram and gauge settle
//! exactly once, at the same moment, and agree with a model of ten lines.
//!
//! Plans are drawn at random: futures and bodies that are pending, ready, that fail or panic at any
//! poll; trailers; `is_end_stream` early, late or lying; sizes exact or wrong; responses without
//! bodies; callers that go away, by their own will or unwinding; clones of the service; several
//! exchanges taking turns. More of them, or the same again:
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

#[path = "lifecycle_model/reference.rs"]
mod reference;
#[path = "lifecycle_model/script.rs"]
mod script;
#[path = "lifecycle_model/told.rs"]
mod told;

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
    reference::{Event, Verdict, reference},
    script::{Drops, Outcome, Plan, Scripted, plan},
    told::{Layers, Told, uri},
};

/// Somebody who calls a service, waits, reads, and goes.
struct Caller<F, B> {
    plan: Plan,
    stage: Stage<F, B>,
    moves: usize,
    life: Vec<Event>,
}

enum Stage<F, B> {
    Before,
    Waits(Pin<Box<F>>),
    /// Has taken so many steps of the body.
    Reads(Pin<Box<B>>, usize),
    Gone,
}

impl<F, B> Caller<F, B>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            stage: Stage::Before,
            moves: 0,
            life: Vec::new(),
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.stage, Stage::Gone)
    }

    /// Does the next thing there is to do, and writes down what came of it.
    fn moves<S>(&mut self, service: &mut S, of: usize)
    where
        S: Service<Request<Plan>, Future = F> + Clone,
    {
        self.moves += 1;
        if self.moves > self.plan.patience {
            return self.goes();
        }
        let cx = &mut Context::from_waker(Waker::noop());
        match &mut self.stage {
            Stage::Gone => {}
            Stage::Before => self.calls(service, of),
            Stage::Waits(future) => {
                let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
                match (polled, self.plan.outcome) {
                    (Ok(Poll::Pending), _) => {}
                    (Ok(Poll::Ready(Ok(response))), _) => {
                        self.life.push(self.plan.head());
                        let reads = Stage::Reads(Box::pin(response.into_body()), 0);
                        let answered = std::mem::replace(&mut self.stage, reads);
                        // The exchange has moved on: whatever its future does now.
                        let _ = catch_unwind(AssertUnwindSafe(|| drop(answered)));
                    }
                    (Ok(Poll::Ready(Err(_))), Outcome::Fails(fault)) => {
                        self.life.push(Event::Failed(fault));
                    }
                    (Ok(Poll::Ready(Err(error))), _) => panic!("nobody failed: {error}"),
                    (Err(_), _) => self.life.push(Event::Panicked),
                }
            }
            Stage::Reads(body, taken) => {
                let polled = catch_unwind(AssertUnwindSafe(|| body.as_mut().poll_frame(cx)));
                let frame = self.plan.frame(*taken);
                if let (Ok(polled), Some(frame)) = (polled, &frame) {
                    let ready = matches!(polled, Poll::Ready(_));
                    assert!(ready, "{frame:?} is not passed on");
                }
                self.life.extend(frame);
                *taken += usize::from(*taken < self.plan.steps.len());
            }
        }
    }

    fn calls<S>(&mut self, service: &mut S, of: usize)
    where
        S: Service<Request<Plan>, Future = F> + Clone,
    {
        let request = Request::builder().method(self.plan.method).uri(uri(of));
        let request = request.body(self.plan.clone()).unwrap();
        let called = catch_unwind(AssertUnwindSafe(|| match self.plan.on_a_clone {
            true => service.clone().call(request),
            false => service.call(request),
        }));
        self.stage = match called {
            Ok(future) => Stage::Waits(Box::pin(future)),
            Err(_) => {
                self.life.push(Event::Panicked);
                Stage::Gone
            }
        };
    }

    /// Drops whatever is held.
    fn goes(&mut self) {
        let held = std::mem::replace(&mut self.stage, Stage::Gone);
        if let Stage::Before | Stage::Gone = held {
            return;
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| match self.plan.drop {
            Drops::Plainly => drop(held),
            Drops::Unwinding => {
                let _held = held;
                resume_unwind(Box::new("not theirs"));
            }
        }));
        let its_own = dropped.is_err_and(|payload| !payload.is::<&str>());
        self.life.push(match its_own {
            true => Event::Panicked,
            false => Event::Dropped,
        });
    }

    /// Nothing before the call; then what the model says.
    fn verdict(&self, kind: Kind) -> Option<Option<Verdict>> {
        if let (Stage::Before, _) | (Stage::Gone, true) = (&self.stage, self.life.is_empty()) {
            return None;
        }
        let (code, end) = match reference(&self.life) {
            Some(settled) => settled,
            None => return Some(None),
        };
        Some(Some(Verdict::of(kind, &self.plan, code, end)))
    }
}

/// Lets the callers take turns, and checks all signals after every move.
fn lives<S, B>(told: &Told, kind: Kind, mut service: S, plans: &[Plan], turns: &[usize])
where
    S: Service<Request<Plan>, Response = Response<B>, Error = BoxError> + Clone,
    B: Body<Data = Bytes, Error = BoxError>,
{
    // Not dropped by an assertion that fails: some of what they hold would panic then, and abort.
    let callers = plans.iter().cloned().map(Caller::new).collect();
    let mut callers: ManuallyDrop<Vec<_>> = ManuallyDrop::new(callers);
    let mut turns = turns.iter().copied().chain(0..);
    loop {
        let mut there: Vec<_> = (0..callers.len())
            .filter(|of| !callers[*of].is_gone())
            .collect();
        let (Some(turn), false) = (turns.next(), there.is_empty()) else {
            break;
        };
        let of = there.swap_remove(turn % there.len());
        callers[of].moves(&mut service, of);
        told.check(&verdicts(&callers, kind));
    }
    told.check_meter(&verdicts(&callers, kind));
}

fn verdicts<F, B>(callers: &[Caller<F, B>], kind: Kind) -> Vec<Option<Option<Verdict>>>
where
    F: Future<Output = Result<Response<B>, BoxError>>,
    B: Body<Data = Bytes, Error = BoxError>,
{
    callers.iter().map(|caller| caller.verdict(kind)).collect()
}

/// All signals joined in one layer.
fn joined(kind: Kind, plans: &[Plan], turns: &[usize]) {
    Told::with(kind, |told| {
        let Layers {
            spans,
            facade,
            otel,
        } = told.layers();
        let service = observe((spans, (facade, otel))).layer(Scripted);
        lives(told, kind, service, plans, turns);
    });
}

/// Each a layer of its own: what one passes on is what the next one sees.
fn stacked(kind: Kind, plans: &[Plan], turns: &[usize]) {
    Told::with(kind, |told| {
        let Layers {
            spans,
            facade,
            otel,
        } = told.layers();
        let service = ServiceBuilder::new()
            .layer(spans.0)
            .layer(facade.0)
            .layer(otel.1)
            .layer(spans.2)
            .layer(spans.1)
            .layer(facade.1)
            .layer(otel.0)
            .service(Scripted);
        lives(told, kind, service, plans, turns);
    });
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Server), Just(Kind::Client)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_life_of_an_exchange_is_told_once_and_alike_by_all_signals(
        kind in kinds(),
        plans in vec(plan(), 1..5),
        turns in vec(0..60_usize, 0..40),
    ) {
        joined(kind, &plans, &turns);
        stacked(kind, &plans, &turns);
    }
}
