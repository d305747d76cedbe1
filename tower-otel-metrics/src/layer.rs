//! The layer that records metrics.

use std::{sync::Arc, time::Instant};

use http::HeaderMap;
use tower_layer::Layer;
use tower_otel_core::{Kind, Observe, Observed, RequestInfo};
use tower_otel_semconv::content_length;

use crate::{
    backend::{facade::FacadeMetrics, instruments::MetricsBackend},
    config::Config,
    custom_values::CustomValuesRef,
    exchange::{MetricsExchange, StartedRequest},
    grpc::call::MeasuredCall,
    instruments::Instruments,
    label_text::{MAX_ROUTE_LENGTH, cut},
    start_key::PlainStartKey,
};

/// A layer that counts and times every exchange of a service.
///
/// See [what is recorded](crate#what-is-recorded) and all [options](crate#options). Clones of a layer, and the
/// services that it creates, share their series. The layer is also an observer that
/// [`observe`](tower_otel_core::observe) joins with others.
#[derive(Clone, Debug)]
pub struct MetricsLayer<B: MetricsBackend = FacadeMetrics> {
    instruments: Arc<Instruments<B>>,
}

impl MetricsLayer<FacadeMetrics> {
    /// Returns a layer that records the requests that a server receives, with the recorder of the `metrics`
    /// facade.
    ///
    /// Install the recorder before the first request: requests that end earlier are not counted, and
    /// a warning is logged once.
    pub fn server() -> Self {
        Self::new(FacadeMetrics::default(), Config::new(Kind::Server))
    }

    /// Returns a layer that records the requests that a client sends, with the recorder of the `metrics`
    /// facade.
    ///
    /// Install the recorder before the first request: requests that end earlier are not counted, and
    /// a warning is logged once.
    pub fn client() -> Self {
        Self::new(FacadeMetrics::default(), Config::new(Kind::Client))
    }
}

impl<B: MetricsBackend> MetricsLayer<B> {
    fn new(backend: B, config: Config) -> Self {
        Self {
            instruments: Arc::new(Instruments::new(backend, config)),
        }
    }

    pub(crate) fn with(self, change: impl FnOnce(&mut Config)) -> Self {
        let Instruments {
            backend, config, ..
        } = &*self.instruments;
        let mut config = config.clone();
        change(&mut config);
        Self::new(backend.clone(), config)
    }

    /// Returns a layer with the options of this one and another backend.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn with_backend<C: MetricsBackend>(self, backend: C) -> MetricsLayer<C> {
        MetricsLayer::new(backend, self.instruments.config.clone())
    }
}

impl<B: MetricsBackend> Observe for MetricsLayer<B> {
    type Exchange = Option<MetricsExchange<B>>;

    #[inline]
    fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Self::Exchange {
        let instruments = &self.instruments;
        let config = &instruments.config;
        if !request.is_observed(config.kind, &config.http) {
            return None;
        }
        if instruments.is_plain
            && let Some(route) = request.route(Kind::Server, &config.http)
            && let method = request.method()
            && let Some(started) = instruments.start_plain(PlainStartKey { method, route })
        {
            return Some(MetricsExchange::plain(instruments, started, at));
        }
        self.start_any(request, at)
    }

    /// Returns whether `start` reads the current context. Only the functions of custom labels may read it.
    fn reads_context(&self) -> bool {
        !self.instruments.config.labels.is_empty()
    }
}

impl<B: MetricsBackend> MetricsLayer<B> {
    /// Starts an exchange that may be the first of its series or have any options.
    fn start_any(&self, request: &RequestInfo<'_>, at: Instant) -> Option<MetricsExchange<B>> {
        let instruments = &self.instruments;
        let config = &instruments.config;
        let labels = if config.labels.is_empty() {
            CustomValuesRef::Empty
        } else {
            request.call_function(CustomValuesRef::Empty, || {
                instruments.request_labels(request.head())
            })
        };
        if let Some(grpc) = &instruments.grpc
            && let Some(call) = MeasuredCall::start(grpc, config, request, at)
        {
            return Some(MetricsExchange::of_call(instruments, call, labels, at));
        }
        let route = match config.kind {
            Kind::Server => request.route(Kind::Server, &config.http),
            Kind::Client => None,
        };
        let route = route.map(|route| cut(route.into(), MAX_ROUTE_LENGTH));
        let route = route.as_deref();
        let server = config.recorded_server(request);
        let in_flight = instruments.start(config.start_key(request, route, server.as_ref()));
        let late_route = match (config.kind, route) {
            (Kind::Server, None) => request.route_slot(),
            _ => None,
        };
        let body_size = if config.naming.body_sizes {
            announced_size(request.headers())
        } else {
            None
        };
        let request = StartedRequest {
            labels,
            late_route,
            body_size,
        };
        Some(MetricsExchange::new(instruments, in_flight, request, at))
    }
}

impl<S, B: MetricsBackend> Layer<S> for MetricsLayer<B> {
    type Service = Observed<S, Self>;

    fn layer(&self, inner: S) -> Self::Service {
        self.instruments.allocate_tables();
        Observed::new(inner, self.clone())
    }
}

/// The maximum request body size that is recorded, in bytes. A client may announce a size close to 2^64 and disconnect, which
/// would make the sum of the sizes useless.
const MAX_ANNOUNCED_SIZE: u64 = 1 << 40;

fn announced_size(headers: &HeaderMap) -> Option<u64> {
    content_length(headers).filter(|size| *size <= MAX_ANNOUNCED_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announced_size_that_no_body_has_is_not_recorded() {
        for (length, size) in [
            ("7", Some(7)),
            ("1099511627776", Some(1 << 40)),
            ("1099511627777", None),
            ("18446744073709551613", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-length", http::HeaderValue::from_static(length));
            assert_eq!(announced_size(&headers), size, "{length}");
        }
    }

    #[test]
    fn the_tables_are_allocated_when_a_service_is_wrapped() {
        let layer = MetricsLayer::server();
        assert!(!layer.instruments.has_tables());
        let _service = layer.layer(());
        assert!(layer.instruments.has_tables());
    }
}
