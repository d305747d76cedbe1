//! Creates the metrics and labels of a layer from its options.

use std::{fmt, sync::Arc};

use tower_otel_core::Kind;
use tower_otel_semconv::attribute;

use crate::{
    custom_labels::CustomValue,
    dimensions::Dimensions,
    names::{Metric, MetricSet, Names},
};

/// The label that only the request counter has.
pub(crate) const STATUS: &str = "status";

/// The labels of one series. Labels of the conventions have their dotted names.
pub(crate) type Labels = Vec<(&'static str, LabelValue)>;

/// A label value. Prometheus has only texts; OpenTelemetry also has numbers.
#[derive(Clone, Debug)]
pub(crate) enum LabelValue {
    Text(String),
    Number(u16),
}

/// The options that change names and labels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    pub(crate) names: Names,
    pub(crate) rename: Option<Rename>,
    /// The names of the custom labels, in the order of [`Dimensions::custom`].
    pub(crate) custom_labels: Vec<&'static str>,
    /// Whether metrics of a server have the requested host and port.
    pub(crate) server_address: bool,
    /// Whether the in-flight gauge of a server has the route.
    pub(crate) in_flight_by_route: bool,
    pub(crate) body_sizes: bool,
}

/// A function that returns the name of a metric for its default name.
#[derive(Clone)]
pub(crate) struct Rename(pub(crate) Arc<dyn Fn(&str) -> String + Send + Sync>);

impl fmt::Debug for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rename")
    }
}

impl Naming {
    /// Returns the metrics of a layer, renamed.
    pub(crate) fn metrics(&self, kind: Kind) -> MetricSet {
        let mut metrics = self.names.metrics(kind);
        metrics.sizes = self.body_sizes.then(|| Names::size_metrics(kind));
        self.renamed(metrics)
    }

    /// Returns the metrics with the names that the application has set.
    pub(crate) fn renamed(&self, mut metrics: MetricSet) -> MetricSet {
        if let Some(Rename(rename)) = &self.rename {
            let renamed = |metric: &mut Metric| {
                metric.name = rename(&metric.name).into();
                metric.dotted = rename(&metric.dotted).into();
            };
            let MetricSet {
                requests,
                duration,
                in_flight,
                streams,
                aborted,
                sizes,
            } = &mut metrics;
            let sizes = sizes
                .iter_mut()
                .flat_map(|(request, response)| [request, response]);
            [duration, in_flight, streams]
                .into_iter()
                .chain(requests)
                .chain(aborted)
                .chain(sizes)
                .for_each(renamed);
        }
        metrics
    }

    /// Returns the labels of an ended exchange, except `status` of the request counter.
    pub(crate) fn outcome_labels(&self, kind: Kind, dimensions: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        match self.names {
            Names::Short => {
                push(&mut labels, "method", dimensions.method);
                if kind == Kind::Server {
                    push(&mut labels, "path", dimensions.path_label());
                }
                self.push_host(&mut labels, kind, dimensions.host, dimensions.port);
            }
            Names::Conventions => {
                self.push_convention_labels(kind, dimensions, &mut labels);
                if let (Kind::Server, Some(route)) = (kind, dimensions.route) {
                    push(&mut labels, attribute::HTTP_ROUTE, route);
                }
                if let Some(status) = dimensions.status {
                    let status = LabelValue::Number(status.as_u16());
                    labels.push((attribute::HTTP_RESPONSE_STATUS_CODE, status));
                }
                if let Some(error) = dimensions.error_type {
                    push(&mut labels, attribute::ERROR_TYPE, error);
                }
                if let Some(version) = dimensions.version {
                    push(&mut labels, attribute::NETWORK_PROTOCOL_VERSION, version);
                }
            }
        }
        self.push_custom(&mut labels, dimensions.custom);
        labels
    }

    /// Pushes the custom labels. A label with the name of one of the layer's labels is omitted, because names must be unique.
    pub(crate) fn push_custom(&self, labels: &mut Labels, values: &[CustomValue]) {
        for (name, value) in self.custom_labels.iter().zip(values) {
            let exists = labels.iter().any(|(key, _)| is_same_label(key, name));
            if let (Some(value), false) = (value, exists) {
                push(labels, name, value);
            }
        }
    }

    /// Returns the labels of the in-flight gauge.
    pub(crate) fn in_flight_labels(&self, kind: Kind, dimensions: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        let has_route = kind == Kind::Server && self.in_flight_by_route;
        match self.names {
            Names::Short => {
                if kind == Kind::Server {
                    push(&mut labels, "method", dimensions.method);
                }
                if has_route {
                    push(&mut labels, "path", dimensions.path_label());
                }
                self.push_host(&mut labels, kind, dimensions.host, dimensions.port);
            }
            Names::Conventions => {
                self.push_convention_labels(kind, dimensions, &mut labels);
                if let (true, Some(route)) = (has_route, dimensions.route) {
                    push(&mut labels, attribute::HTTP_ROUTE, route);
                }
            }
        }
        labels
    }

    /// Pushes the labels of the conventions that all metrics of an exchange have.
    fn push_convention_labels(&self, kind: Kind, dimensions: &Dimensions<'_>, labels: &mut Labels) {
        push(labels, attribute::HTTP_REQUEST_METHOD, dimensions.method);
        if kind == Kind::Server {
            push(labels, attribute::URL_SCHEME, dimensions.scheme);
        }
        self.push_server(labels, kind, dimensions.host, dimensions.port);
    }

    /// Pushes address and port of the server, with the names of the conventions.
    pub(crate) fn push_server(
        &self,
        labels: &mut Labels,
        kind: Kind,
        host: Option<&str>,
        port: Option<u16>,
    ) {
        if let (true, Some(host)) = (self.has_host(kind), host) {
            push(labels, attribute::SERVER_ADDRESS, host);
            if let Some(port) = port {
                labels.push((attribute::SERVER_PORT, LabelValue::Number(port)));
            }
        }
    }

    /// Pushes the label `host`.
    pub(crate) fn push_host(
        &self,
        labels: &mut Labels,
        kind: Kind,
        host: Option<&str>,
        port: Option<u16>,
    ) {
        match (host, port) {
            (Some(host), Some(port)) if self.has_host(kind) => {
                push(labels, "host", &format!("{host}:{port}"));
            }
            (Some(host), None) if self.has_host(kind) => push(labels, "host", host),
            _ => {}
        }
    }

    fn has_host(&self, kind: Kind) -> bool {
        kind == Kind::Client || self.server_address
    }
}

/// Returns whether two label names are equal in Prometheus, where dots become underscores.
fn is_same_label(a: &str, b: &str) -> bool {
    let rendered = |char: u8| if char == b'.' { b'_' } else { char };
    a.bytes().map(rendered).eq(b.bytes().map(rendered))
}

pub(crate) fn push(labels: &mut Labels, key: &'static str, value: &str) {
    labels.push((key, LabelValue::Text(value.to_owned())));
}
