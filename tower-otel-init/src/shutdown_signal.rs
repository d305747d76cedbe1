//! When to stop.

/// Waits until the process is asked to stop, by Ctrl-C or, on Unix, by `SIGTERM`, which is what
/// Kubernetes, systemd and `docker stop` send. For `axum::serve(..).with_graceful_shutdown(..)`.
///
/// Where signals cannot be listened to, it waits for ever, and they do what they always do.
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
            let asked = signals
                .iter_mut()
                .any(|signal| signal.poll_recv(cx).is_ready());
            if asked {
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
