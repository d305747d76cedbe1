//! The instruments of a layer, found by the keys of its exchanges.

use std::sync::OnceLock;

use http::StatusCode;
use tower_otel_core::{Kind, RequestHead, ResponseHead};

use crate::{
    backend::instruments::{
        GaugeKind, InFlightGauge as _, MetricsBackend, OutcomeInstruments as _, Sample,
        SeriesLabels,
    },
    config::Config,
    counted_in::CountedIn,
    custom_labels::CustomValues,
    custom_values::{CustomValueTable, CustomValuesRef},
    dimensions::{Dimensions, NoResponse, OVERFLOW},
    end_key::{EndKey, OwnedEndKey},
    grpc::instruments::GrpcInstruments,
    handle_cache::{EntryIndex, EntryShare, FoundEntry, HandleCache, Query},
    missing_recorder::MissingRecorder,
    names::MetricSet,
    open_stream::OpenStream,
    start_key::{BorrowedStartKey, OwnedStartKey, PlainStartKey},
    stream_gauges::StreamGauges,
};

/// The instruments of a layer, shared by its services and their exchanges.
#[derive(Debug)]
pub(crate) struct Instruments<B: MetricsBackend> {
    pub(crate) backend: B,
    pub(crate) config: Config,
    /// Whether only method and route of a request are read.
    pub(crate) is_plain: bool,
    /// The instruments of gRPC calls, if they have separate metrics.
    pub(crate) grpc: Option<Box<GrpcInstruments<B>>>,
    /// Created for the first exchange, so that options can be set without allocating tables.
    tables: OnceLock<Tables<B>>,
}

/// The handles of the series of a layer.
#[derive(Debug)]
struct Tables<B: MetricsBackend> {
    metrics: MetricSet,
    described: OnceLock<B::Instruments>,
    starts: HandleCache<OwnedStartKey, CachedHandles<B>>,
    in_flight: HandleCache<OwnedStartKey, B::InFlight>,
    streams: StreamGauges<OwnedStartKey, B::InFlight>,
    outcomes: HandleCache<OwnedEndKey, B::Outcome>,
    label_values: CustomValueTable,
    overflow: OnceLock<(B::Outcome, B::InFlight)>,
    missing_recorder: MissingRecorder,
}

/// The handles of the exchanges with one start key.
#[derive(Debug)]
struct CachedHandles<B: MetricsBackend> {
    in_flight: B::InFlight,
    /// The first outcome, which most exchanges have. Its handles are also in `outcomes`; here they are read without
    /// accessing memory that is rarely in the CPU cache.
    common_outcome: OnceLock<(OwnedEndKey, B::Outcome)>,
    share: EntryShare,
}

/// The entry that counts an exchange in flight.
#[derive(Debug)]
pub(crate) struct InFlightEntry<B: MetricsBackend> {
    /// The entry of its start key. `None` if there was no room for it.
    pub(crate) start: Option<EntryIndex>,
    /// The gauge that counts the exchange, if it is not the gauge of the start key.
    pub(crate) own_gauge: Option<B::InFlight>,
}

impl<B: MetricsBackend> Tables<B> {
    fn new(config: &Config) -> Self {
        Self {
            metrics: config.naming.metrics(config.kind),
            described: OnceLock::new(),
            starts: HandleCache::new(config.limit),
            in_flight: HandleCache::new(config.limit),
            streams: StreamGauges::new(config.limit),
            outcomes: HandleCache::new(config.limit),
            label_values: CustomValueTable::new(&config.labels, config.limit),
            overflow: OnceLock::new(),
            missing_recorder: MissingRecorder::default(),
        }
    }

    #[inline]
    fn handles(&self, index: EntryIndex) -> Option<&CachedHandles<B>> {
        self.starts.entry(index)?.get()
    }
}

impl<B: MetricsBackend> Instruments<B> {
    pub(crate) fn new(backend: B, config: Config) -> Self {
        let grpc = config.grpc.then(|| {
            let naming = config.naming.clone();
            GrpcInstruments::new(backend.clone(), config.kind, naming, config.limit).into()
        });
        Self {
            is_plain: config.is_plain(),
            grpc,
            backend,
            config,
            tables: OnceLock::new(),
        }
    }

    #[inline]
    fn tables(&self) -> &Tables<B> {
        self.tables.get_or_init(|| Tables::new(&self.config))
    }

    /// Allocates the tables before the first request, so that the first requests do not wait for it.
    pub(crate) fn allocate_tables(&self) {
        self.tables();
        if let Some(grpc) = &self.grpc {
            grpc.allocate_tables();
        }
    }

    #[cfg(test)]
    pub(crate) fn has_tables(&self) -> bool {
        self.tables.get().is_some()
    }

