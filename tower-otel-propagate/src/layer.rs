//! The layer that writes the current context into outgoing requests.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context as TaskContext, Poll},
    time::Instant,
};

use opentelemetry::Context;
use tower_layer::Layer;
use tower_otel_core::{Filter, Observe, RequestHead, RequestInfo};
use tower_service::Service;

use crate::{
    baggage_policy::BaggagePolicy, future::PropagateFuture, missing_context,
    no_propagation::NoPropagation, propagation::Propagation,
};

/// A layer that writes the current OpenTelemetry context into the headers of every outgoing request:
/// `traceparent`, and `tracestate` if it has members.
///
/// Put this layer inside the layer that creates the client span. Without a current span it writes no trace
/// headers. No global propagator has to be set. The layer does not wrap responses, and returns the errors of the
/// inner service unchanged.
///
/// The layer is also an observer that [`observe`](tower_otel_core::observe) combines with others.
/// Its position in the tuple does not matter: it writes the context of all observers in the tuple.
///
/// # Order with `tower::buffer`
///
/// Put this layer outside the buffer. A buffer calls its inner service from another task, where the
/// context of the caller is not current.
///
/// # Redirects
///
/// If the client follows redirects itself, this layer sees only the first request. The client then
/// sends the same headers to any host that a server redirects to, regardless of the filter.
/// `reqwest::Client` removes `Authorization` and `Cookie` when a redirect leads to another host, but
/// not the trace headers. There are two ways to keep trace headers from other hosts. The first is a
/// redirect policy:
///
/// ```
/// use tower_otel_propagate::{Filter, Hosts, PropagateLayer};
///
/// let internal = Hosts::new(["*.internal"]);
/// let layer = PropagateLayer::new().filter(Filter::only_hosts(internal.clone()));
///
/// // Redirects to other hosts are not followed but returned to the caller.
/// let client = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::custom(move |attempt| {
///         if attempt.previous().len() > 10 {
///             attempt.error("too many redirects")
///         } else if attempt.url().host_str().is_some_and(|host| internal.contains(host)) {
///             attempt.follow()
///         } else {
///             attempt.stop()
///         }
///     }))
///     .build()?;
/// # let _ = layer;
/// # Ok::<(), reqwest::Error>(())
/// ```
///
/// The second is a client that does not follow redirects (`Policy::none()`; hyper's clients never
/// do), with tower-http's `FollowRedirectLayer` outside this layer. Each redirect is then a request
/// of its own, with its own span and `traceparent`, and the filter applies to it.
#[derive(Clone, Debug, Default)]
pub struct PropagateLayer {
    filter: Filter,
    propagation: Propagation,
    baggage: BaggagePolicy,
}

impl PropagateLayer {
    /// Creates a layer that propagates to every host.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the requests that get headers. Default: all. A filter on the target host keeps trace
    /// headers from third parties. The request extension [`NoPropagation`](crate::NoPropagation) excludes a single request.
    ///
    /// Excluded requests are sent unchanged, with the trace headers that they already have. This filter is
    /// separate from the filter of other layers: a request that those do not record still propagates its
    /// trace.
    ///
    /// ```
    /// use tower_otel_propagate::{Filter, Hosts, NoPropagation, PropagateLayer};
    ///
    /// let layer = PropagateLayer::new().filter(Filter::only_hosts(Hosts::new(["*.internal"])));
    /// // A single request:
    /// let request = http::Request::get("https://a.internal/").extension(NoPropagation).body(())?;
    /// # Ok::<(), http::Error>(())
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets the format of the headers: any `TextMapPropagator`, or a [`Propagation`]. Default: W3C Trace
    /// Context.
    #[must_use]
    pub fn propagator(mut self, propagator: impl Into<Propagation>) -> Self {
        self.propagation = propagator.into();
        self
    }

    /// Sets the baggage to send, by key and host. Default: none. A `baggage` header that a request
    /// already has is not changed.
    ///
    /// A custom propagator that writes baggage itself is not restricted by the policy. [`BaggagePolicy`] has an
    /// example.
    #[must_use]
    pub fn baggage(mut self, policy: BaggagePolicy) -> Self {
        self.baggage = policy;
        self
    }

    /// Writes the current context into a request.
    fn propagate(&self, request: &mut dyn RequestHead) {
        if NoPropagation::applies_to(request) || !self.filter.observes(request) {
            return;
        }
        missing_context::check();
        let mut inject = |context: &Context| {
            self.propagation.inject(context, request.headers_mut());
            self.baggage.inject(context, request);
        };
        if self.propagation.is_w3c() {
            Context::map_current(inject);
        } else {
            // A propagator may attach a context, which panics inside `map_current`.
            inject(&Context::current());
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

/// The layer does nothing after the request is sent, so the response is not wrapped.
impl Observe for PropagateLayer {
    type Exchange = ();

    fn start(&self, _request: &RequestInfo<'_>, _at: Instant) {}

    fn send(&self, request: &mut dyn RequestHead) {
        self.propagate(request);
    }

    fn reads_context(&self) -> bool {
        false
    }
}

/// The service created by [`PropagateLayer`].
#[derive(Clone, Debug)]
pub struct Propagate<S> {
    inner: S,
    layer: PropagateLayer,
}

impl<S, Req> Service<Req> for Propagate<S>
where
    S: Service<Req>,
    Req: RequestHead,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = PropagateFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let propagated = catch_unwind(AssertUnwindSafe(|| self.layer.propagate(&mut request)));
        match propagated {
            Ok(()) => PropagateFuture::Called {
                future: self.inner.call(request),
            },
            Err(panic) => PropagateFuture::panicked(panic),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::Request;
    use opentelemetry::{
        KeyValue,
        baggage::BaggageExt,
        trace::{SpanContext, TraceContextExt, TraceFlags, TraceState},
    };
    use tower_otel_core::Hosts;

    use super::*;

    /// Returns the names of the headers that a request is sent with.
    fn sent(layer: &PropagateLayer, mut request: Request<()>) -> Vec<String> {
        let flags = TraceFlags::default();
        let span = SpanContext::new(1.into(), 2.into(), flags, false, TraceState::NONE);
        let cx = Context::new()
            .with_remote_span_context(span)
            .with_baggage([KeyValue::new("tenant", "7")]);
        let _current = cx.attach();
        layer.propagate(&mut request);
        let names = request.headers().keys().map(ToString::to_string);
        names.collect()
    }

    fn to(target: &str) -> Request<()> {
        Request::get(target).body(()).unwrap()
    }

    #[test]
    fn a_request_with_no_propagation_is_not_changed() {
        let layer = PropagateLayer::new();
        assert_eq!(sent(&layer, to("http://a/")), ["traceparent"]);
        let mut excluded = to("http://a/");
        excluded.extensions_mut().insert(NoPropagation);
        assert!(sent(&layer, excluded).is_empty());
    }

    #[test]
    fn the_filter_and_the_baggage_policy_apply_to_hosts() {
        let internal = Hosts::new(["internal"]);
        let policy = BaggagePolicy::default()
            .keys(["tenant"])
            .hosts(internal.clone());
        let layer = PropagateLayer::new().baggage(policy);
        assert_eq!(
            sent(&layer, to("http://internal/")),
            ["traceparent", "baggage"]
        );
        assert_eq!(sent(&layer, to("http://other/")), ["traceparent"]);

        let layer = layer.filter(Filter::only_hosts(internal));
        assert_eq!(
            sent(&layer, to("http://internal/")),
            ["traceparent", "baggage"]
        );
        assert!(sent(&layer, to("http://other/")).is_empty());
    }
}
