"""gRPC from a client in another language, over TLS, to a server that speaks HTTP/2 without TLS."""

import threading
import time
from concurrent import futures

import grpc
import pytest
from conftest import LOOPBACK, Authority, Proxy

CANCELLED = threading.Event()


class Echo(grpc.GenericRpcHandler):
    """Messages are bytes as they are, so that no generated code is needed."""

    def service(self, call):
        name = call.method.rsplit("/", 1)[1]
        return {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "ServerStream": grpc.unary_stream_rpc_method_handler(self.server_stream),
            "ClientStream": grpc.stream_unary_rpc_method_handler(self.client_stream),
            "Bidi": grpc.stream_stream_rpc_method_handler(self.bidi),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
            "Endless": grpc.unary_stream_rpc_method_handler(self.endless),
        }.get(name)

    def unary(self, message, context):
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-initial", metadata.get("x-ask", "")),))
        context.set_trailing_metadata((("x-trailing", "last"), ("x-bytes-bin", b"\x00\xff")))
        return message

    def server_stream(self, message, _context):
        for index in range(int(message)):
            yield str(index).encode()

    def client_stream(self, messages, _context):
        return str(sum(len(message) for message in messages)).encode()

    def bidi(self, messages, _context):
        yield from messages

    def fail(self, _message, context):
        context.set_trailing_metadata((("x-why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100% ✓")

    def hang(self, _message, context):
        done = threading.Event()
        context.add_callback(done.set)
        done.wait(30)
        return b""

    def endless(self, _message, context):
        context.add_callback(CANCELLED.set)
        while context.is_active():
            yield b"tick"
            time.sleep(0.01)


@pytest.fixture(scope="module")
def server():
    server = grpc.server(futures.ThreadPoolExecutor(16))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


@pytest.fixture(scope="module")
def proxy(directory, server):
    authority = Authority(directory, "grpc.localhost", "plain.localhost", "private.localhost", "refused.localhost", "away.localhost")
    proxy = Proxy(directory, authority, [
        {"from": "https://grpc.localhost:PORT", "to": f"h2c://127.0.0.1:{server}", "authenticate": "none", "allow": LOOPBACK},
        {"from": "https://plain.localhost:PORT", "to": f"http://127.0.0.1:{server}", "upstream_protocol": "h2c",
         "authenticate": "none", "allow": LOOPBACK},
        {"from": "https://private.localhost:PORT", "to": f"h2c://127.0.0.1:{server}", "allow": "user.authenticated"},
        {"from": "https://refused.localhost:PORT", "to": f"h2c://127.0.0.1:{server}", "authenticate": "none",
         "allow": 'request.grpc.service == "test.Echo" && request.grpc.method == "Unary"'},
        {"from": "https://away.localhost:PORT", "to": "h2c://127.0.0.1:1", "authenticate": "none", "allow": LOOPBACK},
    ], authenticate={
        "url": "https://auth.localhost:1",
        "providers": [{"id": "away", "issuer": "http://127.0.0.1:1", "client_id": "portcullis", "client_secret": "unused"}],
        "session": {"store": "memory"},
    })
    yield proxy
    proxy.stop()


@pytest.mark.parametrize("host", ["grpc", "plain"])
def test_unary_with_metadata_and_trailers(channel, host):
    answer, call = channel(host).unary_unary("/test.Echo/Unary").with_call(b"hello", metadata=(("x-ask", "me"),), timeout=10)
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-initial"] == "me"
    trailers = dict(call.trailing_metadata())
    assert trailers["x-trailing"] == "last" and trailers["x-bytes-bin"] == b"\x00\xff"


def test_server_streaming(channel):
    answers = list(channel("grpc").unary_stream("/test.Echo/ServerStream")(b"500", timeout=20))
    assert answers == [str(index).encode() for index in range(500)]


def test_client_streaming(channel):
    messages = (b"x" * 10_000 for _ in range(100))
    assert channel("grpc").stream_unary("/test.Echo/ClientStream")(messages, timeout=20) == b"1000000"


def test_bidirectional_streaming_is_not_held_back(channel):
    sent = [threading.Event() for _ in range(5)]

    def messages():
        for index in range(5):
            if index:
                assert sent[index - 1].wait(10), "the answer to the message before did not come"
            yield str(index).encode()

    for index, answer in enumerate(channel("grpc").stream_stream("/test.Echo/Bidi")(messages(), timeout=20)):
        assert answer == str(index).encode()
        sent[index].set()


def test_large_messages(channel):
    message = bytes(3_500_000)
    assert channel("grpc").unary_unary("/test.Echo/Unary")(message, timeout=20) == message


def test_status_and_message_of_the_server_pass_unchanged(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel("grpc").unary_unary("/test.Echo/Fail")(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "not today: 100% ✓"
    assert dict(error.value.trailing_metadata())["x-why"] == "because"


def test_unknown_method_is_the_servers_own_answer(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel("grpc").unary_unary("/test.Echo/Nowhere")(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadline(channel):
    begun = time.monotonic()
    with pytest.raises(grpc.RpcError) as error:
        channel("grpc").unary_unary("/test.Echo/Hang")(b"", timeout=0.5)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 5


def test_cancellation_reaches_the_server(channel):
    CANCELLED.clear()
    call = channel("grpc").unary_stream("/test.Echo/Endless")(b"", timeout=20)
    assert next(call) == b"tick"
    call.cancel()
    assert CANCELLED.wait(5)


def test_nobody_is_asked_to_sign_in(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel("private").unary_unary("/test.Echo/Unary")(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert "https://" in error.value.details()


def test_a_method_that_the_policy_does_not_allow_is_refused(channel):
    assert channel("refused").unary_unary("/test.Echo/Unary")(b"ok", timeout=10) == b"ok"
    with pytest.raises(grpc.RpcError) as error:
        list(channel("refused").unary_stream("/test.Echo/ServerStream")(b"1", timeout=10))
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_an_upstream_that_is_down_is_unavailable(channel):
    with pytest.raises(grpc.RpcError) as error:
        channel("away").unary_unary("/test.Echo/Unary")(b"", timeout=10)
    assert error.value.code() == grpc.StatusCode.UNAVAILABLE


def test_zz_every_call_is_in_the_audit_log(proxy):
    records = proxy.records()
    statuses = {record.get("grpc_status") for record in records}
    assert {0, 7, 9, 14, 16} <= statuses
    echo = [record for record in records if record["path"] == "/test.Echo/Unary" and record["decision"] == "allow" and record["status"] == 200
            and record.get("grpc_status") == 0]
    assert echo and echo[0]["upstream"]["protocol"] == "h2c" and echo[0]["upstream"]["protocol_reason"] == "configured"
    assert echo[0]["protocol"] == "h2" and echo[0]["client_ip"] == "127.0.0.1"
