//! HTTP/2, with a library that lets streams be reset at any time.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::{Reason, client::SendRequest};
use http::Request;
use tokio::net::TcpStream;

use super::{Mission, count, request};
use crate::{app::MARK, dice::Dice};

/// Some rounds of streams side by side; the server may end the connection when it has enough.
pub(super) async fn any(mission: &Mission, to: SocketAddr, dice: &mut Dice) {
    let stream = TcpStream::connect(to).await.unwrap();
    // Streams that are not read must not stop the others: that is for their own windows.
    let mut settings = h2::client::Builder::new();
    settings.initial_connection_window_size(1 << 24);
    let Ok((sender, connection)) = settings.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let connection = tokio::spawn(async move {
        // It may end as it likes.
        let _ = connection.await;
    });
    for _ in 0..dice.below(4) + 1 {
        if !round(mission, sender.clone(), dice).await {
            break;
        }
    }
    if dice.percent(50) {
        connection.abort();
    }
}

async fn round(mission: &Mission, sender: SendRequest<Bytes>, dice: &mut Dice) -> bool {
    let burst = dice.percent(20);
    let mut answers = Vec::new();
    for _ in 0..dice.below(40) + 1 {
        let Ok(mut sender) = sender.clone().ready().await else {
            return false;
        };
        let n = mission.next();
        let mut request = request(dice, n);
        let manner = dice.below(100);
        match manner {
            _ if burst => at(&mut request, "never", n),
            0..4 => at(&mut request, "never", n),
            4..8 => at(&mut request, "endless", n),
            8..11 => pad(&mut request, dice),
            _ => {}
        }
        let ends = !request.uri().path().starts_with("/echo") || dice.percent(70);
        let Ok((answer, mut body)) = sender.send_request(request, ends) else {
            return false;
        };
        if burst || manner < 4 {
            tokio::task::yield_now().await;
            body.send_reset(Reason::CANCEL);
            count(&mission.tally.resets);
            continue;
        }
        if !ends {
            let _ = body.send_data(Bytes::from_static(b"and no more"), dice.percent(50));
        }
        answers.push((answer, body, manner));
    }
    for (answer, mut body, manner) in answers {
        // A body that is never finished is never answered.
        if manner > 95 {
            body.send_reset(Reason::INTERNAL_ERROR);
            count(&mission.tally.resets);
        }
        let _ = body.send_data(Bytes::new(), true);
        let Ok(response) = answer.await else {
            continue;
        };
        if response.headers().contains_key(MARK) {
            count(&mission.tally.heads);
        }
        read(mission, response.into_body(), manner, dice).await;
    }
    true
}

/// Reads to the end, or resets the stream on the way.
async fn read(mission: &Mission, mut body: h2::RecvStream, manner: u64, dice: &mut Dice) {
    let most = match manner {
        4..8 => dice.below(5),
        90.. => dice.below(2),
        _ => u64::MAX,
    };
    for _ in 0..most {
        match body.data().await {
            Some(Ok(data)) => {
                let _ = body.flow_control().release_capacity(data.len());
            }
            _ => return,
        }
    }
    // Dropped with something still to come, the stream is reset.
    count(&mission.tally.resets);
}

/// Asks for another path.
fn at(request: &mut Request<()>, route: &str, n: u64) {
    *request.uri_mut() = format!("http://host-{n}.example/{route}/{n}")
        .parse()
        .unwrap();
}

/// Makes the block of headers about as large as a server takes, or larger.
fn pad(request: &mut Request<()>, dice: &mut Dice) {
    let value = "v".repeat(dice.below(17_000) as usize);
    request
        .headers_mut()
        .insert("x-large", value.parse().unwrap());
}
