//! The layer that writes the current context into outgoing requests.

use std::{
    task::{Context as Task, Poll},
    time::Instant,
};

use opentelemetry::Context;
use tower_layer::Layer;
use tower_otel_core::{Filter, Observe, RequestHead, RequestInfo};
use tower_service::Service;

use crate::{BaggagePolicy, Format, detect};

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
///
/// # Redirects
///
/// A client that follows redirects by itself does so below this layer, which sees the first request
/// only: its headers go on to wherever the server points, past any rule about hosts.
/// `reqwest::Client` takes off `Authorization` and `Cookie` on the way to another host, and leaves
/// the trace headers on. There are two ways to keep them in the house:
///
/// ```
/// use tower_otel_core::{Filter, Hosts};
/// use tower_otel_propagate::PropagateLayer;
///
/// let ours = Hosts::new(["*.internal"]);
/// let layer = PropagateLayer::new().filter(Filter::only_hosts(ours.clone()));
///
/// // Redirects that lead elsewhere are not followed; the caller gets to see them.
/// let client = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::custom(move |attempt| {
///         if attempt.previous().len() > 10 {
///             attempt.error("too many redirects")
///         } else if attempt.url().host_str().is_some_and(|host| ours.contains(host)) {
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
/// Or the client follows none (`Policy::none()`, and hyper's clients anyway), and tower-http's
/// `FollowRedirectLayer` does so outside of this layer, where every hop is a request of its own: a
/// span, a `traceparent`, and the rules asked anew.
#[derive(Clone, Debug, Default)]
pub struct PropagateLayer {
    filter: Filter,
    format: Format,
    baggage: BaggagePolicy,
}

/// As an extension of a request: nothing is to be propagated with it.
///
/// For requests that have extensions: `http::Request`, and those of a `reqwest_middleware` chain
/// (`.with_extension(DontPropagate)`). A layer outside of [`PropagateLayer`] that makes requests
/// anew may lose it: tower-http's `FollowRedirect` does, on every hop after the first. Rules on
/// hosts by [`PropagateLayer::filter`] are not lost.
///
/// ```
/// use tower_otel_propagate::DontPropagate;
///
/// let request = http::Request::get("https://elsewhere.example/")
///     .extension(DontPropagate)
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DontPropagate;

impl PropagateLayer {
    /// A layer that propagates to every host.
    pub const fn new() -> Self {
        Self {
            filter: Filter::all(),
            format: Format::w3c(),
            baggage: BaggagePolicy::new(),
        }
    }

    /// Which requests are written to. All, by default; a rule on the target's host keeps trace
    /// headers from third parties. Single requests opt out by [`DontPropagate`].
    ///
    /// What is not written to is not touched: headers that are there already are sent.
    ///
    /// ```
    /// use tower_otel_core::{Filter, Hosts};
    /// use tower_otel_propagate::PropagateLayer;
    ///
    /// let inside = PropagateLayer::new().filter(Filter::only_hosts(Hosts::new(["*.internal"])));
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// In which headers a context travels: any `TextMapPropagator`, or a [`Format`]. W3C Trace
    /// Context, by default.
    #[must_use]
    pub fn propagator(mut self, propagator: impl Into<Format>) -> Self {
        self.format = propagator.into();
        self
    }

    /// Which baggage is sent to whom. None to nobody, by default. A request that has a `baggage`
    /// header keeps it as it is.
    ///
    /// A propagator that writes baggage itself does not ask this policy.
    #[must_use]
    pub fn baggage(mut self, policy: BaggagePolicy) -> Self {
        self.baggage = policy;
        self
    }

    fn propagate(&self, request: &mut dyn RequestHead) {
        let Self {
            filter,
            format,
            baggage,
        } = self;
        let opted_out = request
            .extensions()
            .is_some_and(|extensions| extensions.get::<DontPropagate>().is_some());
        if opted_out || !filter.observes(request) {
            return;
        }
        Context::map_current(|context| {
            detect::look(context);
            format.inject(context, request.headers_mut());
            baggage.inject(context, request);
        });
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

/// Writes the headers when the request is sent. The exchange has nothing left to observe.
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
    fn a_request_can_opt_out() {
        let layer = PropagateLayer::new();
        assert_eq!(sent(&layer, to("http://a/")), ["traceparent"]);
        let mut silent = to("http://a/");
        silent.extensions_mut().insert(DontPropagate);
        assert!(sent(&layer, silent).is_empty());
    }

    #[test]
    fn hosts_have_rules_for_both_headers() {
        let ours = Hosts::new(["ours"]);
        let policy = BaggagePolicy::new().keys(["tenant"]).hosts(ours.clone());
        let layer = PropagateLayer::new().baggage(policy);
        assert_eq!(sent(&layer, to("http://ours/")), ["traceparent", "baggage"]);
        assert_eq!(sent(&layer, to("http://theirs/")), ["traceparent"]);

        let layer = layer.filter(Filter::only_hosts(ours));
        assert_eq!(sent(&layer, to("http://ours/")), ["traceparent", "baggage"]);
        assert!(sent(&layer, to("http://theirs/")).is_empty());
    }
}
