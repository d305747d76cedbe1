//! `/metrics` over a socket behind the compression of tower-http: gzip, zstd or no compression, as the
//! request accepts, in every format.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{io::Read, net::SocketAddr, time::Duration};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use metrics::with_local_recorder;
use suite_tests::{
    net::{Http, pooled_client},
    telemetry::with_timeout,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};
use tower::ServiceBuilder;
use tower_http::compression::CompressionLayer;
use tower_otel_prometheus::Prometheus;

/// The `Accept` header of a scrape, and the content type of the response.
const FORMATS: [(&str, &str); 3] = [
    ("text/plain", "text/plain; version=0.0.4; charset=utf-8"),
    (
        "application/openmetrics-text",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    ),
    (
        "application/vnd.google.protobuf",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    ),
];

/// Serves metrics of this many series.
async fn serve(series: usize) -> SocketAddr {
    let (recorder, prometheus) = Prometheus::builder().native_histograms().build().unwrap();
    with_local_recorder(&recorder, || {
        let mut random = 1_u64;
        for n in 0..series {
            // The texts compress badly, so that a large page is also large when it is compressed.
            let text: String = (0..8)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    format!("{:08x}", random >> 32)
                })
                .collect();
            metrics::counter!("a_total", "n" => n.to_string(), "text" => text).increment(1);
            if n < 200 {
                metrics::histogram!("a_seconds", "n" => n.to_string()).record(n as f64);
            }
        }
    });
    // The set-up in the documentation of `MetricsService`.
    let scrapes = ServiceBuilder::new()
        .layer(CompressionLayer::new())
        .service(prometheus.service());
    let app = Router::new().route_service("/metrics", scrapes);
    // With a small buffer, the server waits for clients that do not read.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1024).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn scrape(
    address: SocketAddr,
    accept: &str,
    encodings: &[&[u8]],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::get(format!("http://{address}/metrics")).header("accept", accept);
    for encoding in encodings {
        request = request.header(
            "accept-encoding",
            HeaderValue::from_bytes(encoding).unwrap(),
        );
    }
    let client = pooled_client(Http::One);
    let sent = client.request(request.body(Empty::<Bytes>::new()).unwrap());
    let response = with_timeout("a response", sent).await.unwrap();
    let (head, body) = response.into_parts();
    let body = with_timeout("the body", body.collect()).await.unwrap();
    (head.status, head.headers, body.to_bytes())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

fn decompress(body: &[u8], encoding: Option<&str>) -> Vec<u8> {
    let mut plain = Vec::new();
    match encoding {
        None => plain.extend_from_slice(body),
        Some("gzip") => {
            let mut decoder = flate2::read::GzDecoder::new(body);
            decoder.read_to_end(&mut plain).unwrap();
        }
        Some("zstd") => plain = zstd::decode_all(body).unwrap(),
        other => panic!("unexpected {other:?}"),
    }
    plain
}

#[tokio::test]
async fn a_scrape_is_compressed_as_the_request_accepts_and_is_the_same_in_every_encoding() {
    let address = serve(200).await;
    let long = b"gzip;q=".repeat(500);
    for (accept, content_type) in FORMATS {
        let (_, headers, plain) = scrape(address, accept, &[]).await;
        assert_eq!(header(&headers, "content-encoding"), None);
        assert_eq!(header(&headers, "content-type"), Some(content_type));
        for (encodings, expected) in [
            (&[&b"gzip"[..]][..], Some("gzip")),
            (&[b"zstd"], Some("zstd")),
            (&[b"ZSTD;q=0.2, gzip;q=0.1"], Some("zstd")),
            (&[b"gzip;q=1.0, zstd;q=0.5"], Some("gzip")),
            (&[b"br", b"gzip"], Some("gzip")),
            (&[b"identity"], None),
            (&[b"gzip;q=0"], None),
            (&[b"br, deflate"], None),
            (&[b""], None),
            (&[b",,;;=q,\"gzip"], None),
            (&[b"gzip;q=NaN"], None),
            (&[b"gz\xfcp"], None),
            (&[&long], None),
        ] {
            let case = format!("{accept} {}", String::from_utf8_lossy(encodings[0]));
            let (status, headers, body) = scrape(address, accept, encodings).await;
            assert_eq!(status, StatusCode::OK, "{case}");
            assert_eq!(
                header(&headers, "content-type"),
                Some(content_type),
                "{case}"
            );
            let encoding = header(&headers, "content-encoding");
            assert_eq!(encoding, expected, "{case}");
            assert!(decompress(&body, encoding) == plain, "{case}");
            if encoding.is_some() {
                assert!(body.len() * 5 < plain.len(), "{case}: {}", body.len());
                // Caches must not mix formats and encodings.
                let vary = headers.get_all("vary").iter();
                let vary: Vec<_> = vary.map(|value| value.to_str().unwrap()).collect();
                let vary = vary.join(",").to_ascii_lowercase();
                assert!(
                    vary.contains("accept-encoding") && vary.starts_with("accept"),
                    "{vary}"
                );
            }
        }
    }
}

#[tokio::test]
async fn clients_that_reset_compressed_scrapes_leave_room_for_others() {
    let address = serve(20_000).await;
    for encoding in ["gzip", "zstd"] {
        for (accept, content_type) in FORMATS {
            // At most 16 scrapes are served at a time.
            let mut streams = Vec::new();
            for _ in 0..20 {
                let socket = TcpSocket::new_v4().unwrap();
                socket.set_recv_buffer_size(4096).unwrap();
                let mut stream = socket.connect(address).await.unwrap();
                let request = format!(
                    "GET /metrics HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\naccept-encoding: {encoding}\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.unwrap();
                streams.push(stream);
            }
            let mut refused = 0;
            for stream in &mut streams {
                let mut status = [0; 12];
                let read = stream.read_exact(&mut status);
                with_timeout("the status", read).await.unwrap();
                refused += usize::from(status == *b"HTTP/1.1 503");
            }
            assert!(
                refused > 0,
                "{accept} {encoding}: all are scrapes at the same time"
            );
            // The connections are reset instead of closed.
            streams
                .iter()
                .for_each(|stream| stream.set_zero_linger().unwrap());
            drop(streams);
            // A reset ends a scrape when the server next writes.
            let complete = async {
                loop {
                    let (status, headers, body) =
                        scrape(address, accept, &[encoding.as_bytes()]).await;
                    if status == StatusCode::SERVICE_UNAVAILABLE {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        continue;
                    }
                    assert_eq!(status, StatusCode::OK);
                    assert_eq!(header(&headers, "content-type"), Some(content_type));
                    let plain = decompress(&body, Some(encoding));
                    let has = |text: &str| {
                        plain
                            .windows(text.len())
                            .any(|part| part == text.as_bytes())
                    };
                    assert!(has("19999"), "{accept} {encoding}");
                    return;
                }
            };
            with_timeout("a scrape after the resets", complete).await;
        }
    }
}
