//! The exchange of a [`MetricsLayer`](crate::MetricsLayer).

use std::{sync::Arc, time::Instant};

use http::{StatusCode, Version};
use tower_otel_core::{End, Exchange, Kind, ResponseHead, Route, RouteSlot};

use crate::{
    backend::{MetricsBackend, Sample},
    custom_values::CustomValuesRef,
    dimensions::NoResponse,
    end_key::EndKey,
    handle_cache::EntryIndex,
    instruments::InFlightEntry,
    names::Names,
    state::LayerState,
};

/// One exchange: in flight from its start, counted and timed at its end.
///
/// It is moved several times between the request and the end of the response body, so it is kept
/// small.
#[derive(Debug)]
pub struct MetricsExchange<B: MetricsBackend> {
    state: Arc<LayerState<B>>,
    /// The gauge it was counted in, if that is not the one of its start key.
    own_gauge: Option<Box<B::InFlight>>,
    late_route: Option<RouteSlot>,
    duration: Duration,
    labels: CustomValuesRef,
    /// The size of the request body, by its head.
    sent: Option<u64>,
    received: u64,
    /// The entry of its start key.
    start: Option<EntryIndex>,
    status: Option<StatusCode>,
    /// The protocol of a client's response.
    version: Option<Version>,
}

/// What is known of a request besides its start key.
#[derive(Debug)]
pub(crate) struct RequestValues {
    pub(crate) late_route: Option<RouteSlot>,
    pub(crate) labels: CustomValuesRef,
    pub(crate) sent: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Duration {
    Since(Instant),
    /// It ended with the head of the response, after this many seconds.
    Ended(f64),
}

impl Duration {
    fn seconds(self, now: Instant) -> f64 {
        match self {
            Self::Since(start) => now.saturating_duration_since(start).as_secs_f64(),
            Self::Ended(seconds) => seconds,
        }
    }
}

impl<B: MetricsBackend> MetricsExchange<B> {
    pub(crate) fn new(
        state: &Arc<LayerState<B>>,
        in_flight: InFlightEntry<B>,
        request: RequestValues,
        start: Instant,
    ) -> Self {
        Self {
            state: Arc::clone(state),
            own_gauge: in_flight.own_gauge,
            late_route: request.late_route,
            duration: Duration::Since(start),
            labels: request.labels,
            sent: request.sent,
            received: 0,
            start: in_flight.start,
            status: None,
            version: None,
        }
    }
}

impl<B: MetricsBackend> Exchange for MetricsExchange<B> {
    const END_READS_CONTEXT: bool = false;

    type Entered<'a>
        = ()
    where
        Self: 'a;

    fn enter(&mut self) {}

    fn response(&mut self, response: &dyn ResponseHead) {
        self.status = Some(response.status());
        let config = &self.state.config;
        if config.kind == Kind::Client && config.naming.names == Names::Conventions {
            self.version = Some(response.version());
        }
        if !config.labels.is_empty() {
            let instruments = self.state.instruments();
            self.labels = instruments.response_labels(config, self.labels, response);
        }
        if config.duration_to_head {
            self.duration = Duration::Ended(self.duration.seconds(Instant::now()));
        }
    }

    fn data(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    fn end(&mut self, end: End<'_>, at: Instant) {
        let config = &self.state.config;
        let has_response = self.status.is_some();
        let is_complete = matches!(end, End::Complete { .. } | End::Upgraded);
        let sample = Sample {
            seconds: self.duration.seconds(at),
            aborted: has_response && !is_complete,
            sent: self.sent,
            received: has_response.then_some(self.received),
        };
        let (no_response, error_type) = match config.naming.names {
            Names::Short => ((!has_response).then(|| NoResponse::from_end(end)), None),
            Names::Conventions => (None, end.error_type(config.kind, self.status)),
        };
        let late_route = self.late_route.as_ref().and_then(RouteSlot::get);
        let key = EndKey {
            start: self.start,
            status: self.status,
            no_response,
            error_type,
            version: self.version,
            route: late_route.as_ref().map(Route::as_str),
            custom: self.labels,
        };
        let instruments = self.state.instruments();
        instruments.end(&self.state, &key, self.own_gauge.as_deref(), sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FacadeMetrics;

    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Option<MetricsExchange<FacadeMetrics>>>() <= 80);
    }
}
