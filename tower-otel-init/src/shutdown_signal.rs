//! Waits for a signal to stop.

/// Waits for Ctrl-C or, on Unix, for `SIGTERM`, the signal that Kubernetes, systemd and
/// `docker stop` send.
///
/// If the signals cannot be handled, the future never completes and their default action applies.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
/// axum::serve(listener, app)
///     .with_graceful_shutdown(tower_otel_init::shutdown_signal())
///     .await
/// # }
/// ```
pub async fn shutdown_signal() {
    #[cfg(unix)]
    {
        use std::future::poll_fn;
        use std::task::Poll;
        use tokio::signal::unix::{SignalKind, signal};

        let mut signals: Vec<_> = [SignalKind::terminate(), SignalKind::interrupt()]
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect();
        poll_fn(|cx| {
            let received = signals
                .iter_mut()
                .any(|signal| signal.poll_recv(cx).is_ready());
            if received {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
