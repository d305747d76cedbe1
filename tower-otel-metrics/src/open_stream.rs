//! Streams and upgraded connections that are open.

use std::thread;

use crate::{backend::instruments::InFlightGauge, counted_in::count_out_while_unwinding};

/// A stream or an upgraded connection that is counted as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenStream<G: InFlightGauge>(G);

impl<G: InFlightGauge> OpenStream<G> {
    pub(crate) fn new(gauge: G) -> Self {
        gauge.started();
        Self(gauge)
    }
}

impl<G: InFlightGauge> Drop for OpenStream<G> {
    fn drop(&mut self) {
        if thread::panicking() {
            count_out_while_unwinding(&self.0);
        } else {
            self.0.ended();
        }
    }
}
