//! Which metrics and labels a layer has, after all that was asked of it.

use std::{fmt, sync::Arc};

use tower_otel_core::Kind;
use tower_otel_semconv::attribute;

use crate::{
    dimensions::Dimensions,
    names::{Metric, Metrics, Names},
};

/// The label that only the counter of requests has.
pub(crate) const STATUS: &str = "status";

/// The labels of one series, by the names of the conventions where there are any.
pub(crate) type Labels = Vec<(&'static str, LabelValue)>;

/// A text or a number: to Prometheus all are texts, to OpenTelemetry they are not.
#[derive(Clone, Debug)]
pub(crate) enum LabelValue {
    Text(String),
    Number(u16),
}

/// Names, and what there is to be named.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naming {
    pub(crate) names: Names,
    pub(crate) rename: Option<Rename>,
    /// The caller's labels, in the order of [`Dimensions::own`].
    pub(crate) own: Vec<&'static str>,
    /// Whether a server says at which address it was asked.
    pub(crate) address: bool,
    /// Whether the gauge of a server is told apart by route.
    pub(crate) in_flight_by_route: bool,
    pub(crate) body_sizes: bool,
}

/// Says what a metric is called instead.
#[derive(Clone)]
pub(crate) struct Rename(pub(crate) Arc<dyn Fn(&str) -> String + Send + Sync>);

impl fmt::Debug for Rename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rename")
    }
}

impl Naming {
    pub(crate) fn metrics(&self, kind: Kind) -> Metrics {
        let mut metrics = self.names.metrics(kind);
        metrics.sizes = self.body_sizes.then(|| Names::sizes(kind));
        if let Some(Rename(rename)) = &self.rename {
            let renamed = |metric: &mut Metric| {
                metric.name = rename(&metric.name).into();
                metric.dotted = rename(&metric.dotted).into();
            };
            let Metrics {
                requests,
                duration,
                in_flight,
                aborted,
                sizes,
            } = &mut metrics;
            let sizes = sizes.iter_mut().flat_map(|(sent, read)| [sent, read]);
            [duration, in_flight]
                .into_iter()
                .chain(requests)
                .chain(aborted)
                .chain(sizes)
                .for_each(renamed);
        }
        metrics
    }

    /// Labels of what is known when an exchange has ended, but for the counter's `status`.
    pub(crate) fn outcome_labels(&self, kind: Kind, of: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        match self.names {
            Names::Short => {
                push(&mut labels, "method", of.method);
                if kind == Kind::Server {
                    push(&mut labels, "path", of.route());
                }
                self.push_host(&mut labels, kind, of);
            }
            Names::Conventions => {
                self.exchange_labels(kind, of, &mut labels);
                if let (Kind::Server, Some(route)) = (kind, of.route) {
                    push(&mut labels, attribute::HTTP_ROUTE, route);
                }
                if let Some(status) = of.status {
                    let status = LabelValue::Number(status.as_u16());
                    labels.push((attribute::HTTP_RESPONSE_STATUS_CODE, status));
                }
                if let Some(error) = of.error_type {
                    push(&mut labels, attribute::ERROR_TYPE, error);
                }
                if let Some(version) = of.version {
                    push(&mut labels, attribute::NETWORK_PROTOCOL_VERSION, version);
                }
            }
        }
        // Beside a label of the layer's own, a second one of that name would be an invalid series.
        for (name, value) in self.own.iter().zip(of.own) {
            let taken = *name == STATUS || labels.iter().any(|(key, _)| same(key, name));
            if let (Some(value), false) = (value, taken) {
                push(&mut labels, name, value);
            }
        }
        labels
    }

    /// Labels of what is known when an exchange starts.
    pub(crate) fn in_flight_labels(&self, kind: Kind, of: &Dimensions<'_>) -> Labels {
        let mut labels = Labels::new();
        let by_route = kind == Kind::Server && self.in_flight_by_route;
        match self.names {
            Names::Short => {
                if kind == Kind::Server {
                    push(&mut labels, "method", of.method);
                }
                if by_route {
                    push(&mut labels, "path", of.route());
                }
                self.push_host(&mut labels, kind, of);
            }
            Names::Conventions => {
                self.exchange_labels(kind, of, &mut labels);
                if let (true, Some(route)) = (by_route, of.route) {
                    push(&mut labels, attribute::HTTP_ROUTE, route);
                }
            }
        }
        labels
    }

    /// What the conventions ask of every metric of an exchange.
    fn exchange_labels(&self, kind: Kind, of: &Dimensions<'_>, labels: &mut Labels) {
        push(labels, attribute::HTTP_REQUEST_METHOD, of.method);
        if kind == Kind::Server {
            push(labels, attribute::URL_SCHEME, of.scheme);
        }
        if let (true, Some(host)) = (self.has_host(kind), of.host) {
            push(labels, attribute::SERVER_ADDRESS, host);
            if let Some(port) = of.port {
                labels.push((attribute::SERVER_PORT, LabelValue::Number(port)));
            }
        }
    }

    fn push_host(&self, labels: &mut Labels, kind: Kind, of: &Dimensions<'_>) {
        match (of.host, of.port) {
            (Some(host), Some(port)) if self.has_host(kind) => {
                push(labels, "host", &format!("{host}:{port}"));
            }
            (Some(host), None) if self.has_host(kind) => push(labels, "host", host),
            _ => {}
        }
    }

    fn has_host(&self, kind: Kind) -> bool {
        kind == Kind::Client || self.address
    }
}

/// Whether two names of labels are one to Prometheus, to which a dot is an underscore.
fn same(one: &str, other: &str) -> bool {
    let alike = |char: u8| if char == b'.' { b'_' } else { char };
    one.bytes().map(alike).eq(other.bytes().map(alike))
}

fn push(labels: &mut Labels, key: &'static str, value: &str) {
    labels.push((key, LabelValue::Text(value.to_owned())));
}
