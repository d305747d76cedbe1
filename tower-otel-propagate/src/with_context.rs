//! Contexts that go where a thread, a channel or a queue goes.
//!
//! A context is current on one thread. What runs elsewhere has to be handed it. For futures and
//! streams OpenTelemetry has `FutureExt::with_current_context`; the rest is here, for any runtime.
//!
//! | where to | how |
//! |---|---|
//! | a task | `tokio::spawn(work().with_current_context())`, by `opentelemetry::context::FutureExt` |
//! | a blocking task, a thread, a pool | `spawn_blocking(carry::carry(\|\| work()))` |
//! | a channel | `sender.send(Carry::new(job))`, and `received.run(\|job\| ..)` |
//! | a queue or a database | [`to_map`], and [`from_map`] or [`span_context_from_map`] |

use std::collections::BTreeMap;

use opentelemetry::{
    Context,
    trace::{SpanContext, TraceContextExt},
};

use crate::extract::{Outgoing, Remote};

/// A function that runs in the context that is current now, wherever it is called.
///
/// ```
/// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
/// use tower_otel_propagate::carry::carry;
///
/// let cx = Context::new().with_baggage([KeyValue::new("tenant", "7")]);
/// let _current = cx.attach();
///
/// let tenant = || Context::current().baggage().get("tenant").cloned();
/// let alone = std::thread::spawn(tenant).join().unwrap();
/// let carried = std::thread::spawn(carry(tenant)).join().unwrap();
/// assert_eq!(alone, None);
/// assert_eq!(carried, Some("7".into()));
/// ```
pub fn carry<T>(run: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let carried = Carry::new(run);
    move || carried.run(|run| run())
}