    /// Returns the values of the custom labels that are read from the request.
    pub(crate) fn request_labels(&self, request: &dyn RequestHead) -> CustomValuesRef {
        self.add_labels(
            CustomValuesRef::Empty,
            self.config.labels.request_values(request),
        )
    }

    /// Adds the values of the custom labels that are read from the response.
    pub(crate) fn response_labels(
        &self,
        before: CustomValuesRef,
        response: &dyn ResponseHead,
    ) -> CustomValuesRef {
        self.add_labels(before, self.config.labels.response_values(response))
    }

    /// Returns the stored values.
    pub(crate) fn custom_values(&self, stored: CustomValuesRef) -> CustomValues {
        self.tables().label_values.get(stored)
    }

    fn add_labels(&self, before: CustomValuesRef, values: Option<CustomValues>) -> CustomValuesRef {
        values.map_or(before, |values| {
            self.tables().label_values.add(before, &values)
        })
    }

    /// Adds an exchange to its in-flight gauge.
    ///
    /// A method that is found in the table is a known one: the table contains no others.
    #[inline]
    pub(crate) fn start(&self, key: BorrowedStartKey<'_>) -> InFlightEntry<B> {
        match self.tables().starts.get_with_index(&key) {
            Some((at, handles)) => {
                handles.in_flight.started();
                InFlightEntry {
                    start: Some(at),
                    own_gauge: None,
                }
            }
            None => self.start_first(key),
        }
    }

    /// Adds an exchange to its in-flight gauge, if its key is in the table.
    #[inline(always)]
    pub(crate) fn start_plain(&self, key: PlainStartKey<'_>) -> Option<EntryIndex> {
        let (at, handles) = self.tables().starts.get_with_index(&key)?;
        handles.in_flight.started();
        Some(at)
    }

    #[cold]
    fn start_first(&self, mut key: BorrowedStartKey<'_>) -> InFlightEntry<B> {
        let methods = self.config.http.methods();
        key.method = key.method.filter(|name| methods.name(name).is_some());
        let found = self.tables().starts.find_or_insert(&key);
        let start = found.as_ref().map(|found| found.index);
        if !self.is_ready() {
            let dimensions = key.dimensions();
            let in_flight = self.make_in_flight(&self.describe(), &dimensions);
            in_flight.started();
            let own_gauge = Some(in_flight);
            return InFlightEntry { start, own_gauge };
        }
        let in_flight = self
            .tables()
            .in_flight
            .get_or_insert_with(&self.config.in_flight_key(key), |key| {
                self.make_in_flight(self.described(), &key.borrowed().dimensions())
            })
            .unwrap_or_else(|| &self.overflow().1);
        in_flight.started();
        let Some(FoundEntry { index, entry }) = found else {
            let own_gauge = Some(in_flight.clone());
            return InFlightEntry { start, own_gauge };
        };
        entry.get_or_init(|_| CachedHandles {
            in_flight: in_flight.clone(),
            common_outcome: OnceLock::new(),
            share: EntryShare::up_to(usize::MAX),
        });
        InFlightEntry {
            start: Some(index),
            own_gauge: None,
        }
    }

