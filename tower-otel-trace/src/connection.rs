//! The span of an upgraded connection.

use std::mem;

use tower_otel_core::LongLived;
use tower_otel_semconv::error;

use crate::{backend::OpenSpan, thread_exit};

/// The name of the span.
pub(crate) const NAME: &str = "upgraded connection";

/// Observes an upgraded connection as a span. The span ends with the connection.
pub(crate) fn observe(connection: &LongLived, span: impl OpenSpan + Send + 'static) {
    let mut connection_span = ConnectionSpan(span);
    connection.observe(move |code| connection_span.run(code));
}

struct ConnectionSpan<S>(S);

impl<S: OpenSpan> ConnectionSpan<S> {
    fn run(&mut self, code: &mut dyn FnMut()) {
        let unwinding = FailIfPanicked(&mut self.0);
        {
            let _entered = thread_exit::unless_exiting(|| unwinding.0.enter());
            code();
        }
        mem::forget(unwinding);
    }
}

/// Sets an error on the span when the code unwinds. Forgotten when the code returns.
struct FailIfPanicked<'a, S: OpenSpan>(&'a mut S);

impl<S: OpenSpan> Drop for FailIfPanicked<'_, S> {
    fn drop(&mut self) {
        self.0.fail(error::PANIC);
    }
}
