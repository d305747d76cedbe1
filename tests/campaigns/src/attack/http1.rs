//! HTTP/1.1 clients: a library, and hand-written requests.

use std::{net::SocketAddr, time::Duration};

use http::header;
use http_body_util::{BodyExt, Empty};
use suite_tests::net::{ClientConnection, Http};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{Attack, head, increment, path, request};
use crate::{app::APP_HEADER, rng::Rng};

/// Sends requests one after another on a connection and reads the responses.
pub(super) async fn well_behaved(attack: &Attack, to: SocketAddr, rng: &mut Rng) {
    let mut wire = ClientConnection::connect(Http::One, to).await;
    for _ in 0..rng.below(60) + 1 {
        let n = attack.next_request();
        let (mut parts, ()) = request(rng, n).into_parts();
        let host = parts.uri.authority().unwrap().to_string();
        parts.headers.insert(header::HOST, host.parse().unwrap());
        let origin = parts.uri.path_and_query().unwrap().to_string();
        parts.uri = origin.parse().unwrap();
        let request = http::Request::from_parts(parts, Empty::new());
        let Ok(response) = wire.send(request).await else {
            return;
        };
        if response.headers().contains_key(APP_HEADER) {
            increment(&attack.counts.responses);
        }
        if response.into_body().collect().await.is_err() {
            return;
        }
    }
}

/// Performs one hostile action on a new connection.
pub(super) async fn hostile(
    attack: &Attack,
    to: SocketAddr,
    rng: &mut Rng,
    open: &mut Vec<TcpStream>,
) {
    let counts = &attack.counts;
    let Ok(mut stream) = TcpStream::connect(to).await else {
        return;
    };
    if rng.percent(50) {
        // Closes the connection with a reset.
        stream.set_zero_linger().unwrap();
    }
    let n = attack.next_request();
    match rng.below(8) {
        // Disconnects before the response.
        0 | 1 => {
            let request = head(rng, "GET", &format!("/never/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            wait(rng).await;
            increment(&counts.hang_ups);
        }
        // Disconnects during the body.
        2 => {
            let request = head(rng, "GET", &format!("/endless/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            let mut part = vec![0; rng.below(100_000) as usize + 200];
            if stream.read_exact(&mut part).await.is_ok() {
                increment(&counts.responses);
            }
            increment(&counts.hang_ups);
        }
        // Reads slowly, sometimes not to the end.
        3 => {
            let request = head(rng, "GET", &format!("/large/{n}"), n) + "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            let mut buffer = [0; 4096];
            for _ in 0..rng.below(20) {
                if stream.read(&mut buffer).await.is_err() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            increment(&counts.slow_reads);
        }
        // Sends an incomplete head or body and leaves the connection open.
        4 => {
            let mut request = head(rng, "POST", &format!("/echo/{n}"), n);
            if rng.percent(50) {
                request += "content-length: 1000\r\n\r\nincomplete";
            }
            let _ = stream.write_all(request.as_bytes()).await;
            increment(&counts.half_open);
            open.push(stream);
        }
        // Sends a head at or above the limit of the server.
        5 => {
            let mut request = head(rng, "GET", &format!("/fast/{n}"), n);
            let (lines, long) = match rng.percent(50) {
                true => (85 + rng.below(20), 10),
                false => (rng.below(30) + 1, 16_000),
            };
            for line in 0..lines {
                request += &format!("x-{line}: {}\r\n", "v".repeat(long));
            }
            request += "\r\n";
            let _ = stream.write_all(request.as_bytes()).await;
            read_app_header(attack, &mut stream).await;
            increment(&counts.large_headers);
        }
        // Sends bytes that are not HTTP.
        6 => {
            let bytes: Vec<u8> = (0..rng.below(300)).map(|_| rng.next() as u8).collect();
            let _ = stream.write_all(&bytes).await;
            let _ = stream.write_all(b"\r\n\r\n").await;
            wait(rng).await;
            increment(&counts.garbage);
        }
        // Pipelines requests and disconnects.
        _ => {
            let mut requests = String::new();
            let further = rng.below(20);
            for n in std::iter::once(n).chain((0..further).map(|_| attack.next_request())) {
                let path = path(rng, n);
                requests += &(head(rng, "GET", &path, n) + "\r\n");
            }
            let _ = stream.write_all(requests.as_bytes()).await;
            if rng.percent(50) {
                read_app_header(attack, &mut stream).await;
            }
            increment(&counts.hang_ups);
        }
    }
}

/// Yields a random number of times, so that the server sometimes starts the request.
async fn wait(rng: &mut Rng) {
    for _ in 0..rng.below(50) {
        tokio::task::yield_now().await;
    }
}

/// Reads until the header of the application or the end of the head.
async fn read_app_header(attack: &Attack, stream: &mut TcpStream) {
    let mut read = Vec::new();
    let mark = format!("{APP_HEADER}: yes");
    while read.len() < 4096 {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) if read.windows(mark.len()).any(|at| at == mark.as_bytes()) => {
                return increment(&attack.counts.responses);
            }
            Ok(_) if read.windows(4).any(|at| at == b"\r\n\r\n") => return,
            Ok(_) => {}
        }
    }
}
