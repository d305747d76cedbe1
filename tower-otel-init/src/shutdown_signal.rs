//! Waits for a signal to stop.

/// Waits for Ctrl-C or, on Unix, for `SIGTERM`. Kubernetes, systemd and `docker stop` send `SIGTERM`.
///
/// On Unix, a second signal ends the process immediately, also while the runtime is blocked, with exit code 143 for `SIGTERM` and
/// 130 for Ctrl-C. Spans that are not exported by then are lost.
///
/// If the signal handlers cannot be installed, the future never completes. The future needs a tokio runtime with I/O enabled.
///
/// A graceful shutdown waits for all responses, and an event stream may never end. Limit the wait, so that
/// the spans are exported before the process is killed:
///
/// ```no_run
/// # use std::time::Duration;
/// # use tower_otel_init::shutdown_signal;
/// # async fn serve(listener: tokio::net::TcpListener, app: axum::Router) -> std::io::Result<()> {
/// let limit = async {
///     shutdown_signal().await;
///     tokio::time::sleep(Duration::from_secs(20)).await;
/// };
/// tokio::select! {
///     served = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal()) => served,
///     () = limit => Ok(()),
/// }
/// # }
/// ```
///
/// Responses that are still open after the limit end when the runtime is dropped. To export their spans, start telemetry
/// before the runtime, and drop the runtime before [`Telemetry`](crate::Telemetry).
pub async fn shutdown_signal() {
    #[cfg(unix)]
    unix::shutdown_signal().await;
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}

#[cfg(unix)]
mod unix {
    use std::future::poll_fn;
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, Once};
    use std::task::Poll;

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    use tokio::signal::unix::{SignalKind, signal};

    static REGISTERED: Once = Once::new();

    /// Makes the second signal end the process, even while the runtime is blocked.
    fn end_at_second_signal() {
        let received = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // The actions run in this order, so the first signal reads `false`. Shells report the end by a signal as the exit
            // code 128 plus its number.
            let _ =
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&received));
            let _ = flag::register(signal, Arc::clone(&received));
        }
    }

    pub(super) async fn shutdown_signal() {
        REGISTERED.call_once(end_at_second_signal);
        let mut signals: Vec<_> = [SignalKind::terminate(), SignalKind::interrupt()]
            .into_iter()
            .filter_map(|kind| signal(kind).ok())
            .collect();
        poll_fn(|cx| {
            let is_received = signals
                .iter_mut()
                .any(|signal| signal.poll_recv(cx).is_ready());
            if is_received {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}