    /// Counts an open long-lived stream or upgraded connection in the series of its start key.
    #[cold]
    pub(crate) fn open_stream(&self, start: Option<EntryIndex>) -> OpenStream<B::InFlight> {
        let tables = self.tables();
        let entry = start.and_then(|at| tables.starts.entry(at));
        let key = entry.map(|entry| self.config.in_flight_key(entry.key.borrowed()));
        let make = |instruments: &_, key: Option<&BorrowedStartKey<'_>>| {
            let dimensions = key.map_or(overflow_dimensions(), |key| key.dimensions());
            self.make_gauge(instruments, GaugeKind::Streams, &dimensions)
        };
        let gauge = if self.is_ready() {
            tables
                .streams
                .get(key.as_ref(), |key| make(self.described(), key))
        } else {
            make(&self.describe(), key.as_ref())
        };
        OpenStream::new(gauge)
    }

    /// Records the end of an exchange that was started with [`start_plain`](Self::start_plain). Returns `false` and records
    /// nothing if its outcome is not the common outcome of its key.
    #[inline]
    pub(crate) fn end_plain(&self, start: EntryIndex, status: StatusCode, seconds: f64) -> bool {
        let Some(handles) = self.tables().handles(start) else {
            return false;
        };
        match handles.common_outcome.get() {
            Some((common, outcome)) if common.is_plain(start, status) => {
                let counted_in = CountedIn::new(Some(&handles.in_flight));
                outcome.record(Sample::complete(seconds));
                counted_in.ended();
                true
            }
            _ => false,
        }
    }

    /// Records an ended exchange and removes it from its gauge. An exchange without an entry is recorded in the
    /// overflow series.
    #[inline]
    pub(crate) fn end(&self, key: &EndKey<'_>, own_gauge: Option<&B::InFlight>, sample: Sample) {
        let handles = key.start.and_then(|at| self.tables().handles(at));
        let in_flight = CountedIn::new(own_gauge.or(handles.map(|handles| &handles.in_flight)));
        match handles.and_then(|handles| handles.common_outcome.get()) {
            Some((common, outcome)) if key.matches(common) => outcome.record(sample),
            _ => self.end_uncommon(key, sample),
        }
        in_flight.ended();
    }

    #[inline(never)]
    fn end_uncommon(&self, key: &EndKey<'_>, sample: Sample) {
        match self.tables().outcomes.get(key) {
            Some(outcome) => outcome.record(sample),
            None => self.end_first(key, sample),
        }
    }

    #[cold]
    fn end_first(&self, key: &EndKey<'_>, sample: Sample) {
        let label_values = self.tables().label_values.get(key.custom);
        let known = key
            .start
            .filter(|_| key.custom != CustomValuesRef::Overflow)
            .and_then(|at| {
                let start = self.tables().starts.entry(at)?.key.borrowed();
                Some((at, key.dimensions(start, &label_values)))
            });
        if !self.is_ready() {
            let dimensions = known.map_or(overflow_dimensions(), |(_, dimensions)| dimensions);
            return self
                .make_outcome(&self.describe(), &dimensions)
                .record(sample);
        }
        let outcome = known.and_then(|(at, dimensions)| {
            let outcomes = &self.tables().outcomes;
            let found = outcomes.find_or_insert_in(key, self.share(at))?;
            let make = |_: &_| self.make_outcome(self.described(), &dimensions);
            let outcome = found.entry.get_or_init(make);
            if let Some(handles) = self.tables().handles(at) {
                let common = || (key.to_key(), outcome.clone());
                handles.common_outcome.get_or_init(common);
            }
            Some(outcome)
        });
        outcome.unwrap_or_else(|| &self.overflow().0).record(sample);
    }

    /// Returns the share of the series limit for a start key. On a client it is the share of its method and host.
    fn share(&self, start: EntryIndex) -> Option<&EntryShare> {
        match self.config.kind {
            Kind::Client => Some(&self.tables().handles(start)?.share),
            Kind::Server => None,
        }
    }

    /// Returns whether handles that the backend returns now may be cached. Called only for new series.
    #[cold]
    fn is_ready(&self) -> bool {
        let is_ready = self.backend.is_ready();
        if !is_ready {
            let metric = &self.metrics().duration.name;
            self.tables().missing_recorder.warn(metric, "requests");
        }
        is_ready
    }

    /// Returns the series of all exchanges beyond the series limit.
    #[cold]
    fn overflow(&self) -> &(B::Outcome, B::InFlight) {
        if self.tables().outcomes.first_overflow() {
            tracing::warn!(
                limit = self.config.limit,
                metric = %self.metrics().duration.name,
                "the limit of series is reached: requests with new labels are counted in the series \"{OVERFLOW}\""
            );
        }
        self.tables().overflow.get_or_init(|| {
            let described = self.described();
            (
                self.make_outcome(described, &overflow_dimensions()),
                self.make_in_flight(described, &overflow_dimensions()),
            )
        })
    }

    /// Returns the instruments of the layer. They are described for the first series.
    fn described(&self) -> &B::Instruments {
        self.tables().described.get_or_init(|| self.describe())
    }

    #[cold]
    fn make_outcome(&self, instruments: &B::Instruments, of: &Dimensions<'_>) -> B::Outcome {
        let series = SeriesLabels {
            shared: self.config.naming.outcome_labels(self.config.kind, of),
            status: Some(of.status_label().to_owned()),
        };
        self.backend.outcome(instruments, series)
    }

    fn make_in_flight(&self, instruments: &B::Instruments, of: &Dimensions<'_>) -> B::InFlight {
        self.make_gauge(instruments, GaugeKind::InFlight, of)
    }

    #[cold]
    fn make_gauge(
        &self,
        instruments: &B::Instruments,
        gauge: GaugeKind,
        of: &Dimensions<'_>,
    ) -> B::InFlight {
        let series = SeriesLabels {
            shared: self.config.naming.in_flight_labels(self.config.kind, of),
            status: None,
        };
        self.backend.gauge(instruments, gauge, series)
    }

    fn describe(&self) -> B::Instruments {
        self.backend.instruments(self.metrics().clone())
    }

    /// Returns the metrics of the layer. They are created once, before an exchange is in flight, because a function of the
    /// application may name them.
    fn metrics(&self) -> &MetricSet {
        &self.tables().metrics
    }
}

fn overflow_dimensions() -> Dimensions<'static> {
    Dimensions {
        route: Some(OVERFLOW),
        host: Some(OVERFLOW),
        scheme: OVERFLOW,
        no_response: Some(NoResponse::Overflow),
        ..Dimensions::new(OVERFLOW)
    }
}
