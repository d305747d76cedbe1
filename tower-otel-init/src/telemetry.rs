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
/// Dropping it is [`shutdown`](Self::shutdown) with a timeout of five seconds.
///
/// A child of `fork` has no thread that exports: dropping telemetry there does nothing, and `flush` and `shutdown` are an error
/// at once. What the child records is lost and not counted. The child cannot start telemetry again
/// ([`AlreadyStarted`](InitError::AlreadyStarted)), because it has the subscriber of its parent. Start telemetry in each process
/// after the fork, and not in the parent before it.
#[derive(Debug)]
#[must_use = "telemetry stops when this is dropped"]
pub struct Telemetry(pub(crate) RunningTelemetry);

impl Telemetry {
    /// Starts telemetry as the variables of the environment configure it.
    ///
    /// The service name is `OTEL_SERVICE_NAME`, or `service_name` if that variable is not set.
    ///
    /// # Errors
    ///
    /// If telemetry is already started, a subscriber is already installed, a variable of this crate has
    /// an invalid value, or a variable requires a feature that is not enabled.
    pub fn from_env(service_name: &str) -> Result<Self, InitError> {
        Self::builder(service_name).install()
    }

    /// Returns a builder, which sets in code what the variables would set otherwise.
    ///
    /// The service name is `OTEL_SERVICE_NAME`, or `service_name` if that variable is not set.
    /// [`TelemetryBuilder::service_name`] takes precedence over both.
    pub fn builder(service_name: &str) -> TelemetryBuilder {
        TelemetryBuilder::new(service_name)
    }

    /// Returns the Prometheus recorder of the `metrics` facade, which provides the `/metrics` service.
    ///
    /// Returns `None` if metrics have neither the exporter `prometheus` nor `console`, and with
    /// [`TelemetryBuilder::local`](crate::TelemetryBuilder::local).
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
    /// libraries. Returns `None` unless metrics are pushed by OTLP.
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
    /// | `/` | `GET` | the settings, the state of the exporters, what was dropped, and the 32 traces that were kept last, as JSON |
    ///
    /// A `PUT` returns the setting that is now in force. It is 400 for a text that is not accepted, with what is accepted, 409
    /// for a setting that this telemetry does not have, and 413 for more than 8 KiB. Nothing is changed then.
    ///
    /// **The service has no authentication**: who reaches it reads names of traces and changes what is recorded. Serve it
    /// on a loopback address, or behind a layer that authenticates. A request that a browser sends for a page is accepted from
    /// pages of a loopback address only, so that other pages cannot change settings of the machine they are shown on.
    /// `Host` is not compared, so a page whose name a stranger resolves to this machine (DNS rebinding) can read, and changes
    /// nothing. The [page](crate::TelemetryBuilder::page) compares it.
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

    /// Returns the number of spans dropped so far.
    #[must_use]
    pub fn dropped_spans(&self) -> DropCounts {
        self.0.dropped_spans()
    }

    /// Returns the number of log records for a collector dropped so far.
    #[must_use]
    pub fn dropped_log_records(&self) -> DropCounts {
        self.0.dropped_log_records()
    }

    /// Returns one line that states what telemetry does: the service, the exporter of each signal, and which traces are
    /// sampled. [`install`](crate::TelemetryBuilder::install) logs it.
    #[must_use]
    pub fn summary(&self) -> &str {
        &self.0.summary
    }

    /// Returns the address of the [page](crate::TelemetryBuilder::page). `None` without a page, and for one without an address.
    #[cfg(feature = "page")]
    #[must_use]
    pub fn page(&self) -> Option<std::net::SocketAddr> {
        self.0.page_address
    }

    /// Returns the [page](crate::TelemetryBuilder::page) as a service, for a router of the application. `None` without a page.
    ///
    /// `TELEMETRY_PAGE=service` starts a page that has no address of its own. Mount it at a path that ends with a slash, which
    /// the router strips, and outside of the layers, so that it does not show itself:
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
    /// **The service has no authentication**: who reaches it reads the traces, changes the settings of [`Control`] and sends
    /// spans. Serve it on a loopback address, or behind a layer that authenticates. A request is refused with the status 403 and a
    /// reason, unless all of these hold:
    ///
    /// - The address of the client is a loopback address. It is `ConnectInfo<SocketAddr>` of axum (feature `connect-info`) or a
    ///   [`PeerAddr`](crate::PeerAddr) in the extensions. A client whose address is not known is refused.
    /// - The request has none of the headers `Forwarded`, `X-Forwarded-*`, `X-Real-IP` and `Via`, which proxies add, and is not
    ///   HTTP/1.0, which some proxies send.
    /// - The `Host` is `localhost` or a loopback address.
    ///
    /// A proxy on this machine that sends HTTP/1.1 without these headers cannot be told from a local client: do not forward the path
    /// of the page. With `TELEMETRY_PAGE_REMOTE=true`, only the `Host` is checked, which then is
    /// `localhost` or any IP address, and the page changes no settings. The service needs a tokio runtime with its timer.
    ///
    /// Searches, received spans and the overview are processed on a thread of the page, not on those of the application. One search
    /// runs at a time, and at most 32 browsers are kept up to date; further ones get the status 503 with `Retry-After`. Four traces
    /// are sent at a time: a response that its client has not read for 15 seconds ends early, if another one needs its place.
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

    /// Returns a warning for each variable with an invalid value.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.0.warnings.iter().map(ConfigWarning::to_string)
    }

    /// Exports everything recorded so far and waits for it, at most for the timeout. Recording continues.
    ///
    /// Call it at the end of each invocation of a function whose process is frozen between calls.
    ///
    /// This blocks the thread. It may be called on any thread of any runtime.
    ///
    /// # Errors
    ///
    /// If spans, metrics or log records could not be exported, the export takes longer than `timeout`, or telemetry is shut
    /// down.
    pub fn flush(&self, timeout: Duration) -> OTelSdkResult {
        self.0.flush(timeout)
    }

    /// Exports everything recorded so far, and stops. What is not exported within the timeout is
    /// dropped and counted.
    ///
    /// This blocks the thread, at most for the timeout. It may be called on any thread of any
    /// runtime: exports run on a thread of their own. If several threads call it at the same time, all of them
    /// wait, and the last one whose timeout ends decides what is dropped. Later calls return the same result at
    /// once.
    ///
    /// Metrics are exported after the spans, so that they count the last ones, or when half the timeout is over. A push of the
    /// metrics of `/metrics` that fails is repeated once. Values since the last export that succeeded are lost if the export
    /// fails or the timeout ends; they are not counted and no error. A warning is logged.
    ///
    /// # Errors
    ///
    /// If spans or log records were dropped, now or before, if the timeout ended while another caller still waits, or in a fork.
    pub fn shutdown(&self, timeout: Duration) -> Result<(), ShutdownError> {
        self.0.shutdown(timeout)
    }
}
