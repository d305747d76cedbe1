//! A client that measures the latency of single requests.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::TIMEOUT;

/// A connection to a server whose response body has four bytes.
#[derive(Debug)]
pub struct Probe {
    head: String,
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Probe {
    pub fn connect(to: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        // A hanging server fails the test.
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self {
            head: format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"),
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    /// Sends a request; returns the time until the last byte of the response.
    pub fn request(&mut self) -> Duration {
        let start = Instant::now();
        self.stream.write_all(self.head.as_bytes()).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            let read = self.reader.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the server closed the connection");
        }
        self.reader.read_exact(&mut [0; 4]).unwrap();
        start.elapsed()
    }
}
