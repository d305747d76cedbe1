//! The handle of running telemetry.

use std::time::Duration;
#[cfg(feature = "control")]
use std::{convert::Infallible, error::Error};

#[cfg(feature = "control")]
use bytes::Bytes;
#[cfg(feature = "control")]
use http::{Request, Response};
#[cfg(feature = "control")]
use http_body::Body;
#[cfg(feature = "control")]
use http_body_util::Full;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::SdkMeterProvider;
#[cfg(feature = "prometheus")]
use tower_otel_prometheus::Prometheus;
use tower_otel_recorder::RecorderTracerProvider;
#[cfg(feature = "control")]
use tower_service::Service;

use crate::builder::TelemetryBuilder;
use crate::config_warning::ConfigWarning;
use crate::control::Control;
#[cfg(feature = "control")]
use crate::control_service::ControlService;
use crate::drop_counts::DropCounts;
use crate::error::InitError;
#[cfg(feature = "page")]
use crate::page::page_service::PageService;
use crate::running_telemetry::RunningTelemetry;
use crate::shutdown::ShutdownError;

/// Running telemetry. Keep it until the end of `main`.
///
/// Dropping it calls [`shutdown`](Self::shutdown) with a timeout of five seconds.
///
/// A child of `fork` does not have the threads that export. In the child, dropping telemetry does nothing, and `flush` and
/// `shutdown` return an error immediately. Telemetry that the child records is lost and not counted. The child cannot start
/// telemetry again ([`AlreadyStarted`](InitError::AlreadyStarted)), because it has the subscriber of its parent. Start telemetry in
/// each process after the fork, and not in the parent before it.
#[derive(Debug)]
#[must_use = "telemetry stops when this is dropped"]
pub struct Telemetry(pub(crate) RunningTelemetry);

impl Telemetry {
    /// Starts telemetry for the whole process, configured by environment variables.
    ///
    /// The service name is `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else `service_name`.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`install`](TelemetryBuilder::install). An invalid value of an `OTEL_*` variable or of `RUST_LOG` is
    /// not an error: a warning is logged, and the default is used. An invalid value of another variable, such as `LOG_FORMAT` or
    /// `TRACES_KEEP`, is an error, and so is a value that needs a feature that is not enabled.
    pub fn from_env(service_name: &str) -> Result<Self, InitError> {
        Self::builder(service_name).install()
    }

    /// Returns a builder, whose settings take precedence over variables.
    ///
    /// The service name is `OTEL_SERVICE_NAME`, else `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else `service_name`.
    /// The attribute `service.name` of [`TelemetryBuilder::resource_attribute`] takes precedence over all of them.
    pub fn builder(service_name: &str) -> TelemetryBuilder {
        TelemetryBuilder::new(service_name)
    }

    /// Returns the Prometheus recorder of the `metrics` facade, which provides the `/metrics` service.
    ///
    /// Returns `None` if neither of the metrics exporters `prometheus` and `console` is selected, and for
    /// [local](crate::TelemetryBuilder::local) telemetry.
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn prometheus(&self) -> Option<&Prometheus> {
        self.0.prometheus.as_ref()
    }

    /// Returns the tracer provider, for `TraceLayer::server().tracer_provider(..)` and other
    /// libraries. Returns `None` if `OTEL_SDK_DISABLED` is set.
    #[must_use]
    pub fn tracer_provider(&self) -> Option<&RecorderTracerProvider> {
        self.0.spans.as_ref().map(|spans| &spans.provider)
    }

    /// Returns the meter provider, for `MetricsLayer::server().meter_provider(..)` and other
    /// libraries. Returns `None` if the metrics exporter `otlp` is not selected.
    #[must_use]
    pub fn meter_provider(&self) -> Option<&SdkMeterProvider> {
        self.0.meter_provider.as_ref()
    }

    /// Returns a handle that reads and changes sampling, keep rules and the log filter while telemetry runs.
    #[must_use]
    pub fn control(&self) -> Control {
        self.0.control.clone()
    }

