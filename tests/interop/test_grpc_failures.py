"""gRPC calls that fail in the middle, and upstreams that take few at a time: what a client of grpcio is told."""

import socket
import threading
import time
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from conftest import LOOPBACK, Authority, Proxy

HEAD = [(":status", "200"), ("content-type", "application/grpc")]
MESSAGE = b"\0\0\0\0\1m"
ENHANCE_YOUR_CALM, CANCEL = 11, 8


class Failing:
    """Answers each call with one message, and then fails as the name of its method says."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                stream, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(stream,), daemon=True).start()

    def serve(self, stream):
        http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        with stream:
            stream.sendall(http.data_to_send())
            while data := stream.recv(65536):
                for event in http.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    if not isinstance(event, h2.events.RequestReceived):
                        continue
                    http.send_headers(event.stream_id, HEAD)
                    http.send_data(event.stream_id, MESSAGE)
                    match dict(event.headers)[":path"]:
                        case "/test.Failing/Drop":
                            stream.sendall(http.data_to_send())
                            return
                        case "/test.Failing/GoAway":
                            http.close_connection(error_code=ENHANCE_YOUR_CALM)
                            stream.sendall(http.data_to_send())
                            return
                        case "/test.Failing/Reset":
                            http.reset_stream(event.stream_id, CANCEL)
                stream.sendall(http.data_to_send())


class Echo(grpc.GenericRpcHandler):
    def service(self, _call):
        return grpc.unary_unary_rpc_method_handler(lambda message, _context: message)


@pytest.fixture(scope="module")
def few():
    """A server of gRPC that takes few calls at a time on a connection."""
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.max_concurrent_streams", 20)])
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


@pytest.fixture(scope="module")
def proxy(directory, few):
    failing = Failing()
    to = f"h2c://127.0.0.1:{failing.port}"
    routes = {
        "failing": {"to": to},
        "hasty": {"to": to, "timeout": {"total": "1s"}},
        "small": {"to": to, "max_request_body": 1000},
        "few": {"to": f"h2c://127.0.0.1:{few}"},
    }
    proxy = Proxy(directory, Authority(directory, *(f"{name}.localhost" for name in routes)), [
        {"name": name, "from": f"https://{name}.localhost:PORT", "authenticate": "none", "allow": LOOPBACK, **route}
        for name, route in routes.items()
    ])
    yield proxy
    proxy.stop()
    failing.socket.close()


@pytest.mark.parametrize("host, method, status", [
    ("failing", "Drop", "UNAVAILABLE"),
    ("failing", "GoAway", "UNAVAILABLE"),
    ("failing", "Reset", "CANCELLED"),
    ("hasty", "Endless", "DEADLINE_EXCEEDED"),
])
def test_a_call_that_fails_in_the_middle_has_a_status(channel, host, method, status):
    call = channel(host).unary_stream(f"/test.Failing/{method}")(b"", timeout=20)
    with pytest.raises(grpc.RpcError) as error:
        assert next(call) == b"m"
        next(call)
    assert error.value.code().name == status


def test_a_stream_that_becomes_too_large_has_a_status(channel):
    def messages():
        for _ in range(100):
            yield bytes(100)
            time.sleep(0.01)

    with pytest.raises(grpc.RpcError) as error:
        list(channel("small").stream_stream("/test.Failing/Endless")(messages(), timeout=20))
    assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_upstream_that_takes_few_calls_at_a_time_answers_them_all(channel):
    calls = [channel("few").unary_unary("/test.Echo/Unary").future(b"%d" % number, timeout=60) for number in range(1000)]
    assert [call.result() for call in calls] == [b"%d" % number for number in range(1000)]


def test_zz_the_record_has_the_status_and_what_failed(proxy):
    records = {(record["route"], record["path"].rsplit("/", 1)[1]): record for record in proxy.records()}
    for route, method, status, error in [
        ("failing", "Drop", 14, "response body: http2 error: "),
        ("failing", "GoAway", 14, "response body: http2 error: "),
        ("hasty", "Endless", 4, "response body: `timeout.total` passed"),
        ("small", "Endless", 8, "response body"),
    ]:
        record = records[route, method]
        assert (record["grpc_status"], record["decision"]) == (status, "allow"), record
        assert record["error"].startswith(error), record
