//! HTTP/1.1: a library that behaves, and lines by hand that do not.

use std::{net::SocketAddr, time::Duration};

use http::header;
use http_body_util::{BodyExt, Empty};
use suite_tests::net::{Http, Wire};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Mission, count, head, path, request};
use crate::{app::MARK, dice::Dice};

/// Asks one thing after another and reads what comes, now and then not to its end.
pub(super) async fn polite(mission: &Mission, to: SocketAddr, dice: &mut Dice) {
    let mut wire = Wire::connect(Http::One, to).await;
    for _ in 0..dice.below(60) + 1 {
        let n = mission.next();
        let (mut parts, ()) = request(dice, n).into_parts();
        let host = parts.uri.authority().unwrap().to_string();
        parts.headers.insert(header::HOST, host.parse().unwrap());
        let origin = parts.uri.path_and_query().unwrap().to_string();
        parts.uri = origin.parse().unwrap();
        let request = http::Request::from_parts(parts, Empty::new());
        let Ok(response) = wire.send(request).await else {
            return;
        };
        if response.headers().contains_key(MARK) {
            count(&mission.tally.heads);
        }
        if response.into_body().collect().await.is_err() {
            return;
        }
    }
}

/// Does one rude thing on a connection of its own.
pub(super) async fn rude(
    mission: &Mission,
    to: SocketAddr,
    dice: &mut Dice,
    held: &mut Vec<TcpStream>,
) {
    let tally = &mission.tally;
    let Ok(mut stream) = TcpStream::connect(to).await else {
        return;
    };
    if dice.percent(50) {
        // Leaves with a reset.
        stream.set_zero_linger().unwrap();
    }
    let n = mission.next();
    match dice.below(8) {
        // Hangs up before the head.
        0 | 1 => {
            let request = head(dice, "GET", &format!("/never/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            wait(dice).await;
            count(&tally.hang_ups);
        }
        // Hangs up during the body.
        2 => {
            let request = head(dice, "GET", &format!("/endless/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            let mut some = vec![0; dice.below(100_000) as usize + 200];
            if stream.read_exact(&mut some).await.is_ok() {
                count(&tally.heads);
            }
            count(&tally.hang_ups);
        }
        // Reads slowly, perhaps not to the end.
        3 => {
            let request = head(dice, "GET", &format!("/large/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            let mut few = [0; 4096];
            for _ in 0..dice.below(20) {
                if stream.read(&mut few).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            count(&tally.slow);
        }
        // Begins and says no more: a head, or a body.
        4 => {
            let mut request = head(dice, "POST", &format!("/echo/{n}"), n);
            if dice.percent(50) {
                request += "content-length: 1000\r\n\r\nnot so many";
            }
            let _ = stream.write_all(request.as_bytes()).await;
            count(&tally.half_open);
            held.push(stream);
        }
        // A head at the limit of what a server takes, and above.
        5 => {
            let mut request = head(dice, "GET", &format!("/fast/{n}"), n);
            let (lines, long) = match dice.percent(50) {
                true => (85 + dice.below(20), 10),
                false => (dice.below(30) + 1, 16_000),
            };
            for line in 0..lines {
                request += &format!("x-{line}: {}\r\n", "v".repeat(long));
            }
            request += "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            marked(mission, &mut stream).await;
            count(&tally.large_heads);
        }
        // What is no HTTP.
        6 => {
            let bytes: Vec<u8> = (0..dice.below(300)).map(|_| dice.next() as u8).collect();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.write_all(b"\r\n\r\n").await;
            wait(dice).await;
            count(&tally.garbage);
        }
        // Many at once, and gone.
        _ => {
            let mut requests = String::new();
            let more = dice.below(20);
            for n in std::iter::once(n).chain((0..more).map(|_| mission.next())) {
                let path = path(dice, n);
                requests += &(head(dice, "GET", &path, n) + "\r\n");
            }
            let _ = stream.write_all(requests.as_bytes()).await;
            if dice.percent(50) {
                marked(mission, &mut stream).await;
            }
            count(&tally.hang_ups);
        }
    }
}

/// Lets the server get to it, or not.
async fn wait(dice: &mut Dice) {
    for _ in 0..dice.below(50) {
        tokio::task::yield_now().await;
    }
}

/// Reads until it sees the mark of the application, or there is no more.
async fn marked(mission: &Mission, stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mark = format!("{MARK}: yes");
    while read.len() < 4096 {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) if read.windows(mark.len()).any(|at| at == mark.as_bytes()) => {
                return count(&mission.tally.heads);
            }
            Ok(_) if read.windows(4).any(|at| at == b"\r\n\r\n") => return,
            Ok(_) => {}
        }
    }
}
