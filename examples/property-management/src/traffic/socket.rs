//! A client of the notifications WebSocket.

use futures_util::StreamExt;
use reqwest::Url;
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;

/// Reads notifications until it is dropped.
pub(super) struct Socket(JoinHandle<()>);

impl Socket {
    /// Opens a socket with the token in the query, as a browser does.
    pub(super) fn open(api: &Url, token: &str) -> Option<Self> {
        let mut url = api.join("/notifications").ok()?;
        url.query_pairs_mut().append_pair("access_token", token);
        url.set_scheme("ws").ok()?;
        let url = url.to_string();
        Some(Self(tokio::spawn(async move {
            if let Ok((mut socket, _)) = connect_async(url).await {
                while let Some(Ok(_)) = socket.next().await {}
            }
        })))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.abort();
    }
}
