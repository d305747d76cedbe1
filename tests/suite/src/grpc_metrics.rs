//! gRPC calls between a tonic server and a channel, recorded as spans and as metrics by both naming
//! schemes, and the changes of the metrics by each call.

use std::{collections::BTreeMap, net::SocketAddr};

use http::Response;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use tonic::{
    body::Body,
    client::Grpc,
    transport::{Endpoint, Server},
};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_core::{ObserveLayer, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    backend::{AnyTraceLayer, Backend},
    grpc_calls::{Client, ExpectedStatus, assert_status, listen},
    grpc_service::CartService,
    net::BoxError,
    telemetry::{TestTelemetry, with_convention_names},
};

/// Spans, and metrics by both naming schemes.
type Layers = ObserveLayer<(AnyTraceLayer, (MetricsLayer, MetricsLayer))>;

/// A server and its client.
pub struct GrpcPair {
    pub telemetry: TestTelemetry,
    pub service: CartService,
    pub client: Client,
    pub address: SocketAddr,
    counted: BTreeMap<String, f64>,
    ended: usize,
}

/// The spans and the changed series of one call.
#[derive(Debug)]
pub struct RecordedCall {
    pub server: SpanData,
    pub client: SpanData,
    /// The changed series, and their differences.
    pub changes: BTreeMap<String, f64>,
}

fn layers(telemetry: &TestTelemetry, trace: TraceLayer, metrics: &MetricsLayer) -> Layers {
    let trace = Backend::Recorder.layer(telemetry.source(), trace.grpc());
    let metrics = metrics.clone().grpc();
    observe((trace, (metrics.clone(), with_convention_names(metrics))))
}

/// Returns a channel behind a layer.
pub fn connect(layers: Layers, to: SocketAddr) -> Client {
    let uri = format!("http://{to}");
    let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(layers)
        .service(channel)
        .map_err(BoxError::from)
        .boxed();
    Grpc::with_origin(service, uri.parse().unwrap())
}

impl GrpcPair {
    pub async fn start() -> Self {
        Self::with_layers(MetricsLayer::server(), MetricsLayer::client(), |server| {
            server
        })
        .await
    }

    pub async fn with_layers(
        server: MetricsLayer,
        client: MetricsLayer,
        configure: impl FnOnce(Server) -> Server,
    ) -> Self {
        let telemetry = TestTelemetry::new();
        let service = CartService::default();
        let (address, incoming) = listen().await;
        tokio::spawn(
            configure(Server::builder())
                .layer(layers(&telemetry, TraceLayer::server(), &server))
                .add_service(service.clone())
                .serve_with_incoming(incoming),
        );
        Self {
            client: connect(layers(&telemetry, TraceLayer::client(), &client), address),
            telemetry,
            service,
            address,
            counted: BTreeMap::new(),
            ended: 0,
        }
    }

    /// Makes one call and waits until both ends have recorded it.
    pub async fn record(&mut self, call: impl AsyncFnOnce(&mut Client)) -> RecordedCall {
        call(&mut self.client).await;
        self.recorded().await
    }

    /// Waits until both ends have recorded another call.
    pub async fn recorded(&mut self) -> RecordedCall {
        let ended = self.ended + 2;
        self.telemetry
            .wait_until("both ends record the call", |telemetry| {
                telemetry.spans().len() >= ended
            })
            .await;
        let spans = self.telemetry.spans().split_off(self.ended);
        self.ended = ended;
        let of = |kind| spans.iter().find(|span| span.span_kind == kind).unwrap();
        let counted = self.counted();
        let changes = counted.iter().filter_map(|(series, value)| {
            let change = value - self.counted.get(series).unwrap_or(&0.0);
            (change != 0.0).then(|| (series.clone(), change))
        });
        RecordedCall {
            server: of(SpanKind::Server).clone(),
            client: of(SpanKind::Client).clone(),
            changes: {
                let changes = changes.collect();
                self.counted = counted;
                changes
            },
        }
    }

    /// Returns the value of each series. Histograms are represented by their count.
    pub fn counted(&self) -> BTreeMap<String, f64> {
        let series = self.telemetry.series();
        let series = series.iter().map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        series.collect()
    }

    /// Checks that spans, counters and histograms have recorded one call with equal values, and nothing else.
    pub fn assert_recorded(
        &self,
        call: &RecordedCall,
        (server_method, server): (&str, ExpectedStatus),
        (client_method, client): (&str, ExpectedStatus),
    ) {
        assert_status(&call.server, server);
        assert_status(&call.client, client);
        let mut expected = server_series(server_method, server);
        expected.extend(client_series(client_method, client, self.address));
        let expected: BTreeMap<String, f64> =
            expected.into_iter().map(|series| (series, 1.0)).collect();
        assert_eq!(call.changes, expected, "{call:#?}");
        for (series, value) in self.counted() {
            assert!(
                !series.contains("in_flight") || value == 0.0,
                "{series} {value}"
            );
            assert!(!series.contains("http"), "{series}");
        }
    }
}

/// Returns the series of an ended call on a server.
pub fn server_series(method: &str, status: ExpectedStatus) -> Vec<String> {
    let by_conventions = convention_labels(method, status);
    let (status, _) = status;
    vec![
        format!(r#"grpc_requests_total{{method="{method}",status="{status}"}}"#),
        format!(r#"grpc_request_duration_seconds_count{{method="{method}"}}"#),
        format!("conventions_rpc_server_call_duration_seconds_count{{{by_conventions}}}"),
    ]
}

/// Returns the series of an ended call on a client.
pub fn client_series(method: &str, status: ExpectedStatus, to: SocketAddr) -> Vec<String> {
    let by_conventions = convention_labels(method, status);
    let (status, _) = status;
    let server = format!(
        r#"server_address="{}",server_port="{}""#,
        to.ip(),
        to.port()
    );
    vec![
        format!(r#"grpc_client_requests_total{{host="{to}",method="{method}",status="{status}"}}"#),
        format!(r#"grpc_client_request_duration_seconds_count{{host="{to}",method="{method}"}}"#),
        format!("conventions_rpc_client_call_duration_seconds_count{{{by_conventions},{server}}}"),
    ]
}

fn convention_labels(method: &str, (status, error): ExpectedStatus) -> String {
    let error = error.map(|error| format!(r#"error_type="{error}","#));
    format!(
        r#"{}rpc_method="{method}",rpc_status_code="{status}",rpc_system_name="grpc""#,
        error.unwrap_or_default()
    )
}
