//! The instruments of the gRPC calls of a layer, found by their keys.

use std::sync::OnceLock;

use tower_otel_core::{GrpcOutcome, Kind};
use tower_otel_semconv::rpc;

use crate::{
    backend::instruments::{
        GaugeKind, InFlightGauge, MetricsBackend, OutcomeInstruments as _, Sample,
    },
    counted_in::CountedIn,
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    dimensions::OVERFLOW,
    grpc::{
        call_key::{BorrowedCallKey, CallEndKey, OwnedCallKey},
        labels::{CallDimensions, OVERFLOW_CALL, OVERFLOW_CALLS, in_flight_labels, outcome_labels},
        metric_set,
        unknown_method::{Proof, ShownMethod},
    },
    handle_cache::{EntryIndex, EntryShare, FoundEntry, HandleCache},
    missing_recorder::MissingRecorder,
    names::{MetricSet, Names},
    naming::Naming,
    open_stream::OpenStream,
    stream_gauges::StreamGauges,
};

/// Methods that became known by a failure can take the series limit divided by this number.
const UNPROVEN_SHARE: usize = 16;

/// The instruments of gRPC calls, shared by the services of a layer.
#[derive(Debug)]
pub(crate) struct GrpcInstruments<B: MetricsBackend> {
    backend: B,
    kind: Kind,
    naming: Naming,
    limit: usize,
    tables: OnceLock<Tables<B>>,
}

#[derive(Debug)]
struct Tables<B: MetricsBackend> {
    metrics: MetricSet,
    described: OnceLock<B::Instruments>,
    /// On a server, it contains only known methods, and one key for all others.
    starts: HandleCache<OwnedCallKey, CallHandles<B>>,
    outcomes: HandleCache<CallEndKey, B::Outcome>,
    streams: StreamGauges<OwnedCallKey, B::InFlight>,
    /// The methods that became known by a failure.
    unproven_methods: EntryShare,
    overflow: OnceLock<(B::Outcome, B::InFlight)>,
    missing_recorder: MissingRecorder,
}

/// The handles of the calls with one start key.
#[derive(Debug)]
struct CallHandles<B: MetricsBackend> {
    in_flight: B::InFlight,
    share: EntryShare,
}

/// The entry that counts a call in flight.
#[derive(Debug)]
pub(crate) struct CallEntry<B: MetricsBackend> {
    /// The entry of its start key. `None` if there was no room for it.
    start: Option<EntryIndex>,
    gauge: B::InFlight,
}

impl<B: MetricsBackend> GrpcInstruments<B> {
    pub(crate) const fn new(backend: B, kind: Kind, naming: Naming, limit: usize) -> Self {
        Self {
            backend,
            kind,
            naming,
            limit,
            tables: OnceLock::new(),
        }
    }

    fn tables(&self) -> &Tables<B> {
        self.tables.get_or_init(|| Tables {
            metrics: self
                .naming
                .renamed(metric_set::metrics(self.naming.names, self.kind)),
            described: OnceLock::new(),
            starts: HandleCache::new(self.limit),
            outcomes: HandleCache::new(self.limit),
            streams: StreamGauges::new(self.limit),
            unproven_methods: EntryShare::up_to(self.limit.div_ceil(UNPROVEN_SHARE)),
            overflow: OnceLock::new(),
            missing_recorder: MissingRecorder::default(),
        })
    }

    /// Allocates the tables before the first call, so that the first calls do not wait for it.
    pub(crate) fn allocate_tables(&self) {
        self.tables();
    }

    /// Adds a call to its in-flight gauge, if its method is known.
    pub(crate) fn start_known(&self, key: BorrowedCallKey<'_>) -> Option<CallEntry<B>> {
        let (start, handles) = self.tables().starts.get_with_index(&key)?;
        let gauge = handles.in_flight.clone();
        gauge.started();
        Some(CallEntry {
            start: Some(start),
            gauge,
        })
    }

    /// Adds a call to its in-flight gauge. Its method becomes known.
    pub(crate) fn start(&self, key: BorrowedCallKey<'_>) -> CallEntry<B> {
        let found = self.tables().starts.find_or_insert(&key);
        let start = found.as_ref().map(|found| found.index);
        let gauge = if !self.is_ready() {
            self.make_in_flight(&self.describe(), key)
        } else {
            match found {
                None => self.overflow().1.clone(),
                Some(found) => self.handles(&found).in_flight.clone(),
            }
        };
        gauge.started();
        CallEntry { start, gauge }
    }

