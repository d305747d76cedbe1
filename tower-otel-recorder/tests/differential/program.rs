//! Random programs of `tracing` operations.

use proptest::{collection::vec, prelude::*};
use tracing::level_filters::LevelFilter;

pub(crate) const THREADS: usize = 3;

/// Operations, each on a thread, and what the layer sees.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) filter: LevelFilter,
    pub(crate) steps: Vec<(usize, Operation)>,
}

/// An operation. Spans are counted in the order of their creation; a number that is too large means no span.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Open(Callsite, Parent, u64),
    Enter(usize),
    Exit(usize),
    Record(usize, i64),
    Fail(usize),
    Event(Callsite, Parent, u64),
    ErrorEvent,
    Follow(usize, usize),
    /// Whether the parent is sampled.
    SetParent(usize, bool),
    Close(usize),
    /// Whether the remote span is sampled.
    AttachRemote(bool),
    Detach,
    /// Changes the span that is current in the OpenTelemetry context.
    Change(Change),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Callsite {
    Info,
    Debug,
    /// A span with `otel.*` fields.
    Otel,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Parent {
    Contextual,
    Explicit(usize),
    Root,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Name,
    Attribute,
    Status,
    Event,
    Link,
}

impl Callsite {
    pub(crate) fn is_seen(self, filter: LevelFilter) -> bool {
        match self {
            Self::Info | Self::Otel => true,
            Self::Debug => filter >= LevelFilter::DEBUG,
        }
    }
}

pub(crate) fn programs() -> impl Strategy<Value = Program> {
    let filter = prop_oneof![Just(LevelFilter::INFO), Just(LevelFilter::TRACE)];
    let steps = vec((0..THREADS, operation()), 1..60);
    (filter, steps).prop_map(|(filter, steps)| Program { filter, steps })
}

fn operation() -> impl Strategy<Value = Operation> {
    let span = || 0..12_usize;
    let change = prop_oneof![
        Just(Change::Name),
        Just(Change::Attribute),
        Just(Change::Status),
        Just(Change::Event),
        Just(Change::Link),
    ];
    prop_oneof![
        6 => (callsite(), parent(), any::<u64>()).prop_map(|(a, b, c)| Operation::Open(a, b, c)),
        8 => span().prop_map(Operation::Enter),
        5 => span().prop_map(Operation::Exit),
        3 => (span(), any::<i64>()).prop_map(|(a, b)| Operation::Record(a, b)),
        1 => span().prop_map(Operation::Fail),
        4 => (callsite(), parent(), any::<u64>()).prop_map(|(a, b, c)| Operation::Event(a, b, c)),
        1 => Just(Operation::ErrorEvent),
        2 => (span(), span()).prop_map(|(a, b)| Operation::Follow(a, b)),
        2 => (span(), any::<bool>()).prop_map(|(a, b)| Operation::SetParent(a, b)),
        3 => span().prop_map(Operation::Close),
        1 => any::<bool>().prop_map(Operation::AttachRemote),
        1 => Just(Operation::Detach),
        3 => change.prop_map(Operation::Change),
    ]
}

fn callsite() -> impl Strategy<Value = Callsite> {
    prop_oneof![
        3 => Just(Callsite::Info),
        1 => Just(Callsite::Debug),
        1 => Just(Callsite::Otel),
    ]
}

fn parent() -> impl Strategy<Value = Parent> {
    prop_oneof![
        4 => Just(Parent::Contextual),
        1 => (0..12_usize).prop_map(Parent::Explicit),
        1 => Just(Parent::Root),
    ]
}
