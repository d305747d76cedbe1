//! A client that polls its sockets without sleeping.
//!
//! A client that sleeps adds the cost of its wake-ups, and sleeps more often with a slower server. This effect is larger
//! than the measured differences.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    time::{Duration, Instant},
};

use opentelemetry::{TraceId, trace::SpanKind};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample};

use crate::{app, signals::sampler, stats::median};

/// A request as bytes, with a new trace id.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    trace: TraceId,
}

/// Creates the requests of a block.
pub fn requests(path: &str, count: usize) -> Vec<Request> {
    let request = |_| {
        let traceparent = app::traceparent();
        let trace = traceparent.split('-').nth(1).unwrap();
        let trace = TraceId::from_hex(trace).unwrap();
        let bytes = format!(
            "GET {path} HTTP/1.1\r\nhost: shop.example:8080\r\nuser-agent: bench/1.0\r\n\
             accept: */*\r\ntraceparent: {traceparent}\r\n\r\n"
        );
        let bytes = bytes.into_bytes();
        Request { bytes, trace }
    };
    (0..count).map(request).collect()
}

/// Returns the number of sampled requests, for a sampled percentage of traces.
pub fn sampled(requests: &[Request], per_cent: u32) -> usize {
    let sampler = sampler(per_cent);
    let is_sampled = |request: &&Request| {
        let result = sampler.should_sample(None, request.trace, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    };
    requests.iter().filter(is_sampled).count()
}

/// A keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    length: usize,
}

impl Connection {
    /// Connects to a server on loopback.
    pub fn open(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            received: vec![0; 1 << 16],
            length: 0,
        }
    }

    fn send(&mut self, request: &[u8]) {
        self.length = 0;
        let sent = self.stream.write(request).unwrap();
        assert_eq!(sent, request.len(), "the socket buffer is full");
    }

    /// Returns whether the response is complete.
    fn poll(&mut self) -> bool {
        match self.stream.read(&mut self.received[self.length..]) {
            Ok(0) => panic!("the server closed the connection"),
            Ok(read) => {
                self.length += read;
                is_complete(&self.received[..self.length])
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_complete(response: &[u8]) -> bool {
    const LENGTH: &[u8] = b"content-length: ";
    let Some(head) = response.windows(4).position(|end| end == b"\r\n\r\n") else {
        return false;
    };
    assert!(
        response.starts_with(b"HTTP/1.1 200 "),
        "the status is not 200"
    );
    let length = response[..head]
        .windows(LENGTH.len())
        .position(|name| name == LENGTH)
        .unwrap();
    let digits = response[length + LENGTH.len()..head].iter();
    let body = digits
        .take_while(|digit| digit.is_ascii_digit())
        .fold(0, |body, digit| body * 10 + usize::from(digit - b'0'));
    response.len() >= head + 4 + body
}

/// Sends all requests, one at a time on each connection. Returns the median time in seconds.
pub fn block(connections: &mut [Connection], requests: &[Request]) -> f64 {
    let count = requests.len();
    let mut requests = requests.iter();
    let mut waiting: Vec<(&mut Connection, Instant)> = Vec::new();
    for (connection, request) in connections.iter_mut().zip(&mut requests) {
        let sent = Instant::now();
        connection.send(&request.bytes);
        waiting.push((connection, sent));
    }
    let mut times = Vec::with_capacity(count);
    while !waiting.is_empty() {
        waiting.retain_mut(|(connection, sent)| {
            if !connection.poll() {
                return true;
            }
            times.push(sent.elapsed().as_secs_f64());
            let Some(request) = requests.next() else {
                return false;
            };
            *sent = Instant::now();
            connection.send(&request.bytes);
            true
        });
    }
    median(times)
}

/// The CPU time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTime {
    /// The CPU time of the first thread, which serves.
    pub serving: Duration,
    /// The CPU time of all threads, including the export.
    pub process: Duration,
}

impl CpuTime {
    /// Reads the CPU time of a process while its server is idle.
    pub fn of(process: u32) -> Self {
        let of_thread = |path: PathBuf| -> Option<Duration> {
            let text = fs::read_to_string(path.join("schedstat")).ok()?;
            let nanos = text.split(' ').next()?.parse().ok()?;
            Some(Duration::from_nanos(nanos))
        };
        let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
        let threads = threads.map(|thread| thread.unwrap().path());
        let serving = format!("/proc/{process}/task/{process}");
        Self {
            serving: of_thread(serving.into()).unwrap(),
            process: threads.filter_map(of_thread).sum(),
        }
    }

    /// Returns the seconds of CPU time per request since an earlier reading: of the serving thread, and of the process.
    pub fn since(self, before: Self, requests: usize) -> (f64, f64) {
        let each = |now: Duration, before: Duration| {
            now.saturating_sub(before).as_secs_f64() / requests as f64
        };
        (
            each(self.serving, before.serving),
            each(self.process, before.process),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_with_its_last_byte() {
        let response = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: x\r\n\r\nhello";
        for cut in 0..response.len() {
            assert!(!is_complete(&response[..cut]), "{cut}");
        }
        assert!(is_complete(response));
    }
}
