//! Starts the page.

use std::sync::Arc;

use crate::config::Config;
use crate::error::InitError;
use crate::page::PageState;
use crate::page::page_thread::PageThread;
use crate::page::routes::Routes;
use crate::page::server::{PageListener, PageServer};
use crate::page::telemetry_status;
use crate::running_telemetry::RunningTelemetry;
use crate::span_recorder::SpanTap;

/// A page that is not served yet. Its address, if it has one, is bound.
pub(crate) struct PreparedPage {
    listener: Option<PageListener>,
    is_remote: bool,
    state: Arc<PageState>,
}

/// Binds the address of the page, if there is one.
pub(crate) fn prepare(config: &Config) -> Result<Option<PreparedPage>, InitError> {
    let Some(page) = config.page.filter(|_| !config.sdk_disabled) else {
        return Ok(None);
    };
    let service = config.service_name().to_owned();
    Ok(Some(PreparedPage {
        listener: page.address.map(PageListener::bind).transpose()?,
        is_remote: page.is_remote,
        state: Arc::new(PageState::new(service)),
    }))
}

impl PreparedPage {
    /// Returns the function that adds spans to the page.
    pub(crate) fn tap(&self) -> SpanTap {
        let state = Arc::clone(&self.state);
        let mut sources = state.own_sources();
        Box::new(move |message, scope| {
            state.add(message, sources.with_scope(scope.name()));
        })
    }
}

impl RunningTelemetry {
    /// Adds the page to the summary of telemetry.
    pub(crate) fn announce_page(&mut self, page: Option<&PreparedPage>) {
        let Some(page) = page else { return };
        self.summary += &match &page.listener {
            Some(listener) => format!("; page at http://{}", listener.address),
            None => "; page where the application mounts it".to_owned(),
        };
    }

    /// Serves the page.
    pub(crate) fn start_page(&mut self, page: PreparedPage) -> Result<(), InitError> {
        let PreparedPage {
            listener,
            is_remote,
            state,
        } = page;
        state.set_source(telemetry_status::source(self));
        let thread = PageThread::start(Arc::clone(&state)).map_err(InitError::Thread)?;
        let control = Some(self.control.clone());
        let routes = Arc::new(Routes::new(state, is_remote, control, thread.jobs()));
        self.page_address = listener.as_ref().map(|listener| listener.address);
        self.page_routes = Some(Arc::clone(&routes));
        let server = PageServer::start(listener, routes, thread).map_err(InitError::Thread)?;
        *self
            .page_server
            .get_mut()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(server);
        Ok(())
    }
}
