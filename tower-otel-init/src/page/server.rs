//! The server of the page, on a thread of its own.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{interval, sleep};

use crate::control::Control;
use crate::disabled_subscriber::DisabledSubscriber;
use crate::error::InitError;
use crate::page::address::PageAddress;
use crate::page::connection;
use crate::page::page_state::PageState;
use crate::page::red_history::INTERVAL;
use crate::page::routes::Routes;

/// The most connections at a time. A browser has up to six.
const MAX_CONNECTIONS: usize = 32;
/// How long a client may stop reading.
const STALL_LIMIT: Duration = Duration::from_secs(15);
/// The pause after a connection that could not be accepted, such as for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listener of the page that does not serve yet.
pub(crate) struct PageListener {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
    is_remote: bool,
}

/// The running server. Dropping it stops it.
pub(crate) struct PageServer {
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl PageListener {
    pub(crate) fn bind(page: PageAddress) -> Result<Self, InitError> {
        let bound = TcpListener::bind(page.address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, address) = bound.map_err(|error| {
            let reason = format!(
                "is no address for the page: {error} (expected one that is free; port 0 is a free one)"
            );
            InitError::invalid_value("TELEMETRY_PAGE", &page.address.to_string(), &reason)
        })?;
        Ok(Self {
            listener,
            address,
            is_remote: page.is_remote,
        })
    }

    /// Serves the page on a thread.
    pub(crate) fn serve(self, state: Arc<PageState>, control: Control) -> io::Result<PageServer> {
        let address = self.address;
        let (stop, stopped) = oneshot::channel();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name("tower-otel-page".to_owned())
            .spawn(move || {
                // The page does not show itself.
                let _disabled = tracing::subscriber::set_default(DisabledSubscriber);
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                runtime.block_on(async {
                    tokio::spawn(record_history(Arc::clone(&state)));
                    tokio::spawn(self.accept(state, control));
                    let _ = stopped.await;
                });
                // Open streams end here.
                runtime.shutdown_background();
            })?;
        Ok(PageServer {
            address,
            _stop: stop,
        })
    }

    async fn accept(self, state: Arc<PageState>, control: Control) {
        let Ok(listener) = tokio::net::TcpListener::from_std(self.listener) else {
            return;
        };
        let routes = Arc::new(Routes::new(state, self.is_remote, Some(control)));
        let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Ok(permit) = Arc::clone(&connections).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let routes = Arc::clone(&routes);
            tokio::spawn(async move {
                connection::serve(stream, routes, STALL_LIMIT).await;
                drop(permit);
            });
        }
    }
}

/// Reads the metrics at the end of each interval, also while no browser is connected.
async fn record_history(state: Arc<PageState>) {
    let mut interval = interval(INTERVAL);
    loop {
        interval.tick().await;
        state.record_history(Instant::now());
    }
}

impl fmt::Debug for PageServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
