//! The response future of [`Propagate`](crate::Propagate).

use std::{
    any::Any,
    future::Future,
    panic::resume_unwind,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

/// The message of the panic if a future is polled again after its panic.
const POLLED_AGAIN: &str = "the future was polled after it had panicked";

pin_project! {
    /// The future of the inner service, or a panic of a filter or propagator. The first poll resumes the panic, because a panic
    /// in `call` would end the worker of a `tower::buffer`. Later polls panic, too.
    #[project = FutureProjection]
    #[derive(Debug)]
    pub enum PropagateFuture<F> {
        Called {
            #[pin]
            future: F,
        },
        // The inner service was not called. A mutex is `Sync`, unlike the panic.
        Panicked {
            panic: Option<Box<Mutex<Box<dyn Any + Send>>>>,
        },
    }
}

impl<F> PropagateFuture<F> {
    #[cold]
    pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Self {
        Self::Panicked {
            panic: Some(Box::new(Mutex::new(panic))),
        }
    }
}

impl<F: Future> Future for PropagateFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            FutureProjection::Called { future } => future.poll(cx),
            FutureProjection::Panicked { panic } => {
                // Panics again, like an `async fn`. A pending future without a wake-up would block its caller forever.
                let again = || Mutex::new(Box::new(POLLED_AGAIN) as Box<dyn Any + Send>);
                let panic = panic.take().map_or_else(again, |panic| *panic);
                resume_unwind(panic.into_inner().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic, clippy::expect_used)]
mod tests {
    use std::{
        future::Pending,
        panic::{AssertUnwindSafe, catch_unwind},
        pin::pin,
        task::Waker,
    };

    use super::*;

    #[test]
    fn a_future_that_is_polled_after_a_panic_panics_again() {
        let mut future = pin!(PropagateFuture::<Pending<()>>::panicked(Box::new("first")));
        let cx = &mut Context::from_waker(Waker::noop());
        for expected in ["first", "the future was polled after it had panicked"] {
            let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx).is_ready()));
            let payload = polled.expect_err(expected);
            assert_eq!(payload.downcast_ref::<&str>(), Some(&expected));
        }
    }
}
