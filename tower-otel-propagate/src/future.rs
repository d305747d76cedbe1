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

pin_project! {
    /// The future of the inner service, or a panic of a filter or propagator, which the first poll resumes. In `call` it would
    /// end the worker of a `tower::buffer`.
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
                if let Some(panic) = panic.take() {
                    resume_unwind(panic.into_inner().unwrap_or_else(PoisonError::into_inner));
                }
                Poll::Pending
            }
        }
    }
}
