//! The start of an exchange.

use std::time::Instant;

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
    let info = RequestInfo::new(request);
    let guard = ExchangeGuard::new(catch_panic(|| observer.start(&info, at))?);
    let (additions, has_received_route) = (info.take_additions(), info.has_received_route());
    info.discard();
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
