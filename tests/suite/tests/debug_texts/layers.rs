//! The texts of the layers and of what they use.

use std::{
    convert::Infallible,
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Instant,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use opentelemetry::KeyValue;
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use suite_tests::keys::OPT_INS;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_otel_core::{
    End, Exchange, Filter, Hosts, HttpOptions, LongLived, Observe, RequestInfo, ResponseHead,
    Route, RouteSlot, observe,
};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::{
    BaggagePolicy, BaggagePropagator, PropagateLayer, Propagation, W3cPropagator, WithContext,
};
use tower_otel_semconv::{HostPort, Kind, KnownMethods, SensitiveKeys, Target, TrustedProxies};
use tower_otel_trace::{SpanHandle, TraceLayer};

use crate::{
    telemetry::{recorder, resource},
    texts::{ALLOWED, SECRET, Texts, allowed, block_on, context, request, secret},
};

/// An observer that stores the debug texts of its arguments.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Texts>>);

impl Debug for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Texts")
    }
}

impl Observe for Spy {
    type Exchange = Self;

    fn start(&self, request: &RequestInfo<'_>, _: Instant) -> Self {
        let mut texts = self.0.lock().unwrap();
        texts.debug("tower_otel_core::RequestInfo", request);
        texts.debug("tower_otel_semconv::Target", &request.target(Kind::Client));
        self.clone()
    }
}

impl Exchange for Spy {
    type Entered<'a> = ();

    fn enter(&mut self) {}

    fn response(&mut self, _: &dyn ResponseHead) {}

    fn data(&mut self, _: u64) {}

    fn end(&mut self, end: End<'_>, _: Instant) {
        let mut texts = self.0.lock().unwrap();
        if let End::Failed(failure) = &end {
            texts.debug("tower_otel_core::Failure", failure);
        }
        texts.debug("tower_otel_core::End", &end);
    }
}

fn options() -> HttpOptions {
    HttpOptions::default()
        .filter(Filter::skip_paths([allowed("path")]))
        .known_methods(KnownMethods::new([allowed("method")]))
        .trusted_proxies(TrustedProxies::all())
        .route(|_| Some(Route::from(secret("route"))))
}

pub(crate) fn core(texts: &mut Texts) {
    for filter in [
        Filter::only_hosts(Hosts::new([allowed("host")])),
        Filter::skip_hosts(Hosts::new([allowed("host")])),
        Filter::skip_paths([allowed("path")]),
        Filter::skip_routes([allowed("route")]),
    ] {
        texts.debug("tower_otel_core::Filter", &filter);
    }
    texts.debug("tower_otel_core::Hosts", &Hosts::new([allowed("host")]));
    texts.debug("tower_otel_core::HttpOptions", &options());
    texts.debug("tower_otel_core::Route", &Route::from(allowed("route")));
    let slot = RouteSlot::default();
    slot.set(allowed("route"));
    texts.debug("tower_otel_core::RouteSlot", &slot);
    let connection = LongLived::default();
    let observed = SECRET.to_owned();
    connection.observe(move |code| {
        let _ = &observed;
        code();
    });
    texts.debug("tower_otel_core::LongLived", &connection);

    // An exchange that fails with a secret, and one whose trailers have one.
    let spy = Spy::default();
    let layer = observe(spy.clone());
    texts.debug("tower_otel_core::ObserveLayer", &layer);
    let fails = service_fn(|_: Request<_>| {
        let error = io::Error::other(format!("{}: http://me:{SECRET}@host/", secret("error")));
        std::future::ready(Err::<Response<Empty<&[u8]>>, _>(error))
    });
    let service = layer.layer(fails);
    texts.debug("tower_otel_core::Observed", &layer.layer(()));
    block_on(service.oneshot(request())).unwrap_err();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-secret", HeaderValue::from_static("c4n4ry-trailer"));
    let complete = End::Complete {
        trailers: Some(&trailers),
    };
    texts.debug("tower_otel_core::End", &complete);
    texts.0.append(&mut spy.0.lock().unwrap().0);
}

