//! Random plans.

use http::StatusCode;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::plan::{DropMode, EndStream, EndStreamResult, Fault, Hint, Outcome, Plan, Step};

fn fault() -> impl Strategy<Value = Fault> {
    select(vec![Fault::TimedOut, Fault::Text])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4_u8).prop_map(Step::Data),
        2 => Just(Step::Pending),
        1 => Just(Step::Trailers),
        1 => fault().prop_map(Step::Fails),
        1 => Just(Step::Panics),
    ]
}

fn end_stream() -> impl Strategy<Value = EndStream> {
    let result = prop_oneof![
        8 => Just(EndStreamResult::No),
        3 => Just(EndStreamResult::Yes),
        1 => Just(EndStreamResult::Panics),
    ];
    prop_oneof![
        2 => Just(EndStream::Never),
        1 => Just(EndStream::Correct),
        1 => vec(result, 0..6).prop_map(EndStream::Scripted),
    ]
}

/// The parts of a plan about the future and the response head.
fn responses() -> impl Strategy<Value = (bool, u8, Outcome, StatusCode, Option<u64>)> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Responds),
        1 => fault().prop_map(Outcome::Fails),
        1 => Just(Outcome::Panics),
    ];
    let status = prop_oneof![
        4 => Just(200_u16),
        2 => select(vec![404, 500, 503, 206]),
        2 => select(vec![101, 103, 204, 304]),
    ];
    (
        prop::bool::weighted(0.05),
        0..3_u8,
        outcome,
        status.prop_map(|status| StatusCode::from_u16(status).unwrap()),
        proptest::option::weighted(0.2, 0..8_u64),
    )
}

/// The parts of a plan about the body.
fn bodies() -> impl Strategy<Value = (Hint, Vec<Step>, EndStream)> {
    let hint = prop_oneof![
        8 => Just(Hint::Unknown),
        8 => Just(Hint::Correct),
        4 => (0..8_u64).prop_map(Hint::Exactly),
        1 => Just(Hint::Panics),
    ];
    (hint, vec(step(), 0..5), end_stream())
}

/// The parts of a plan about the caller.
fn callers() -> impl Strategy<Value = (&'static str, bool, (bool, bool), usize, DropMode)> {
    (
        prop_oneof![
            6 => Just("GET"),
            1 => Just("POST"),
            2 => Just("HEAD"),
            1 => Just("CONNECT"),
        ],
        any::<bool>(),
        (prop::bool::weighted(0.1), prop::bool::weighted(0.1)),
        1..10_usize,
        prop_oneof![4 => Just(DropMode::Normal), 1 => Just(DropMode::Unwinding)],
    )
}

pub fn plan() -> impl Strategy<Value = Plan> {
    (callers(), responses(), bodies()).prop_map(|(caller, response, body)| {
        let (method, calls_clone, drops_panic, max_steps, drop) = caller;
        let (call_panics, pending, outcome, status, length) = response;
        let (hint, steps, end_stream) = body;
        let plan = Plan {
            method,
            calls_clone,
            call_panics,
            pending,
            outcome,
            status,
            length,
            hint,
            steps,
            end_stream,
            drops_panic,
            max_steps,
            drop,
        };
        plan.without_double_panics()
    })
}
