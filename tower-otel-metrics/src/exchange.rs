//! The exchange of a [`MetricsLayer`](crate::MetricsLayer).

use std::{cmp::Ordering, sync::Arc, time::Instant};

use http::{HeaderName, HeaderValue, StatusCode, Version};
use tower_otel_core::{End, Exchange, Kind, LongLived, ResponseHead, Route, RouteSlot};

use crate::{
    backend::instruments::{MetricsBackend, Sample},
    custom_values::CustomValuesRef,
    dimensions::NoResponse,
    end_key::EndKey,
    grpc::call::MeasuredCall,
    handle_cache::EntryIndex,
    instruments::{InFlightEntry, Instruments},
    label_text::{MAX_ROUTE_LENGTH, cut},
    names::Names,
    open_stream::OpenStream,
};

/// One exchange. The in-flight gauge counts it from its start. It is counted and timed at its end.
///
/// It is small, because it is moved several times between the request and the end of the response body.
#[derive(Debug)]
pub struct MetricsExchange<B: MetricsBackend> {
    instruments: Arc<Instruments<B>>,
    // Boxed, because few exchanges have extras and every exchange is moved several times.
    extras: Option<Box<ExchangeExtras<B>>>,
    duration: MeasuredDuration,
    labels: CustomValuesRef,
    /// The `Content-Length` of the request in bytes, or [`UNKNOWN_SIZE`].
    sent: u64,
    /// The number of bytes of the response body so far.
    received: u64,
    /// The entry of its start key.
    start: Option<EntryIndex>,
    status: Option<StatusCode>,
    /// The protocol version of a client's response.
    version: Option<Version>,
}

/// The values of a request that an exchange stores in addition to the start key.
#[derive(Debug)]
pub(crate) struct StartedRequest {
    pub(crate) labels: CustomValuesRef,
    /// The slot of the route, if the route is not known yet.
    pub(crate) late_route: Option<RouteSlot>,
    /// The size of the request body in bytes, if it is recorded and known.
    pub(crate) body_size: Option<u64>,
}

/// The parts of an exchange that are allocated on demand.
#[derive(Debug)]
struct ExchangeExtras<B: MetricsBackend> {
    /// The gauge that counts the exchange, if it is not the gauge of its start key.
    own_gauge: Option<B::InFlight>,
    late_route: Option<RouteSlot>,
    /// The gRPC call. An exchange with a gRPC call is not recorded as HTTP.
    call: Option<Box<MeasuredCall<B>>>,
    /// The long-lived stream of the response, if it is one.
    stream: Option<OpenStream<B::InFlight>>,
}

impl<B: MetricsBackend> ExchangeExtras<B> {
    #[inline]
    fn new(own_gauge: Option<B::InFlight>, late_route: Option<RouteSlot>) -> Option<Box<Self>> {
        if own_gauge.is_none() && late_route.is_none() {
            return None;
        }
        Some(Box::new(Self {
            own_gauge,
            late_route,
            ..Self::default()
        }))
    }

    /// Records the head of the response to a gRPC call.
    #[cold]
    fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(call) = &mut self.call {
            call.response(response);
        }
    }
}

impl<B: MetricsBackend> Default for ExchangeExtras<B> {
    fn default() -> Self {
        Self {
            own_gauge: None,
            late_route: None,
            call: None,
            stream: None,
        }
    }
}

/// A marker value, because an `Option` needs more memory.
const UNKNOWN_SIZE: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
enum MeasuredDuration {
    Since(Instant),
    /// The duration ended with the head of the response, after this many seconds.
    Ended(f64),
}

impl MeasuredDuration {
    fn seconds(self, now: Instant) -> f64 {
        match self {
            Self::Since(start) => now.saturating_duration_since(start).as_secs_f64(),
            Self::Ended(seconds) => seconds,
        }
    }
}

impl<B: MetricsBackend> MetricsExchange<B> {
    #[inline]
    pub(crate) fn new(
        instruments: &Arc<Instruments<B>>,
        in_flight: InFlightEntry<B>,
        request: StartedRequest,
        start: Instant,
    ) -> Self {
        Self {
            instruments: Arc::clone(instruments),
            extras: ExchangeExtras::new(in_flight.own_gauge, request.late_route),
            duration: MeasuredDuration::Since(start),
            labels: request.labels,
            sent: request.body_size.unwrap_or(UNKNOWN_SIZE),
            received: 0,
            start: in_flight.start,
            status: None,
            version: None,
        }
    }

    /// Returns the exchange of a request if only its method and route are read.
    #[inline(always)]
    pub(crate) fn plain(
        instruments: &Arc<Instruments<B>>,
        started: EntryIndex,
        at: Instant,
    ) -> Self {
        Self {
            instruments: Arc::clone(instruments),
            extras: None,
            duration: MeasuredDuration::Since(at),
            labels: CustomValuesRef::Empty,
            sent: UNKNOWN_SIZE,
            received: 0,
            start: Some(started),
            status: None,
            version: None,
        }
    }

