//! The labels of the metrics of gRPC calls.

use tower_otel_core::Kind;
use tower_otel_semconv::{self as semconv, attribute, rpc};

use crate::{
    backend::instruments::SeriesLabels,
    custom_labels::CustomValue,
    dimensions::OVERFLOW,
    grpc::call_key::BorrowedCallKey,
    names::Names,
    naming::{Labels, Naming, push},
};

/// The labels of ended calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallDimensions<'a> {
    pub(crate) call: BorrowedCallKey<'a>,
    /// The name of the status.
    pub(crate) status: &'static str,
    pub(crate) error_type: Option<&'static str>,
    pub(crate) custom: &'a [CustomValue],
}

/// The start key of the overflow series.
pub(crate) const OVERFLOW_CALL: BorrowedCallKey<'static> = BorrowedCallKey {
    method: Some(OVERFLOW),
    host: Some(OVERFLOW),
    port: None,
};

/// The series of all calls beyond the series limit.
pub(crate) const OVERFLOW_CALLS: CallDimensions<'static> = CallDimensions {
    call: OVERFLOW_CALL,
    status: OVERFLOW,
    error_type: None,
    custom: &[],
};

/// Returns the labels of ended calls.
pub(crate) fn outcome_labels(
    naming: &Naming,
    kind: Kind,
    dimensions: &CallDimensions<'_>,
) -> SeriesLabels {
    let CallDimensions {
        call,
        status,
        error_type,
        custom,
    } = *dimensions;
    let mut labels = Labels::new();
    match naming.names {
        Names::Short => {
            push(&mut labels, "method", method_label(call));
            naming.push_host(&mut labels, kind, call.host, call.port);
        }
        Names::Conventions => {
            push_convention_labels(naming, kind, call, &mut labels);
            push(&mut labels, attribute::RPC_STATUS_CODE, status);
            if let Some(error_type) = error_type {
                push(&mut labels, attribute::ERROR_TYPE, error_type);
            }
        }
    }
    naming.push_custom(&mut labels, custom);
    SeriesLabels {
        shared: labels,
        status: Some(status.to_owned()),
    }
}

/// Returns the labels of the gauge of calls in flight.
pub(crate) fn in_flight_labels(
    naming: &Naming,
    kind: Kind,
    call: BorrowedCallKey<'_>,
) -> SeriesLabels {
    let mut labels = Labels::new();
    match naming.names {
        Names::Short => {
            if kind == Kind::Server {
                push(&mut labels, "method", method_label(call));
            }
            naming.push_host(&mut labels, kind, call.host, call.port);
        }
        Names::Conventions => push_convention_labels(naming, kind, call, &mut labels),
    }
    SeriesLabels {
        shared: labels,
        status: None,
    }
}

/// Pushes the labels that all metrics of a call have by the conventions.
fn push_convention_labels(
    naming: &Naming,
    kind: Kind,
    call: BorrowedCallKey<'_>,
    labels: &mut Labels,
) {
    push(labels, attribute::RPC_SYSTEM_NAME, rpc::SYSTEM);
    push(labels, attribute::RPC_METHOD, method_label(call));
    naming.push_server(labels, kind, call.host, call.port);
}

fn method_label(call: BorrowedCallKey<'_>) -> &str {
    call.method.unwrap_or(semconv::OTHER)
}
