//! The start of an exchange.

use std::time::Instant;

use crate::{
    exchange_guard::ExchangeGuard, head::RequestHead, observe::Observe, request_info::RequestInfo,
};

/// Reads the request and starts an exchange. What the observers add to the request is inserted.
#[inline]
pub(crate) fn start<O: Observe, R: RequestHead>(
    observer: &O,
    request: &mut R,
) -> ExchangeGuard<O::Exchange> {
    let at = Instant::now();
    let info = RequestInfo::new(request);
    let guard = ExchangeGuard::new(observer.start(&info, at));
    if let Some(additions) = info.take_additions() {
        additions.insert(request);
    }
    guard
}