pub(crate) fn semconv(texts: &mut Texts) {
    let uri = format!("http://{SECRET}:{SECRET}@{ALLOWED}/{ALLOWED}?token={SECRET}");
    let uri = uri.parse().unwrap();
    texts.debug("tower_otel_semconv::Target", &Target::of(&uri));
    let host = allowed("host");
    texts.debug(
        "tower_otel_semconv::HostPort",
        &HostPort::parse(&host).unwrap(),
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-forwarded-host", host.parse().unwrap());
    headers.insert("x-forwarded-for", "192.0.2.7, c4n4ry".parse().unwrap());
    let peer: SocketAddr = "192.0.2.1:1".parse().unwrap();
    let forwarded = TrustedProxies::all().resolve(&headers, Some(peer.into()));
    assert!(forwarded.host.is_some());
    texts.debug("tower_otel_semconv::Forwarded", &forwarded);
    texts.both(
        "tower_otel_semconv::InvalidCidr",
        &TrustedProxies::cidrs([allowed("cidr")]).unwrap_err(),
    );
    texts.debug(
        "tower_otel_semconv::KnownMethods",
        &KnownMethods::new([allowed("method")]),
    );
    texts.debug(
        "tower_otel_semconv::SensitiveKeys",
        &SensitiveKeys::new([allowed("key")]),
    );
    texts.debug(
        "tower_otel_semconv::TrustedProxies",
        &TrustedProxies::cidrs(["192.0.2.0/24"]).unwrap(),
    );
}

pub(crate) fn propagate(texts: &mut Texts) {
    let policy = BaggagePolicy::default()
        .keys([allowed("key")])
        .hosts(Hosts::new([allowed("host")]));
    texts.debug("tower_otel_propagate::BaggagePolicy", &policy);
    let propagation = Propagation::from(W3cPropagator::default()).read_baggage();
    texts.debug("tower_otel_propagate::Propagation", &propagation);
    let layer = PropagateLayer::new()
        .baggage(policy)
        .filter(Filter::skip_paths([allowed("path")]))
        .propagator(BaggagePropagator::default());
    texts.debug("tower_otel_propagate::PropagateLayer", &layer);
    let value = WithContext::new(context(), 7);
    texts.debug("tower_otel_propagate::WithContext", &value);
}

pub(crate) fn trace(texts: &mut Texts) {
    let recorder = recorder();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource())
        .build();
    let layer = TraceLayer::server()
        .http_options(&options())
        .capture_request_headers([HeaderName::from_static("x-4ll0wed")])
        .capture_response_headers([HeaderName::from_static("x-4ll0wed")])
        .exceptions()
        .grpc()
        .rpc_response_status_code()
        .opt_in(OPT_INS)
        .propagator(W3cPropagator::default())
        .sensitive_query_keys(SensitiveKeys::new([allowed("key")]))
        .expose_span();
    texts.debug("tower_otel_trace::TraceLayer", &layer);
    // The text of a layer contains the text of its backend.
    let recorded = layer.clone().recorder(&recorder);
    texts.debug("tower_otel_trace::RecorderBackend", &recorded);
    let through_provider = layer.clone().tracer_provider(&provider);
    texts.debug("tower_otel_trace::TracerBackend", &through_provider);
    let any = through_provider.any_backend();
    texts.debug("tower_otel_trace::AnyBackend", &any);
    let handler = service_fn(|request: Request<Empty<&'static [u8]>>| async move {
        let span = request.extensions().get::<SpanHandle>().unwrap();
        span.set_name(secret("name"));
        span.set_attribute(KeyValue::new("a", secret("attribute")));
        let mut response = Response::new(Empty::<&[u8]>::new());
        response.extensions_mut().insert(span.clone());
        Ok::<_, Infallible>(response)
    });
    for layer in [any, recorded.any_backend()] {
        let response = block_on(layer.layer(handler).oneshot(request())).unwrap();
        let span = response.extensions().get::<SpanHandle>().unwrap();
        texts.debug("tower_otel_trace::SpanHandle", span);
    }
}

pub(crate) fn metrics(texts: &mut Texts) {
    let provider = SdkMeterProvider::builder()
        .with_resource(resource())
        .build();
    let layer = MetricsLayer::server()
        .http_options(&options())
        .label("4ll0wed", |_| Some(secret("label").into()))
        .response_label("note", |_| Some(secret("label").into()))
        .rename(|name| format!("{ALLOWED}_{name}"));
    let handler = service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Empty::<&[u8]>::new()))
    });
    let mut service = layer.layer(handler);
    block_on(service.ready()).unwrap();
    block_on(service.call(request())).unwrap();
    texts.debug("tower_otel_metrics::MetricsLayer", &layer);
    let layer = layer.meter_provider(&provider);
    texts.debug("tower_otel_metrics::OtelMetrics", &layer);
}

pub(crate) fn prometheus(texts: &mut Texts) {
    let label = (allowed("label"), allowed("value"));
    let builder = Prometheus::builder()
        .buckets(allowed("metric"), [1.0])
        .series_buckets(allowed("metric"), label, [2.0]);
    texts.debug("tower_otel_prometheus::PrometheusBuilder", &builder);
    let error = Prometheus::builder().buckets(allowed("metric"), [f64::NAN]);
    let error = error.build().err().unwrap();
    texts.both("tower_otel_prometheus::InstallError", &error);
    let (recorder, prometheus) = builder.build().unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("requests", "tenant" => secret("label")).increment(1);
        metrics::histogram!("seconds", "tenant" => secret("label")).record(1.0);
    });
    assert!(prometheus.render().contains(SECRET));
    texts.debug("tower_otel_prometheus::Prometheus", &recorder);
    texts.debug("tower_otel_prometheus::Prometheus", &prometheus);
    let service = prometheus.service();
    texts.debug("tower_otel_prometheus::MetricsService", &service);
    let scrape = block_on(service.oneshot(request())).unwrap();
    texts.debug("tower_otel_prometheus::MetricsService", &scrape);
}