    /// Returns the exchange of a gRPC call.
    #[cold]
    pub(crate) fn of_call(
        instruments: &Arc<Instruments<B>>,
        call: MeasuredCall<B>,
        labels: CustomValuesRef,
        start: Instant,
    ) -> Self {
        Self {
            instruments: Arc::clone(instruments),
            extras: Some(Box::new(ExchangeExtras {
                call: Some(Box::new(call)),
                ..ExchangeExtras::default()
            })),
            duration: MeasuredDuration::Since(start),
            labels,
            sent: UNKNOWN_SIZE,
            received: 0,
            start: None,
            status: None,
            version: None,
        }
    }

    /// Ends the duration now, unless it has ended.
    fn end_duration(&mut self) {
        self.duration = MeasuredDuration::Ended(self.duration.seconds(Instant::now()));
    }

    fn open_stream(&self) -> OpenStream<B::InFlight> {
        let call = self.extras.as_ref().and_then(|extras| extras.call.as_ref());
        match (call, &self.instruments.grpc) {
            (Some(call), Some(grpc)) => call.open_stream(grpc),
            _ => self.instruments.open_stream(self.start),
        }
    }

    #[cold]
    fn record_with(&self, extras: &ExchangeExtras<B>, end: End<'_>, at: Instant) {
        if let (Some(call), Some(grpc)) = (&extras.call, &self.instruments.grpc) {
            let custom_values = || self.instruments.custom_values(self.labels);
            let labels = (self.labels, custom_values);
            let seconds = self.duration.seconds(at);
            call.end(grpc, &end, at, (seconds, self.received), labels);
            return;
        }
        let late_route = extras.late_route.as_ref().and_then(RouteSlot::get);
        let route = late_route.as_ref().map(Route::as_str);
        let route = route.map(|route| cut(route.into(), MAX_ROUTE_LENGTH));
        self.record(end, at, route.as_deref(), extras.own_gauge.as_ref());
    }

    #[inline(always)]
    fn record(
        &self,
        end: End<'_>,
        at: Instant,
        late_route: Option<&str>,
        own_gauge: Option<&B::InFlight>,
    ) {
        let config = &self.instruments.config;
        let has_response = self.status.is_some();
        let is_complete = matches!(end, End::Complete { .. } | End::Upgraded);
        let sample = Sample {
            seconds: self.duration.seconds(at),
            aborted: has_response && !is_complete,
            sent: Some(self.sent).filter(|sent| *sent != UNKNOWN_SIZE),
            received: has_response.then_some(self.received),
        };
        let (no_response, error_type) = match config.naming.names {
            Names::Short => ((!has_response).then(|| NoResponse::from_end(end)), None),
            Names::Conventions => (None, end.error_type(config.kind, self.status)),
        };
        let key = EndKey {
            start: self.start,
            status: self.status,
            no_response,
            error_type,
            version: self.version,
            route: late_route,
            custom: self.labels,
        };
        self.instruments.end(&key, own_gauge, sample);
    }
}

impl<B: MetricsBackend> Exchange for MetricsExchange<B> {
    /// The recorder may read the current span for an exemplar.
    const END_READS_CONTEXT: bool = B::READS_CONTEXT;
    const ONLY_RECORDS: bool = true;

    type Entered<'a>
        = ()
    where
        Self: 'a;

    #[inline]
    fn enter(&mut self) {}

    #[inline]
    fn read_response(
        &mut self,
        response: &dyn ResponseHead,
    ) -> Option<Box<(HeaderName, HeaderValue)>> {
        if !self.instruments.config.labels.is_empty() {
            self.labels = self.instruments.response_labels(self.labels, response);
        }
        None
    }

    #[inline]
    fn response(&mut self, response: &dyn ResponseHead) {
        if let Some(extras) = &mut self.extras {
            extras.response(response);
        }
        self.status = Some(response.status());
        let config = &self.instruments.config;
        if config.kind == Kind::Client && config.naming.names == Names::Conventions {
            self.version = Some(response.version());
        }
        if config.duration_to_head {
            self.end_duration();
        }
    }

    #[cold]
    fn long_lived(&mut self, upgraded: Option<&LongLived>) {
        let stream = self.open_stream();
        match upgraded {
            Some(connection) => connection.observe(move |code| {
                // The stream is counted until the connection ends and drops this function.
                let _ = &stream;
                code();
            }),
            None => {
                self.end_duration();
                self.extras.get_or_insert_default().stream = Some(stream);
            }
        }
    }

    #[inline]
    fn data(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    /// Metrics end after the span around them, because its end decides whether the trace is kept.
    #[inline]
    fn end_order(&self) -> Option<Ordering> {
        Some(Ordering::Greater)
    }

    #[inline]
    fn end(&mut self, end: End<'_>, at: Instant) {
        if let (Some(start), Some(status), End::Complete { .. }) = (self.start, self.status, end)
            && self.instruments.is_plain
            && self.extras.is_none()
            && self
                .instruments
                .end_plain(start, status, self.duration.seconds(at))
        {
            return;
        }
        match &self.extras {
            None => self.record(end, at, None, None),
            Some(extras) => self.record_with(extras, end, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FacadeMetrics;

    #[test]
    fn an_exchange_is_small() {
        assert!(size_of::<Option<MetricsExchange<FacadeMetrics>>>() <= 64);
    }
}
