//! What is recorded only where it is asked for.

use std::{borrow::Cow, sync::Arc};

use tower_otel_core::{RequestHead, ResponseHead};

use crate::{
    MetricsLayer,
    backend::Backend,
    labels::{MAX_LABELS, Source},
    naming::Rename,
};

impl<B: Backend> MetricsLayer<B> {
    /// Calls the metrics by names of your own, or puts a prefix before them. The function is given
    /// the name a metric would have, as the backend spells it (dotted for OpenTelemetry), and is
    /// asked once for each metric, not for each request.
    ///
    /// The recorder of the feature `prometheus` has buckets for names that end in
    /// `_duration_seconds` or `_body_size_bytes`; give others theirs there.
    ///
    /// ```
    /// use tower_otel_metrics::MetricsLayer;
    ///
    /// let layer = MetricsLayer::server().rename(|name| format!("shop_{name}"));
    /// ```
    #[must_use]
    pub fn rename(self, name: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.with(|config| config.naming.rename = Some(Rename(Arc::new(name))))
    }

    /// A label of your own, from the request: on everything but the gauge of requests in flight.
    /// Spans know nothing of it. Where the function answers `None` the label is absent.
    ///
    /// Its values multiply the series, which stay below [`series_limit`](Self::series_limit)
    /// whatever they are. A value that is `&'static str` costs no allocation. There is room for
    /// four labels of either kind; a fifth, and one named like a label of the layer, is left out.
    ///
    /// ```
    /// use tower_otel_metrics::MetricsLayer;
    ///
    /// let layer = MetricsLayer::server().label("api", |request| {
    ///     Some(if request.target().path.starts_with("/v2/") { "v2" } else { "v1" }.into())
    /// });
    /// ```
    #[must_use]
    pub fn label(
        self,
        name: &'static str,
        value: impl Fn(&dyn RequestHead) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.own_label(name, Source::Request(Arc::new(value)))
    }

    /// A label of your own, from the head of the response, and otherwise as [`label`](Self::label).
    /// A handler says it by an extension of the response. Without a response it is absent.
    ///
    /// ```
    /// use tower_otel_metrics::MetricsLayer;
    ///
    /// #[derive(Clone)]
    /// struct Cache(&'static str); // the handler answers `(Extension(Cache("hit")), body)`
    ///
    /// let layer = MetricsLayer::server().response_label("cache", |response| {
    ///     response.extensions().get().map(|Cache(outcome)| (*outcome).into())
    /// });
    /// ```
    #[must_use]
    pub fn response_label(
        self,
        name: &'static str,
        value: impl Fn(&dyn ResponseHead) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.own_label(name, Source::Response(Arc::new(value)))
    }

    fn own_label(self, name: &'static str, source: Source) -> Self {
        self.with(|config| {
            if config.labels.push(source) {
                config.naming.own.push(name);
            } else {
                tracing::warn!(label = name, "a layer has room for {MAX_LABELS} labels");
            }
        })
    }

    /// Records the sizes of bodies, in bytes, as histograms: `http_server_request_body_size_bytes`
    /// and `http_server_response_body_size_bytes`, for a client `http_client_...`, with the labels
    /// of the duration. Off by default.
    ///
    /// That of a request is its `Content-Length`; a request without one is not in the histogram,
    /// for this layer does not touch its body. That of a response is what passed of it.
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestbodysize).
    #[must_use]
    pub fn body_sizes(self) -> Self {
        self.with(|config| config.naming.body_sizes = true)
    }

    /// Tells the requests that a server is answering apart by route as well: label `path` or
    /// `http_route`. Off by default.
    ///
    /// Only a route that is known at the start can be counted in, so the layer has to be inside of
    /// the router or around one of its routes; later ones are `unmatched`, or without the label.
    #[must_use]
    pub fn in_flight_by_route(self) -> Self {
        self.with(|config| config.naming.in_flight_by_route = true)
    }

    /// Tells the requests of a server apart by the address they asked for: label `host`, or
    /// `server_address` and `server_port`. Off by default, because anybody can write anything
    /// into `Host`; what they write is bounded by [`series_limit`](Self::series_limit). A client
    /// does so always.
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration).
    #[must_use]
    pub fn server_address(self) -> Self {
        self.with(|config| config.naming.address = true)
    }

    /// Lets the duration end with the head of the response, as other libraries do, and not with
    /// its body: for services whose bodies are streams as long as their readers like.
    ///
    /// Everything else stays: one sample for each exchange, recorded when it has truly ended, for
    /// only then is known how.
    #[must_use]
    pub fn duration_to_head(self) -> Self {
        self.with(|config| config.duration_to_head = true)
    }
}
