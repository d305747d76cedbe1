//! The layer that writes the current context into outgoing requests.

use std::{
    task::{Context as Task, Poll},
    time::Instant,
};

use opentelemetry::Context;
use tower_layer::Layer;
use tower_otel_core::{Filter, Observe, RequestHead};
use tower_service::Service;

use crate::inject;

/// Writes `traceparent`, and `tracestate` if there is any, into every outgoing request.
///
/// What is written is the OpenTelemetry context that is current when the request is sent: put
/// this layer inside of the one that opens the client span. Where no context is current nothing
/// is touched. It needs no set-up: no global propagator is asked.
///
/// The layer is an observer as well, to be joined with others by
/// [`observe`](tower_otel_core::observe).
///
/// # Order with `tower::buffer`
///
/// A buffer calls the service inside it from a task of its own, where the caller's context is not
/// current. Put the buffer inside of this layer.
#[derive(Clone, Debug, Default)]
pub struct PropagateLayer {
    filter: Filter,
}

impl PropagateLayer {
    /// A layer that propagates to every host.
    pub const fn new() -> Self {
        Self {
            filter: Filter::all(),
        }
    }

    /// Which requests are written to. All, by default; a rule on the target's host keeps trace
    /// headers from third parties.
    ///
    /// ```
    /// use tower_otel_core::Filter;
    /// use tower_otel_propagate::PropagateLayer;
    ///
    /// let inside = PropagateLayer::new().filter(Filter::new(|request| {
    ///     request.target().host().is_some_and(|host| host.ends_with(".internal"))
    /// }));
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    fn propagate(&self, request: &mut dyn RequestHead) {
        if self.filter.observes(request) {
            Context::map_current(|context| inject(context, request.headers_mut()));
        }
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Propagate {
            inner,
            layer: self.clone(),
        }
    }
}

/// Nothing is left to do once the request is on its way, so nothing is wrapped.
impl Observe for PropagateLayer {
    type Exchange = ();

    fn start(&self, request: &mut dyn RequestHead, _at: Instant) {
        self.propagate(request);
    }
}

/// The service that [`PropagateLayer`] makes: the one inside, but for two headers of its requests.
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    layer: PropagateLayer,
}

impl<S> Propagate<S> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside, to be changed.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside, no longer propagating.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, Req> Service<Req> for Propagate<S>
where
    S: Service<Req>,
    Req: RequestHead,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, task: &mut Task<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        self.layer.propagate(&mut request);
        self.inner.call(request)
    }
}
