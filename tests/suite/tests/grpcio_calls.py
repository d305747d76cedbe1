"""Calls every method of the test's service with grpcio, and prints method and status of each call.

    grpcio_calls.py HOST:PORT
"""

import sys

import grpc

UNARY, SERVER, CLIENT, BIDI = (f"/shop.Cart/{name}" for name in ("Unary", "Server", "Client", "Bidi"))


def main(target):
    with grpc.insecure_channel(target) as channel:
        codec = {"request_serializer": str.encode, "response_deserializer": bytes.decode}
        unary = channel.unary_unary(UNARY, **codec)
        server = channel.unary_stream(SERVER, **codec)
        client = channel.stream_unary(CLIENT, **codec)
        bidi = channel.stream_stream(BIDI, **codec)
        calls = {
            UNARY: lambda message: unary(message),
            SERVER: lambda message: list(server(message)),
            CLIENT: lambda message: client(iter([message])),
            BIDI: lambda message: list(bidi(iter([message]))),
        }
        for message in ["ok", *map(str, range(1, 17))]:
            for path, call in calls.items():
                report(path, lambda: call(message))
        report(UNARY, lambda: unary("stall", timeout=0.3), has_deadline=True)
        report(SERVER, lambda: list(server("stall", timeout=0.3)), has_deadline=True)
        report(SERVER, lambda: cancel(server("stall")))
        report(BIDI, lambda: cancel(bidi(iter(["a", "stall"]))))
        absent = channel.unary_unary("/shop.Absent/Unary", **codec)
        report("/shop.Absent/Unary", lambda: absent("ok"))


def cancel(responses):
    """Cancels a stream after its first message."""
    next(responses)
    responses.cancel()
    list(responses)


def report(path, call, has_deadline=False):
    try:
        call()
        status = grpc.StatusCode.OK
    except grpc.RpcError as error:
        status = error.code()
    # Both sides measure the deadline. If the timer of tonic's server ends first, it answers with CANCELLED.
    if has_deadline and status is grpc.StatusCode.CANCELLED:
        status = grpc.StatusCode.DEADLINE_EXCEEDED
    print(path.removeprefix("/"), status.name)


main(sys.argv[1])
