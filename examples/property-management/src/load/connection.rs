//! A keep-alive connection that is polled without sleeping, because a wake-up takes longer than the measured differences.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use crate::BoxError;

pub(super) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> Result<Self, BoxError> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    /// Sends a request, which must be smaller than the buffer of the socket.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), BoxError> {
        self.received.clear();
        Ok(self.stream.write_all(request)?)
    }

    /// Returns whether the response is complete.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is closed or the response is not a `200` with a length.
    pub(super) fn poll(&mut self) -> Result<bool, BoxError> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("a service closed a connection".into()),
            Ok(length) => self
                .received
                .extend(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        is_complete(&self.received)
    }
}

fn is_complete(response: &[u8]) -> Result<bool, BoxError> {
    let Some(head) = response.windows(4).position(|end| end == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(response.get(..head).unwrap_or_default()).to_lowercase();
    if !text.starts_with("http/1.1 200 ") {
        return Err(format!("unexpected response: {}", String::from_utf8_lossy(response)).into());
    }
    let mut lines = text.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("a response has no length")?.trim().parse()?;
    Ok(response.len() >= head + 4 + length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_complete_with_the_last_byte_of_its_body() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for length in 0..response.len() {
            assert!(!is_complete(&response[..length]).unwrap());
        }
        assert!(is_complete(response).unwrap());
        let failed = is_complete(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n");
        assert!(failed.unwrap_err().to_string().contains("401"));
    }
}
