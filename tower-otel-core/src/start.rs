//! The start of an exchange.

use std::{mem::ManuallyDrop, time::Instant};

use crate::{
    exchange_guard::ExchangeGuard,
    head::RequestHead,
    observe::Observe,
    request_info::RequestInfo,
    route::Route,
    unwinding::{PanicPayload, catch_panic},
};

/// Reads the request, starts an exchange, and inserts the extensions of the observers into the request. If a
/// function of the application panics, the exchange ends, and the panic is returned.
#[inline(always)]
pub(crate) fn start<O: Observe, R: RequestHead>(
    observer: &O,
    request: &mut R,
) -> Result<ExchangeGuard<O::Exchange>, PanicPayload> {
    let at = Instant::now();
    // Most requests have no values to drop, and two calls of destructors would find nothing.
    let info = ManuallyDrop::new(RequestInfo::new(request));
    let guard = match catch_panic(|| observer.start(&info, at)) {
        Ok(exchange) => ExchangeGuard::new(exchange),
        Err(panic) => {
            drop(ManuallyDrop::into_inner(info));
            return Err(panic);
        }
    };
    let (additions, has_received_route) = (info.take_additions(), info.has_received_route());
    if info.has_values_to_drop() {
        drop(ManuallyDrop::into_inner(info));
    }
    if has_received_route && let Some(extensions) = request.extensions_mut() {
        Route::mark_received(extensions);
    }
    if let Some(additions) = additions
        && let Some(panic) = additions.insert(request)
    {
        guard.end_after_panic();
        return Err(panic);
    }
    Ok(guard)
}
