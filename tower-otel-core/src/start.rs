//! The start of an exchange.

use std::{panic::resume_unwind, time::Instant};

use crate::{
    end::End, exchange_guard::ExchangeGuard, head::RequestHead, observe::Observe,
    request_info::RequestInfo, route::Route,
};

/// Reads the request and starts an exchange. What the observers add to the request is inserted. If a
/// function of the application panicked, the exchange ends, and the panic continues.
#[inline(always)]
pub(crate) fn start<O: Observe, R: RequestHead>(
    observer: &O,
    request: &mut R,
) -> ExchangeGuard<O::Exchange> {
    let at = Instant::now();
    let info = RequestInfo::new(request);
    let mut guard = ExchangeGuard::new(observer.start(&info, at));
    let (additions, has_received_route) = (info.take_additions(), info.has_received_route());
    if has_received_route && let Some(extensions) = request.extensions_mut() {
        Route::mark_received(extensions);
    }
    if let Some(additions) = additions
        && let Some(panic) = additions.insert(request)
    {
        guard.end(End::Panicked);
        resume_unwind(panic);
    }
    guard
}
