//! The options of [`MetricsLayer`].

use std::{borrow::Cow, sync::Arc};

use tower_otel_core::{Filter, HttpOptions, RequestHead, ResponseHead, Route};
use tower_otel_semconv::{KnownMethods, TrustedProxies};

use crate::{
    backend::instruments::MetricsBackend,
    custom_labels::{LabelSource, MAX_LABELS},
    layer::MetricsLayer,
    names::Names,
    naming::{Rename, STATUS},
};

impl<B: MetricsBackend> MetricsLayer<B> {
    /// Records with a meter of this provider, instead of the `metrics` facade. Requires the feature `opentelemetry`.
    ///
    /// ```
    /// use opentelemetry_sdk::metrics::SdkMeterProvider;
    /// use tower_otel_metrics::{MetricsLayer, Names};
    ///
    /// let provider = SdkMeterProvider::builder().build(); // .with_periodic_exporter(..)
    /// let layer = MetricsLayer::server()
    ///     .names(Names::Conventions)
    ///     .meter_provider(&provider);
    /// ```
    #[cfg(feature = "opentelemetry")]
    #[must_use]
    pub fn meter_provider(
        self,
        provider: &impl opentelemetry::metrics::MeterProvider,
    ) -> MetricsLayer<crate::OtelMetrics> {
        self.with_backend(crate::OtelMetrics::new(provider))
    }

    /// Sets the names of metrics and labels. Default: [`Names::Short`].
    #[must_use]
    pub fn names(self, names: Names) -> Self {
        self.with(|config| config.naming.names = names)
    }

    /// Sets the maximum number of series per metric. Default: 2000. Exchanges beyond it are counted in one more
    /// series, with the label value `overflow`.
    ///
    /// On a client, one method and host get at most as many series as are left for others, so at most half of the limit.
    /// An upstream that responds with hundreds of status codes therefore does not take all series.
    #[must_use]
    pub fn series_limit(self, limit: usize) -> Self {
        self.with(|config| config.limit = limit)
    }

    /// Sets the options that all layers share: filter, route, known methods, trusted proxies and scheme. Pass the
    /// same value to the other layers of the service. It replaces the values of earlier calls of
    /// [`filter`](Self::filter), [`route`](Self::route), [`known_methods`](Self::known_methods),
    /// [`trusted_proxies`](Self::trusted_proxies) and [`https`](Self::https).
    #[must_use]
    pub fn http_options(self, options: &HttpOptions) -> Self {
        self.with_http(|_| options.clone())
    }

    /// Sets which requests are counted and timed. Default: all.
    #[must_use]
    pub fn filter(self, filter: Filter) -> Self {
        self.with_http(|options| options.filter(filter))
    }

    /// Sets a function that returns the route of a request, for routers other than axum's. See
    /// [`HttpOptions::route`] for the default.
    #[must_use]
    pub fn route(
        self,
        route: impl Fn(&dyn RequestHead) -> Option<Route> + Send + Sync + 'static,
    ) -> Self {
        self.with_http(|options| options.route(route))
    }

    /// Sets the methods that are recorded by name. Other methods are recorded as `_OTHER`.
    ///
    /// Default: the list in `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`, else the methods of the
    /// conventions.
    #[must_use]
    pub fn known_methods(self, methods: KnownMethods) -> Self {
        self.with_http(|options| options.known_methods(methods))
    }

    /// Sets the proxies whose forwarded headers are trusted. Default: none, because any client can
    /// send these headers.
    #[must_use]
    pub fn trusted_proxies(self, proxies: TrustedProxies) -> Self {
        self.with_http(|options| options.trusted_proxies(proxies))
    }

    /// Declares that the server terminates TLS itself: the scheme is `https` unless a trusted proxy
    /// forwards another one. Default: the scheme of the request target, else `http`.
    #[must_use]
    pub fn https(self) -> Self {
        self.with_http(HttpOptions::https)
    }