    /// Returns a service that reads and changes the settings of [`Control`] over HTTP.
    ///
    /// | resource | method | content |
    /// |---|---|---|
    /// | `/sampling` | `GET`, `PUT` | the text of [`Control::sampling`] |
    /// | `/keep` | `GET`, `PUT` | the text of [`Control::keep`] |
    /// | `/log_filter` | `GET`, `PUT` | the text of [`Control::log_filter`] |
    /// | `/` | `GET` | the settings, the state of the exporters, the numbers of dropped items, and the 32 traces that were kept last, as JSON |
    ///
    /// A `PUT` returns the current setting. With any other status than 200, the setting is not changed:
    ///
    /// | status of a `PUT` | cause |
    /// |---|---|
    /// | 400 | the text is invalid; the response states what is accepted |
    /// | 403 | a browser sends the request for a page that is not on a loopback address |
    /// | 409 | the method of [`Control`] returns [`Unsupported`](std::io::ErrorKind::Unsupported) |
    /// | 413 | the body is larger than 8 KiB |
    ///
    /// **The service has no authentication**: every client that reaches it can read names of traces and change what is
    /// recorded. Serve it on a loopback address, or behind a layer that authenticates. A `PUT` with an `Origin` header, which
    /// browsers send, is accepted only if the origin is a loopback address, so web pages of other hosts cannot change settings.
    /// The header `Host` is not checked, so a web page whose host name an attacker resolves to this machine (DNS rebinding) can
    /// read the settings, but cannot change them. The [page](crate::TelemetryBuilder::page) checks `Host`.
    ///
    /// With axum:
    ///
    /// ```no_run
    /// use axum::Router;
    /// use tower_otel_init::Telemetry;
    ///
    /// # async fn serve(telemetry: Telemetry) -> std::io::Result<()> {
    /// let app = Router::new().fallback_service(telemetry.control_service());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:9901").await?;
    /// axum::serve(listener, app).await
    /// # }
    /// ```
    ///
    /// ```text
    /// curl 127.0.0.1:9901/sampling
    /// curl -T - 127.0.0.1:9901/sampling <<< 'parentbased_always_on'
    /// curl -T - 127.0.0.1:9901/log_filter <<< 'info,users=debug'
    /// ```
    #[cfg(feature = "control")]
    #[must_use]
    pub fn control_service<B>(
        &self,
    ) -> impl Service<
        Request<B>,
        Response = Response<Full<Bytes>>,
        Error = Infallible,
        Future: Send + 'static,
    >
    + Clone
    + Send
    + Sync
    + 'static
    + use<B>
    where
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        ControlService(self.control())
    }

    /// Returns the numbers of spans that were dropped since the start.
    #[must_use]
    pub fn dropped_spans(&self) -> DropCounts {
        self.0.dropped_spans()
    }

    /// Returns the numbers of log records for a collector that were dropped since the start.
    #[must_use]
    pub fn dropped_log_records(&self) -> DropCounts {
        self.0.dropped_log_records()
    }

    /// Returns the configuration in one line: the service, the exporter of each signal, and the sampler.
    /// [`install`](crate::TelemetryBuilder::install) logs it at the level `INFO`.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// Returns the address of the [page](crate::TelemetryBuilder::page). Returns `None` without a page, and for a page without an
    /// address of its own.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn page(&self) -> Option<std::net::SocketAddr> {
        self.0.page_address
    }

    /// Returns the [page](crate::TelemetryBuilder::page) as a service, for a router of the application. Returns `None` without
    /// a page.
    ///
    /// `TELEMETRY_PAGE=service` starts a page that has no address of its own. Mount the service at a path that ends with a
    /// slash and that the router removes from the request. Mount it outside of the layers, so that the page does not show its
    /// own requests:
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    ///
    /// use axum::{Router, routing::get};
    /// use tower_otel_init::{Telemetry, TraceLayer};
    ///
    /// # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    /// let telemetry = Telemetry::from_env("users")?;
    /// let mut app = Router::new()
    ///     .route("/users/{id}", get(|| async { "hello" }))
    ///     .layer(TraceLayer::server());
    /// if let Some(page) = telemetry.page_service() {
    ///     app = app.nest_service("/telemetry/", page);
    /// }
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// // With the feature `connect-info`.
    /// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// **The service has no authentication**: every client that reaches it can read the traces, change the settings of
    /// [`Control`] and send spans. Serve it on a loopback address, or behind a layer that authenticates. A request is refused with
    /// the status 403 and a reason, unless all of these hold:
    ///
    /// - The address of the client is a loopback address. It is `ConnectInfo<SocketAddr>` of axum (feature `connect-info`) or a
    ///   [`PeerAddr`](crate::PeerAddr) in the extensions. A client whose address is not known is refused.
    /// - The request has none of the headers `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and `Via`, which proxies add, and is not
    ///   HTTP/1.0, which some proxies send.
    /// - The `Host` is `localhost` or a loopback address.
    ///
    /// A proxy on this machine that sends HTTP/1.1 without these headers looks like a local client, so do not forward the path
    /// of the page. With `TELEMETRY_PAGE_REMOTE=true`, only the `Host` is checked. It is then `localhost` or any IP address, and
    /// the page changes no settings. The service needs a tokio runtime with its timer.
    ///
    /// Searches, received spans and the overview are processed on a thread of the page, not on the threads of the application. One
    /// search runs at a time. At most 32 browsers receive updates; further ones get the status 503 with `Retry-After`. Four traces
    /// are sent at a time. A response that its client has not read for 15 seconds ends early if another one needs its place.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn page_service<B>(
        &self,
    ) -> Option<
        impl Service<
            Request<B>,
            Response = Response<
                impl Body<Data = Bytes, Error = Infallible> + Send + 'static + use<B>,
            >,
            Error = Infallible,
            Future: Send + 'static,
        >
        + Clone
        + Send
        + Sync
        + 'static
        + use<B>,
    >
    where
        B: Body<Data: AsRef<[u8]> + Send, Error: Into<Box<dyn Error + Send + Sync>>>
            + Send
            + 'static,
    {
        self.0.page_routes.clone().map(PageService)
    }

    /// Returns a warning for each variable with an invalid value. The warnings are also logged at the start.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.warnings.iter().map(ConfigWarning::to_string)
    }

    /// Exports everything recorded so far, and waits for the export at most `timeout`. Recording continues.
    ///
    /// On a serverless platform, whose processes are frozen between calls, call it at the end of each call.
    ///
    /// This blocks the thread. It may be called on any thread of any runtime.
    ///
    /// # Errors
    ///
    /// Returns an error if spans, metrics or log records could not be exported, the export takes longer than `timeout`, telemetry
    /// is shut down, or in a fork.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.0.flush(timeout)
    }

    /// Exports everything recorded so far, and stops telemetry. Spans and log records that are not exported within `timeout` are
    /// dropped and counted.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tower_otel_init::Telemetry;
    /// fn stop(telemetry: Telemetry) {
    ///     if let Err(error) = telemetry.shutdown(Duration::from_secs(10)) {
    ///         eprintln!("{error}");
    ///     }
    /// }
    /// ```
    ///
    /// This blocks the thread, at most for the timeout. It may be called on any thread of any
    /// runtime: exports run on separate threads. If several threads call it at the same time, all of them
    /// wait, and pending items are dropped when the last of their timeouts ends. Later calls return the same result
    /// immediately.
    ///
    /// Metrics are exported after the spans, so that they count the last spans, but not later than after half of `timeout`. If
    /// the last push of the metrics of `/metrics` fails, it is repeated once. If the export of metrics fails or the timeout
    /// ends, the values since the last successful export are lost. A warning is logged then. Lost values are not counted, and
    /// are not an error.
    ///
    /// # Errors
    ///
    /// Returns an error if spans or log records have been dropped since the start, if the timeout ends while another caller still
    /// waits, or in a fork.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        self.0.shutdown(timeout)
    }
}
