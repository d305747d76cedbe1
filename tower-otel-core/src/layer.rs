//! Several observers as one layer.

use tower_layer::Layer;

use crate::{Observe, service::Observed};

/// Watches a service with one observer, or with a tuple of them.
///
/// Signals joined in one layer share one future, one body and one reading of the clock, so that
/// a span and a duration that speak of the same exchange are equal. The first of a tuple is the
/// outer one. Layers are observers as well: a tuple of them is what one usually gives.
pub const fn observe<O: Observe>(observer: O) -> ObserveLayer<O> {
    ObserveLayer { observer }
}

/// The layer that [`observe`] makes.
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
