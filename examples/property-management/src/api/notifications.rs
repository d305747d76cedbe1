//! What happens to one's properties, as it happens: a WebSocket.

use std::time::Duration;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::HeaderMap,
    response::Response,
};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::broadcast::{self, error::RecvError},
    time,
};

use super::App;
use crate::{
    auth::{Keys, SignedIn, bearer},
    extract::Query,
    instruments,
    problem::Problem,
    process::Stop,
};

/// How many may wait for a slow reader, who misses the rest.
const BACKLOG: usize = 256;

/// Whoever takes longer for a message is gone.
const SENDING: Duration = Duration::from_secs(10);

/// How often we ask whether somebody is still there, and how long they may be silent.
const PING: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_secs(60);

/// The longest message of a client, which has nothing to say.
const LONGEST: usize = 1024;

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

/// From those who change something to those who want to know.
#[derive(Clone)]
pub(crate) struct Notifications(broadcast::Sender<Notification>);

impl Default for Notifications {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Notifications {
    pub(super) fn tell(&self, owner: &str, event: Event, property: &str) {
        // Nobody may be listening.
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

/// A browser cannot send a header here, so the token may be in the query, where no trace shows it.
pub(super) async fn open(
    State(app): State<App>,
    State(keys): State<Keys>,
    headers: HeaderMap,
    Query(query): Query<Token>,
    socket: WebSocketUpgrade,
) -> Result<Response, Problem> {
    let token = bearer(&headers).or(query.access_token.as_deref());
    let SignedIn { user } = SignedIn::by(&keys, token)?;
    let notifications = app.notifications.0.subscribe();
    Ok(socket
        .max_message_size(LONGEST)
        .on_upgrade(async move |socket| {
            let _open = instruments::websocket_connection();
            serve(socket, &user, notifications, &app.stop).await;
        }))
}

/// Until either side has enough.
async fn serve(
    mut socket: WebSocket,
    user: &str,
    mut notifications: broadcast::Receiver<Notification>,
    stop: &Stop,
) {
    let mut ping = time::interval(PING);
    let mut heard = time::Instant::now();
    loop {
        let message = tokio::select! {
            () = stop.asked() => break,
            received = socket.recv() => match received {
                None | Some(Err(_) | Ok(Message::Close(_))) => break,
                Some(Ok(_)) => {
                    heard = time::Instant::now();
                    continue;
                }
            },
            _ = ping.tick() => match heard.elapsed() > SILENCE {
                true => break,
                false => Message::Ping(Default::default()),
            },
            told = notifications.recv() => match told {
                Ok(told) if told.owner == user => told.message(),
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => break,
            },
        };
        if !matches!(
            time::timeout(SENDING, socket.send(message)).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
    let _ = time::timeout(SENDING, socket.send(Message::Close(None))).await;
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
