//! Several observers as one layer.

use tower_layer::Layer;

use crate::{observe::Observe, service::Observed};

/// Returns a layer that observes a service with one observer, or with a tuple of two or three observers.
///
/// Observers in one layer read the request once, and share one future, one body and the readings of the
/// clock. So spans and metrics record equal durations. `TraceLayer`, `MetricsLayer` and `PropagateLayer` are
/// observers: `observe((TraceLayer::server(), MetricsLayer::server()))`.
///
/// The first observer of a tuple is the outer one. Unlike with separate layers, all observers start before
/// one of them changes the request. Headers are therefore written in the context of the innermost observer,
/// whichever observer writes them.
pub const fn observe<O: Observe>(observer: O) -> ObserveLayer<O> {
    ObserveLayer { observer }
}

/// The layer that [`observe`] returns.
#[derive(Clone, Copy, Debug)]
pub struct ObserveLayer<O> {
    pub(crate) observer: O,
}

impl<S, O: Observe + Clone> Layer<S> for ObserveLayer<O> {
    type Service = Observed<S, O>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed::new(inner, self.observer.clone())
    }
}
