//! HTTP/2 clients, with a library that can reset a stream at any time.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{Reason, client::SendRequest};
use http::Request;
use tokio::net::TcpStream;

use super::{Attack, increment, request};
use crate::{app::APP_HEADER, rng::Rng};

/// Runs rounds of concurrent streams. The server may close the connection.
pub(super) async fn streams(attack: &Attack, to: SocketAddr, rng: &mut Rng) {
    let stream = TcpStream::connect(to).await.unwrap();
    // A large window, so that unread streams do not block the others.
    let mut settings = h2::client::Builder::new();
    settings.initial_connection_window_size(1 << 24);
    let Ok((sender, connection)) = settings.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let connection = tokio::spawn(async move {
        // A connection error is part of the attack.
        let _ = connection.await;
    });
    for _ in 0..rng.below(4) + 1 {
        if !round(attack, sender.clone(), rng).await {
            break;
        }
    }
    if rng.percent(50) {
        connection.abort();
    }
}

async fn round(attack: &Attack, sender: SendRequest<Bytes>, rng: &mut Rng) -> bool {
    let burst = rng.percent(20);
    let mut responses = Vec::new();
    for _ in 0..rng.below(40) + 1 {
        let Ok(mut sender) = sender.clone().ready().await else {
            return false;
        };
        let n = attack.next_request();
        let mut request = request(rng, n);
        let behavior = rng.below(100);
        match behavior {
            _ if burst => set_path(&mut request, "never", n),
            0..4 => set_path(&mut request, "never", n),
            4..8 => set_path(&mut request, "endless", n),
            8..11 => pad_headers(&mut request, rng),
            _ => {}
        }
        let ends = !request.uri().path().starts_with("/echo") || rng.percent(70);
        let Ok((response, mut body)) = sender.send_request(request, ends) else {
            return false;
        };
        if burst || behavior < 4 {
            tokio::task::yield_now().await;
            body.send_reset(Reason::CANCEL);
            increment(&attack.counts.resets);
            continue;
        }
        if !ends {
            let _ = body.send_data(Bytes::from_static(b"incomplete"), rng.percent(50));
        }
        responses.push((response, body, behavior));
    }
    for (response, mut body, behavior) in responses {
        // An incomplete request body gets no response.
        if behavior > 95 {
            body.send_reset(Reason::INTERNAL_ERROR);
            increment(&attack.counts.resets);
        }
        let _ = body.send_data(Bytes::new(), true);
        let Ok(response) = response.await else {
            continue;
        };
        if response.headers().contains_key(APP_HEADER) {
            increment(&attack.counts.responses);
        }
        read(attack, response.into_body(), behavior, rng).await;
    }
    true
}

/// Reads the body to the end, or resets the stream.
async fn read(attack: &Attack, mut body: h2::RecvStream, behavior: u64, rng: &mut Rng) {
    let max_frames = match behavior {
        4..8 => rng.below(5),
        90.. => rng.below(2),
        _ => u64::MAX,
    };
    for _ in 0..max_frames {
        match body.data().await {
            Some(Ok(data)) => {
                let _ = body.flow_control().release_capacity(data.len());
            }
            _ => return,
        }
    }
    // Dropping an incomplete body resets the stream.
    increment(&attack.counts.resets);
}

/// Sets the path.
fn set_path(request: &mut Request<()>, route: &str, n: u64) {
    *request.uri_mut() = format!("http://host-{n}.example/{route}/{n}")
        .parse()
        .unwrap();
}

/// Adds a header, so that the headers are near or above the limit of the server.
fn pad_headers(request: &mut Request<()>, rng: &mut Rng) {
    let value = "v".repeat(rng.below(17_000) as usize);
    request
        .headers_mut()
        .insert("x-large", value.parse().unwrap());
}