/// Something on its way to elsewhere, with the context it came from.
///
/// ```
/// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
/// use tower_otel_propagate::carry::Carry;
///
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let worker = std::thread::spawn(move || {
///     let job: Carry<u32> = receiver.recv().unwrap();
///     job.run(|job| (job, Context::current().baggage().len()))
/// });
///
/// let cx = Context::new().with_baggage([KeyValue::new("tenant", "7")]);
/// sender.send(Carry::with(cx, 42)).unwrap();
/// assert_eq!(worker.join().unwrap(), (42, 1));
/// ```
#[derive(Clone, Debug)]
pub struct Carry<T> {
    context: Context,
    value: T,
}

impl<T> Carry<T> {
    /// A value with the context that is current now.
    pub fn new(value: T) -> Self {
        Self::with(Context::current(), value)
    }

    /// A value with a context.
    pub const fn with(context: Context, value: T) -> Self {
        Self { context, value }
    }

    /// The context it came from, as a parent or for a link.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Uses the value inside its context.
    pub fn run<R>(self, with: impl FnOnce(T) -> R) -> R {
        let Self { context, value } = self;
        let _current = context.attach();
        with(value)
    }

    /// The two of them.
    pub fn into_parts(self) -> (Context, T) {
        let Self { context, value } = self;
        (context, value)
    }
}

/// A context as text, for the headers of a message or a column beside a job: `traceparent`, and
/// `tracestate` if there is any. Empty without a valid active span.
///
/// Baggage is not among it: nothing says who will read the map.
///
/// ```
/// use opentelemetry::{Context, trace::*};
/// use tower_otel_propagate::carry;
///
/// let span = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
/// let map = carry::to_map(&Context::new().with_remote_span_context(span));
/// assert_eq!(map["traceparent"], "00-00000000000000000000000000000001-0000000000000002-01");
///
/// // Continued, by who does the job next ..
/// let cx = carry::from_map(&map, &Context::new()).expect("just written");
/// assert_eq!(cx.span().span_context().span_id(), SpanId::from(2));
/// // .. or linked to, by who does it some day, or many jobs at once.
/// let link = Link::with_context(carry::span_context_from_map(&map).expect("just written"));
/// # let _ = link;
/// ```
pub fn to_map(cx: &Context) -> BTreeMap<String, String> {
    let Some(outgoing) = Outgoing::of(cx) else {
        return BTreeMap::new();
    };
    let Outgoing {
        traceparent,
        tracestate,
    } = outgoing;
    let traceparent = traceparent.map(char::from).iter().collect();
    let mut map = BTreeMap::from([(TRACEPARENT.to_owned(), traceparent)]);
    map.extend(tracestate.map(|state| (TRACESTATE.to_owned(), state)));
    map
}

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Reads what [`to_map`] wrote: `parent`, with the span of the map as the active one. `None` if
/// there is no valid one.
///
/// The map may be of any kind, and the case of its keys does not matter.
pub fn from_map<K: AsRef<str>, V: AsRef<str>>(
    map: impl IntoIterator<Item = (K, V)>,
    parent: &Context,
) -> Option<Context> {
    Some(remote(map)?.into_context(parent))
}

/// Reads the span of what [`to_map`] wrote, to [link](opentelemetry::trace::Link) to it.
pub fn span_context_from_map<K: AsRef<str>, V: AsRef<str>>(
    map: impl IntoIterator<Item = (K, V)>,
) -> Option<SpanContext> {
    let cx = remote(map)?.into_context(&Context::new());
    Some(cx.span().span_context().clone())
}

fn remote<K: AsRef<str>, V: AsRef<str>>(map: impl IntoIterator<Item = (K, V)>) -> Option<Remote> {
    let (mut parents, mut states) = (Vec::new(), Vec::new());
    for (key, value) in map {
        if key.as_ref().eq_ignore_ascii_case(TRACEPARENT) {
            parents.push(value);
        } else if key.as_ref().eq_ignore_ascii_case(TRACESTATE) {
            states.push(value);
        }
    }
    let parents = parents.iter().map(|value| value.as_ref().as_bytes());
    let states = states.iter().map(|value| value.as_ref().as_bytes());
    Remote::parse(parents, states)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::HashMap, thread};

    use opentelemetry::trace::{SpanId, TraceFlags, TraceState};

    use super::*;

    fn context() -> Context {
        let state = TraceState::from_key_value([("a", "1")]).unwrap();
        let flags = TraceFlags::new(0x03);
        let span = SpanContext::new(1.into(), 2.into(), flags, true, state);
        Context::new().with_remote_span_context(span)
    }

    fn current() -> SpanId {
        Context::current().span().span_context().span_id()
    }

    #[test]
    fn a_closure_runs_in_the_context_it_was_made_in() {
        let carried = {
            let _current = context().attach();
            carry(current)
        };
        let id = thread::spawn(move || (carried(), current())).join();
        assert_eq!(id.unwrap(), (2.into(), SpanId::INVALID));
    }

    #[test]
    fn a_message_brings_its_context() {
        let message = Carry::with(context(), 7);
        assert_eq!(
            message.clone().run(|value| (value, current())),
            (7, 2.into())
        );
        assert_eq!(current(), SpanId::INVALID);
        let (cx, value) = message.into_parts();
        assert_eq!((cx.span().span_context().span_id(), value), (2.into(), 7));
    }

    #[test]
    fn a_map_holds_all_of_a_span() {
        let map = to_map(&context());
        assert_eq!(map.len(), 2);
        let again = from_map(&map, &Context::new()).unwrap();
        assert_eq!(again.span().span_context(), context().span().span_context());
        assert_eq!(
            span_context_from_map(&map).as_ref(),
            Some(context().span().span_context())
        );
        let other: HashMap<_, _> = map.iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
        assert!(from_map(other, &Context::new()).is_some());
    }

    #[test]
    fn a_map_without_a_span_is_none() {
        assert!(to_map(&Context::new()).is_empty());
        assert_eq!(span_context_from_map([("tracestate", "a=1")]), None);
        assert_eq!(span_context_from_map([("traceparent", "")]), None);
        let map = to_map(&context());
        let twice = map.iter().chain(&map);
        assert!(from_map(twice, &Context::new()).is_none());
    }
}
