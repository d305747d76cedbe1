//! `GET /notifications`: a WebSocket that sends events of the user's properties.

use std::time::Duration;

use axum::{
    Extension,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time,
};
use tower_otel_core::LongLived;

use super::App;
use crate::{
    auth::{AuthenticatedUser, Keys, bearer},
    extract::Query,
    instruments,
    problem::Problem,
    process::Shutdown,
};

/// The number of buffered notifications. A slow reader misses older ones.
const CAPACITY: usize = 256;

/// The time limit to send a message. When it is exceeded, the socket is closed.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval of pings.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// The time without messages after which the socket is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum size of a client message.
const MAX_MESSAGE_SIZE: usize = 1024;

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Event {
    Added,
    Changed,
    Described,
    Queued,
    Removed,
}

#[derive(Clone)]
struct Notification {
    owner: String,
    event: Event,
    property: String,
}

/// Sends notifications from handlers to WebSockets.
#[derive(Clone)]
pub(crate) struct Notifications(broadcast::Sender<Notification>);

impl Default for Notifications {
    fn default() -> Self {
        Self(broadcast::Sender::new(CAPACITY))
    }
}

impl Notifications {
    pub(super) fn send(&self, owner: &str, event: Event, property: &str) {
        // `send` fails without receivers, which is not an error here.
        let _ = self.0.send(Notification {
            owner: owner.to_owned(),
            event,
            property: property.to_owned(),
        });
    }
}

#[derive(Deserialize)]
pub(super) struct Token {
    access_token: Option<String>,
}

/// Opens the WebSocket. Browsers cannot set headers of this request, so the query can contain the token. The
/// token is redacted in spans.
pub(super) async fn open(
    State(app): State<App>,
    State(keys): State<Keys>,
    headers: HeaderMap,
    Query(query): Query<Token>,
    socket: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let token = bearer(&headers).or(query.access_token.as_deref());
    let user = AuthenticatedUser::from_token(&keys, token)?;
    let notifications = app.notifications.0.subscribe();
    let connection = LongLived::default();
    let extension = Extension(connection.clone());
    let response = socket
        .max_message_size(MAX_MESSAGE_SIZE)
        .on_upgrade(async move |socket| {
            let _open = instruments::websocket_connection();
            let served = serve(socket, &user.id, notifications, &app.shutdown);
            connection.run(served).await;
        });
    Ok((extension, response).into_response())
}

/// Serves a socket until it is closed or idle, or a shutdown is requested.
async fn serve(
    mut socket: WebSocket,
    user: &str,
    mut notifications: broadcast::Receiver<Notification>,
    shutdown: &Shutdown,
) {
    let mut ping = time::interval(PING_INTERVAL);
    let mut last_message = time::Instant::now();
    loop {
        let message = tokio::select! {
            () = shutdown.wait() => break,
            received = socket.recv() => match received {
                None | Some(Err(_) | Ok(Message::Close(_))) => break,
                Some(Ok(_)) => {
                    last_message = time::Instant::now();
                    continue;
                }
            },
            _ = ping.tick() => match last_message.elapsed() > IDLE_TIMEOUT {
                true => break,
                false => Message::Ping(Default::default()),
            },
            received = notifications.recv() => match received {
                Ok(notification) if notification.owner == user => notification.message(),
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => break,
            },
        };
        if !matches!(
            time::timeout(SEND_TIMEOUT, socket.send(message)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    let _ = time::timeout(SEND_TIMEOUT, socket.send(Message::Close(None))).await;
}

impl Notification {
    fn message(self) -> Message {
        let Self {
            owner: _,
            event,
            property,
        } = self;
        let json = serde_json::json!({ "event": event, "property": property });
        Message::Text(json.to_string().into())
    }
}
