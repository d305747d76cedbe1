//! A hand-written gRPC service. The message of a call, a string, selects its result.

use std::{
    convert::Infallible,
    future::pending,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut};
use http::{Request, Response};
use tokio::sync::Notify;
use tokio_stream::{Stream, StreamExt};
use tonic::{
    Code, Status, Streaming,
    body::Body,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService},
};
use tower::{Service, service_fn};

/// A codec whose messages are strings.
#[derive(Clone, Copy, Debug, Default)]
pub struct StringCodec;

impl Codec for StringCodec {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for StringCodec {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for StringCodec {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(String::from_utf8(bytes.to_vec()).unwrap()))
    }
}

type ResponseStream = Pin<Box<dyn Stream<Item = Result<String, Status>> + Send>>;

/// A service with every kind of method: `Unary`, `Server`, `Client` and `Bidi`.
///
/// The message `ok` is echoed, a number is the status code of the response, `stall` has no response
/// and `panic` panics. A stream sends `a` first.
#[derive(Clone, Debug, Default)]
pub struct CartService {
    /// Is notified of each call that reaches the service.
    pub called: Arc<Notify>,
}

impl NamedService for CartService {
    const NAME: &'static str = "shop.Cart";
}

async fn respond(message: &str) -> Result<String, Status> {
    match message {
        "stall" => pending().await,
        "panic" => panic!("the handler panics"),
        _ => match message.parse::<i32>() {
            Ok(code) => Err(Status::new(Code::from(code), "as you wish")),
            Err(_) => Ok(message.to_owned()),
        },
    }
}

fn stream_response(message: String) -> ResponseStream {
    let first = tokio_stream::once(Ok("a".to_owned()));
    let second = tokio_stream::once(message).then(|message| async move { respond(&message).await });
    Box::pin(first.chain(second))
}

impl Service<Request<Body>> for CartService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.called.notify_one();
        Box::pin(async move {
            let mut grpc = Grpc::new(StringCodec);
            Ok(match request.uri().path() {
                "/shop.Cart/Unary" => {
                    let unary = service_fn(|request: tonic::Request<String>| async move {
                        Ok(tonic::Response::new(respond(request.get_ref()).await?))
                    });
                    grpc.unary(unary, request).await
                }
                "/shop.Cart/Server" => {
                    let server = service_fn(|request: tonic::Request<String>| async move {
                        Ok(tonic::Response::new(stream_response(request.into_inner())))
                    });
                    grpc.server_streaming(server, request).await
                }
                "/shop.Cart/Client" => {
                    let client =
                        service_fn(|request: tonic::Request<Streaming<String>>| async move {
                            let mut all = request.into_inner();
                            let mut last = String::new();
                            while let Some(message) = all.message().await? {
                                last = respond(&message).await?;
                            }
                            Ok(tonic::Response::new(last))
                        });
                    grpc.client_streaming(client, request).await
                }
                "/shop.Cart/Bidi" => {
                    let bidi =
                        service_fn(|request: tonic::Request<Streaming<String>>| async move {
                            let each = request.into_inner();
                            let responses =
                                each.then(|message| async move { respond(&message?).await });
                            Ok(tonic::Response::new(Box::pin(responses) as ResponseStream))
                        });
                    grpc.streaming(bidi, request).await
                }
                // Same as the code that tonic generates.
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}
