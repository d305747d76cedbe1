//! The order of two joined ends: metrics end after a span whose end decides about its trace, in the context of that span.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    cell::{Cell, RefCell},
    cmp::Ordering,
    convert::Infallible,
    future::{Future, Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use tower::{Layer, Service, service_fn};
use tower_otel_core::{End, Exchange, Observe, RequestInfo, ResponseHead, observe};

const LESS: Option<Ordering> = Some(Ordering::Less);
const EQUAL: Option<Ordering> = Some(Ordering::Equal);
const GREATER: Option<Ordering> = Some(Ordering::Greater);

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Writes its name at its end, and how many contexts are entered.
#[derive(Clone)]
struct Observer {
    name: &'static str,
    order: Option<Ordering>,
    panics_at: Option<At>,
    has_ended: Cell<bool>,
    ends: Rc<RefCell<Vec<String>>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    End,
    EnterAfterEnd,
}

struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl Observer {
    fn panic_at(&self, at: At) {
        if self.panics_at == Some(at) {
            // Unwinds like a panic, without printing a message.
            resume_unwind(Box::new(self.name));
        }
    }
}

impl Observe for Observer {
    type Exchange = Self;

    fn start(&self, _: &RequestInfo<'_>, _: Instant) -> Self {
        self.clone()
    }
}

impl Exchange for Observer {
    type Entered<'a> = Entered;

    fn enter(&mut self) -> Entered {
        if self.has_ended.get() {
            self.panic_at(At::EnterAfterEnd);
        }
        DEPTH.set(DEPTH.get() + 1);
        Entered
    }

    fn response(&mut self, _: &dyn ResponseHead) {}

    fn end_order(&self) -> Option<Ordering> {
        self.order
    }

    fn end(&mut self, _: End<'_>, _: Instant) {
        self.has_ended.set(true);
        let end = format!("{} {}", self.name, DEPTH.get());
        self.ends.borrow_mut().push(end);
        self.panic_at(At::End);
    }
}

/// Observers named `a`, `b` and `c` with these orders, that write to one list.
fn observers<const N: usize>(
    orders: [Option<Ordering>; N],
) -> ([Observer; N], Rc<RefCell<Vec<String>>>) {
    let ends = Rc::default();
    let mut names = ["a", "b", "c"].into_iter();
    let observers = orders.map(|order| Observer {
        name: names.next().unwrap(),
        order,
        panics_at: None,
        has_ended: Cell::new(false),
        ends: Rc::clone(&ends),
    });
    (observers, ends)
}

/// A body whose only frame is its end.
struct Hello(Option<Bytes>);

impl Body for Hello {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

fn hello(_: Request<()>) -> Ready<Result<Response<Hello>, Infallible>> {
    let hello = Bytes::from_static(b"hello");
    ready(Ok(Response::new(Hello(Some(hello)))))
}

/// Makes an exchange, whose body is not read if it is to be `aborted`. Returns what it panics with.
fn exchange(observer: impl Observe + Clone, aborted: bool) -> Option<&'static str> {
    let mut service = observe(observer).layer(service_fn(hello));
    let exchange = AssertUnwindSafe(|| {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut future = pin!(service.call(Request::new(())));
        if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
            let mut body = pin!(response.into_body());
            while !aborted && let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
        }
    });
    let panic = catch_unwind(exchange).err()?;
    panic.downcast_ref().copied()
}

#[test]
fn the_outer_exchange_ends_first_only_if_it_is_less_and_the_inner_one_greater() {
    for outer in [None, LESS, EQUAL, GREATER] {
        for inner in [None, LESS, EQUAL, GREATER] {
            for aborted in [false, true] {
                let ([a, b], ends) = observers([outer, inner]);
                assert_eq!(exchange((a, b), aborted), None);
                // The inner one ends in the context of the outer one in any case.
                let expected = match (outer, inner) {
                    (LESS, GREATER) => ["a 0", "b 1"],
                    _ => ["b 1", "a 0"],
                };
                assert_eq!(*ends.borrow(), expected, "{outer:?} {inner:?} {aborted}");
            }
        }
    }
}

#[test]
fn an_observer_of_the_application_inside_ends_in_the_open_exchange() {
    for aborted in [false, true] {
        for orders in [[LESS, None, GREATER], [LESS, GREATER, None]] {
            let ([a, b, c], ends) = observers(orders);
            exchange((a, b, c), aborted);
            assert_eq!(*ends.borrow(), ["c 2", "b 1", "a 0"], "{orders:?}");
        }
        for (orders, expected) in [
            ([LESS, GREATER, GREATER], ["a 0", "c 2", "b 1"]),
            ([None, LESS, GREATER], ["b 1", "c 2", "a 0"]),
            ([GREATER, LESS, GREATER], ["b 1", "c 2", "a 0"]),
        ] {
            let ([a, b, c], ends) = observers(orders);
            exchange((a, b, c), aborted);
            assert_eq!(*ends.borrow(), expected, "{orders:?}");
            let ([a, b, c], ends) = observers(orders);
            exchange((a, Some(b), Some(c)), aborted);
            assert_eq!(*ends.borrow(), expected, "{orders:?}");
        }
    }
}

#[test]
fn both_exchanges_end_once_if_one_of_them_panics() {
    for (name, at) in [("a", At::End), ("a", At::EnterAfterEnd), ("b", At::End)] {
        for aborted in [false, true] {
            let ([mut a, mut b], ends) = observers([LESS, GREATER]);
            let panics = if name == "a" { &mut a } else { &mut b };
            panics.panics_at = Some(at);
            assert_eq!(exchange((a, b), aborted), Some(name), "{at:?}");
            let expected = match at {
                At::End => ["a 0", "b 1"],
                At::EnterAfterEnd => ["a 0", "b 0"],
            };
            assert_eq!(*ends.borrow(), expected, "{name} {at:?} {aborted}");
            assert_eq!(DEPTH.get(), 0, "all contexts are left");
        }
    }
}

#[test]
fn both_exchanges_end_once_if_both_panic() {
    let ([mut a, mut b], ends) = observers([LESS, GREATER]);
    (a.panics_at, b.panics_at) = (Some(At::End), Some(At::End));
    assert_eq!(exchange((a, b), false), Some("a"));
    assert_eq!(*ends.borrow(), ["a 0", "b 1"]);
}
