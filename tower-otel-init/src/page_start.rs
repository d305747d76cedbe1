//! Starts the page.

use std::sync::Arc;

use crate::config::Config;
use crate::error::InitError;
use crate::page::PageState;
use crate::page::server::PageListener;
use crate::page::telemetry_status;
use crate::running_telemetry::RunningTelemetry;
use crate::span_recorder::SpanTap;

/// A page whose address is bound, and that is not served yet.
pub(crate) struct PreparedPage {
    listener: PageListener,
    state: Arc<PageState>,
}

/// Binds the address of the page, if there is one.
pub(crate) fn prepare(config: &Config) -> Result<Option<PreparedPage>, InitError> {
    let Some(address) = config.page.filter(|_| !config.sdk_disabled) else {
        return Ok(None);
    };
    let service = config.service_name().to_owned();
    Ok(Some(PreparedPage {
        listener: PageListener::bind(address)?,
        state: Arc::new(PageState::new(service)),
    }))
}

impl PreparedPage {
    /// Returns the function that shows spans.
    pub(crate) fn tap(&self) -> SpanTap {
        let state = Arc::clone(&self.state);
        let mut source = state.own_source();
        Box::new(move |message, scope| {
            if source.scope != scope.name() {
                source = Arc::clone(&source).with_scope(scope.name());
            }
            state.add(message, &source);
        })
    }
}

impl RunningTelemetry {
    /// Adds the page to the line that states what telemetry does.
    pub(crate) fn announce_page(&mut self, page: Option<&PreparedPage>) {
        if let Some(page) = page {
            self.summary += &format!("; page at http://{}", page.listener.address);
        }
    }

    /// Serves the page.
    pub(crate) fn start_page(&mut self, page: PreparedPage) -> Result<(), InitError> {
        let PreparedPage { listener, state } = page;
        state.set_source(telemetry_status::source(self));
        let server = listener
            .serve(state, self.control.clone())
            .map_err(InitError::Thread)?;
        self.page_address = Some(server.address);
        *self
            .page_server
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(server);
        Ok(())
    }
}
