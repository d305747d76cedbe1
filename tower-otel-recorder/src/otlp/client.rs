//! A connection to a collector, over gRPC or HTTP.

use std::{
    io::{self, Write},
    ops::Range,
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

#[cfg(feature = "grpc")]
use crate::otlp::grpc::GrpcClient;
#[cfg(feature = "http")]
use crate::otlp::http::HttpClient;
use crate::otlp::{answer::Answer, batch::Batch};

#[derive(Debug)]
pub(crate) enum Client {
    #[cfg(feature = "grpc")]
    Grpc(Box<GrpcClient>),
    #[cfg(feature = "http")]
    Http(HttpClient),
}

impl Client {
    /// Returns the body of a request with a part of the spans.
    pub(crate) fn body(&self, batch: &Batch, part: Range<usize>, gzip: bool) -> io::Result<Bytes> {
        let prefix = self.prefix();
        let body = if gzip {
            compress(&batch.request(part, 0), prefix)?
        } else {
            batch.request(part, prefix)
        };
        Ok(self.with_prefix(body, gzip).into())
    }

    #[cfg_attr(not(feature = "grpc"), allow(unused_mut, unused_variables))]
    fn with_prefix(&self, mut body: Vec<u8>, gzip: bool) -> Vec<u8> {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => GrpcClient::write_prefix(&mut body, gzip),
            #[cfg(feature = "http")]
            Self::Http(_) => {}
        }
        body
    }

    /// Returns the number of bytes before the message.
    const fn prefix(&self) -> usize {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc(_) => GrpcClient::PREFIX,
            #[cfg(feature = "http")]
            Self::Http(_) => 0,
        }
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn send(&mut self, body: Bytes) -> Answer {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc(client) => client.send(body).await,
            #[cfg(feature = "http")]
            Self::Http(client) => client.send(body).await,
        }
    }

    /// Closes connections after a request without an answer, because the connection may be dead.
    pub(crate) fn reconnect(&mut self) {
        match self {
            #[cfg(feature = "grpc")]
            Self::Grpc(client) => client.reconnect(),
            // The connection of a cancelled request is already closed.
            #[cfg(feature = "http")]
            Self::Http(_) => {}
        }
    }
}

/// Returns the compressed message, preceded by `zeros` zero bytes.
fn compress(message: &[u8], zeros: usize) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::with_capacity(zeros + message.len() / 4);
    compressed.resize(zeros, 0);
    let mut encoder = GzEncoder::new(compressed, Compression::fast());
    encoder.write_all(message)?;
    encoder.finish()
}