    /// Returns the handles of a start key. Creates them if needed.
    fn handles<'a>(
        &self,
        found: &FoundEntry<'a, OwnedCallKey, CallHandles<B>>,
    ) -> &'a CallHandles<B> {
        found.entry.get_or_init(|key| CallHandles {
            in_flight: self.make_in_flight(self.described(), key.borrowed()),
            share: EntryShare::up_to(usize::MAX),
        })
    }

    /// Makes a method known and returns its entry. If there is no room for it, returns `unknown` for a method that a failure
    /// has shown, and `None` for others. The gauge of the call does not change.
    #[cold]
    fn make_known(
        &self,
        method: ShownMethod<'_>,
        unknown: Option<EntryIndex>,
    ) -> Option<EntryIndex> {
        let Tables {
            starts,
            unproven_methods,
            ..
        } = self.tables();
        let (share, otherwise) = match method.proof {
            Proof::Success => (None, None),
            // An interceptor can send it for any path.
            Proof::Failure => (Some(unproven_methods), unknown),
        };
        let Some(found) = starts.find_or_insert_in(&method.key, share) else {
            return otherwise;
        };
        if self.is_ready() {
            self.handles(&found);
        }
        Some(found.index)
    }

    /// Counts an open long-lived call.
    pub(crate) fn open_stream(&self, entry: &CallEntry<B>) -> OpenStream<B::InFlight> {
        let tables = self.tables();
        let start = entry.start.and_then(|start| tables.starts.entry(start));
        let key = start.map(|entry| entry.key.borrowed());
        let make = |instruments: &_, key: Option<&BorrowedCallKey<'_>>| {
            let key = key.copied().unwrap_or(OVERFLOW_CALL);
            self.make_gauge(instruments, GaugeKind::Streams, key)
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

    /// Records an ended call and removes it from its gauge. A method that the response shows becomes known.
    pub(crate) fn end(
        &self,
        entry: &CallEntry<B>,
        shown: Option<ShownMethod<'_>>,
        outcome: GrpcOutcome,
        (custom, custom_values): (CustomValuesRef, impl FnOnce() -> CustomValues),
        sample: Sample,
    ) {
        let in_flight = CountedIn::new(Some(&entry.gauge));
        let start = match shown {
            Some(method) => self.make_known(method, entry.start),
            None => entry.start,
        };
        let key = start.and_then(|start| self.end_key(start, outcome, custom));
        match key.and_then(|key| self.tables().outcomes.get(&key)) {
            Some(outcome) => outcome.record(sample),
            None => self.end_first(key, outcome, &custom_values(), sample),
        }
        in_flight.ended();
    }

    /// Returns the key of an ended call, or `None` for the overflow series.
    fn end_key(
        &self,
        mut start: EntryIndex,
        outcome: GrpcOutcome,
        custom: CustomValuesRef,
    ) -> Option<CallEndKey> {
        if custom == CustomValuesRef::Overflow {
            return None;
        }
        // The span of the call also has the method `_OTHER`.
        if self.kind == Kind::Server && outcome.code == rpc::UNIMPLEMENTED {
            let starts = &self.tables().starts;
            let key = starts.entry(start)?.key.borrowed();
            start = starts.find_or_insert(&key.of_unknown_method())?.index;
        }
        Some(CallEndKey {
            start,
            code: outcome.code,
            error_type: match self.naming.names {
                Names::Short => None,
                Names::Conventions => outcome.error_type,
            },
            custom,
        })
    }

    #[cold]
    fn end_first(
        &self,
        key: Option<CallEndKey>,
        outcome: GrpcOutcome,
        custom: &CustomValues,
        sample: Sample,
    ) {
        let starts = &self.tables().starts;
        let known = key.and_then(|key| {
            let dimensions = CallDimensions {
                call: starts.entry(key.start)?.key.borrowed(),
                status: outcome.status(),
                error_type: outcome.error_type,
                custom,
            };
            Some((key, dimensions))
        });
        if !self.is_ready() {
            let dimensions = known.map_or(OVERFLOW_CALLS, |(_, dimensions)| dimensions);
            let outcome = self.make_outcome(&self.describe(), &dimensions);
            return outcome.record(sample);
        }
        let outcome = known.and_then(|(key, dimensions)| {
            let outcomes = &self.tables().outcomes;
            let found = outcomes.find_or_insert_in(&key, self.share(key.start))?;
            let make = |_: &_| self.make_outcome(self.described(), &dimensions);
            Some(found.entry.get_or_init(make))
        });
        outcome.unwrap_or_else(|| &self.overflow().0).record(sample);
    }

    /// Returns the share of the series limit for a start key. On a client it is the share of its method and host.
    fn share(&self, start: EntryIndex) -> Option<&EntryShare> {
        match self.kind {
            Kind::Client => Some(&self.tables().starts.entry(start)?.get()?.share),
            Kind::Server => None,
        }
    }

    /// Returns whether handles that the backend returns now may be cached.
    fn is_ready(&self) -> bool {
        let tables = self.tables();
        let is_ready = self.backend.is_ready();
        if !is_ready {
            let metric = &tables.metrics.duration.name;
            tables.missing_recorder.warn(metric, "gRPC calls");
        }
        is_ready
    }

    /// Returns the series of all calls beyond the series limit.
    #[cold]
    fn overflow(&self) -> &(B::Outcome, B::InFlight) {
        let tables = self.tables();
        if tables.outcomes.first_overflow() {
            tracing::warn!(
                limit = self.limit,
                metric = %tables.metrics.duration.name,
                "the limit of series is reached: gRPC calls with new labels are counted in the series \"{OVERFLOW}\""
            );
        }
        tables.overflow.get_or_init(|| {
            let described = self.described();
            (
                self.make_outcome(described, &OVERFLOW_CALLS),
                self.make_in_flight(described, OVERFLOW_CALL),
            )
        })
    }

    fn described(&self) -> &B::Instruments {
        self.tables().described.get_or_init(|| self.describe())
    }

    fn describe(&self) -> B::Instruments {
        self.backend.instruments(self.tables().metrics.clone())
    }

    fn make_outcome(&self, instruments: &B::Instruments, of: &CallDimensions<'_>) -> B::Outcome {
        let labels = outcome_labels(&self.naming, self.kind, of);
        self.backend.outcome(instruments, labels)
    }

    fn make_in_flight(&self, instruments: &B::Instruments, of: BorrowedCallKey<'_>) -> B::InFlight {
        self.make_gauge(instruments, GaugeKind::InFlight, of)
    }

    fn make_gauge(
        &self,
        instruments: &B::Instruments,
        gauge: GaugeKind,
        of: BorrowedCallKey<'_>,
    ) -> B::InFlight {
        let labels = in_flight_labels(&self.naming, self.kind, of);
        self.backend.gauge(instruments, gauge, labels)
    }
}
