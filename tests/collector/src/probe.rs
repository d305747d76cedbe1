//! One who asks one thing after another, and looks at the clock.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use crate::LONG;

/// A connection to a server that answers with a body of four bytes.
#[derive(Debug)]
pub struct Probe {
    request: String,
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Probe {
    pub fn connect(to: SocketAddr, path: &str) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        // What hangs fails.
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self {
            request: format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"),
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    /// How long a request takes, to the last byte of its answer.
    pub fn ask(&mut self) -> Duration {
        let start = Instant::now();
        self.stream.write_all(self.request.as_bytes()).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            let read = self.reader.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the server has hung up");
        }
        self.reader.read_exact(&mut [0; 4]).unwrap();
        start.elapsed()
    }
}