    /// Renames the metrics. Default: the names of [`Names`](crate::Names).
    ///
    /// The function receives the default name and returns the new one. It is called twice per metric, at the latest
    /// when the first request starts: with the name for Prometheus, and with the name for OpenTelemetry, which is dotted
    /// for [`Names::Conventions`].
    ///
    /// `tower-otel-prometheus` selects default buckets by the suffixes `_seconds` and `_bytes`. For other names, set the
    /// buckets with `PrometheusBuilder::buckets`, and for single routes with `PrometheusBuilder::series_buckets`. With
    /// OpenTelemetry, set the buckets of a metric with a view of the meter provider.
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

    /// Adds a label from the request to all metrics except the gauges. Default: none.
    ///
    /// The function is called when a request starts. If it returns `None`, the label is omitted. Spans do not get the label.
    /// Each value multiplies the number of series, up to [`series_limit`](Self::series_limit). Values longer than 128 bytes
    /// are cut and end with `…`. A `&'static str` does not allocate.
    ///
    /// A layer has at most four custom labels. Further labels are omitted, and a warning is logged. A label with the
    /// name of one of the layer's own labels is omitted; for `status` a warning is logged.
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
        self.custom_label(name, LabelSource::Request(Arc::new(value)))
    }

    /// Adds a label from the response head. Default: none. The rules of [`label`](Self::label) apply.
    ///
    /// The function is called when the response head arrives. A handler can pass the value in an extension of the
    /// response. Without a response the label is omitted.
    ///
    /// ```
    /// use tower_otel_metrics::MetricsLayer;
    ///
    /// #[derive(Clone)]
    /// struct Cache(&'static str); // the handler returns `(Extension(Cache("hit")), body)`
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
        self.custom_label(name, LabelSource::Response(Arc::new(value)))
    }

    fn custom_label(self, name: &'static str, source: LabelSource) -> Self {
        self.with(|config| {
            if name == STATUS {
                tracing::warn!(
                    label = name,
                    "the custom label is omitted: the layer has a label of this name"
                );
            } else if config.labels.push(source) {
                config.naming.custom_labels.push(name);
            } else {
                tracing::warn!(
                    label = name,
                    "the custom label is omitted: a layer has at most {MAX_LABELS} custom labels"
                );
            }
        })
    }

    /// Records body sizes in bytes. Default: off.
    ///
    /// The histograms are `http_server_request_body_size_bytes` and
    /// `http_server_response_body_size_bytes`, or `http_client_*` for a client, with the labels of
    /// the duration. The size of a request is its `Content-Length`. Requests without this header, or with a value above
    /// 1 TiB, are not recorded, because the layer does not wrap request bodies. The size of a response is the number of
    /// bytes that the body yielded.
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestbodysize).
    #[must_use]
    pub fn body_sizes(self) -> Self {
        self.with(|config| config.naming.body_sizes = true)
    }

    /// Adds the route to the in-flight gauge of a server: the label `path` or `http_route`. Default: off.
    ///
    /// The route must be known when the request starts. With axum, add the layer with `Router::layer` or to a route.
    /// Otherwise `path` is `unmatched` and `http_route` is omitted.
    #[must_use]
    pub fn in_flight_by_route(self) -> Self {
        self.with(|config| config.naming.in_flight_by_route = true)
    }

    /// Adds the requested host and port to the metrics of a server: the label `host`, or `server_address`
    /// and `server_port`. Default: off, because a client can send any `Host` header.
    ///
    /// [`series_limit`](Self::series_limit) bounds the number of series. Metrics of a client always
    /// have these labels.
    ///
    /// See [HTTP metrics](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/#metric-httpserverrequestduration).
    #[must_use]
    pub fn server_address(self) -> Self {
        self.with(|config| config.naming.server_address = true)
    }

    /// Records gRPC calls in `grpc_*` or `rpc_*` metrics instead of as HTTP requests: see
    /// [gRPC](crate#grpc). Other requests are recorded as HTTP. Default: off.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.with(|config| config.grpc = true)
    }

    /// Ends the duration at the response head instead of the end of the body. Default: off.
    ///
    /// Use it for services that stream responses of arbitrary length. The duration is still recorded at
    /// the end of the exchange, because its labels are known only then.
    #[must_use]
    pub fn duration_to_head(self) -> Self {
        self.with(|config| config.duration_to_head = true)
    }

    fn with_http(self, change: impl FnOnce(HttpOptions) -> HttpOptions) -> Self {
        self.with(|config| config.http = change(config.http.clone()))
    }
}
