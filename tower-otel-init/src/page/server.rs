//! The server of the page, on a thread with its own runtime.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use opentelemetry::Context;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::sleep;

use crate::disabled_subscriber::DisabledSubscriber;
use crate::error::InitError;
use crate::page::connection;
use crate::page::page_thread::PageThread;
use crate::page::routes::Routes;

/// The maximum number of connections at a time. A browser opens up to six.
const MAX_CONNECTIONS: usize = 32;
/// The maximum time in which a client may read nothing.
const STALL_LIMIT: Duration = Duration::from_secs(15);
/// The pause after a connection could not be accepted, for example because no file descriptor is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound listener of the page that is not served yet.
pub(crate) struct PageListener {
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// The running threads of the page. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct PageServer {
    /// `None` if the application serves the page.
    _stop: Option<oneshot::Sender<()>>,
    _thread: PageThread,
}

impl PageListener {
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, InitError> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        });
        let (listener, bound) = bound.map_err(|error| {
            let reason = format!(
                "is no address for the page: {error} (expected one that is free; port 0 is a free one)"
            );
            InitError::invalid_value("TELEMETRY_PAGE", &address.to_string(), &reason)
        })?;
        Ok(Self {
            listener,
            address: bound,
        })
    }

    async fn accept(self, routes: Arc<Routes>) {
        let Ok(listener) = tokio::net::TcpListener::from_std(self.listener) else {
            return;
        };
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

impl PageServer {
    /// Serves the page if there is a listener. Takes the ownership of the page's thread.
    pub(crate) fn start(
        listener: Option<PageListener>,
        routes: Arc<Routes>,
        thread: PageThread,
    ) -> io::Result<Self> {
        let stop = listener.map(|listener| serve(listener, routes));
        Ok(Self {
            _stop: stop.transpose()?,
            _thread: thread,
        })
    }
}

/// Serves the page until the sender is dropped.
fn serve(listener: PageListener, routes: Arc<Routes>) -> io::Result<oneshot::Sender<()>> {
    let (stop, stopped) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new()
        .name("tower-otel-http".to_owned())
        .spawn(move || {
            // The page does not show its own spans.
            let _disabled = tracing::subscriber::set_default(DisabledSubscriber);
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            runtime.block_on(async {
                tokio::spawn(listener.accept(routes));
                let _ = stopped.await;
            });
            // Ends open streams.
            runtime.shutdown_background();
        })?;
    Ok(stop)
}
