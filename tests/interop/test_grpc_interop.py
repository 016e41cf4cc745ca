"""The interoperability cases of gRPC, by the names that gRPC gives them, through `config/grpc-h2c.yaml`: TLS in, h2c out, to two
servers in Python (grpcio), and then to two in Rust (tonic, `grpc_server.rs`).

Left out are the cases of Google's own credentials and load balancers, and those of compressed messages: what tells them
apart is inside of messages, which the proxy does not look at.
"""

import os
import pathlib
import queue
import subprocess
import threading
import time
from concurrent import futures

import grpc
import pytest
from conftest import Authority, Example, accepts, free_port, wait_for

PROTOS, SERVICES = grpc.protos_and_services("testing.proto")
ECHO_INITIAL, ECHO_TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"


class TestService(SERVICES.TestServiceServicer):
    """Answers as the description of the cases asks servers to."""

    __test__ = False

    def echo(self, context, status=None):
        asked = dict(context.invocation_metadata())
        if ECHO_INITIAL in asked:
            context.send_initial_metadata(((ECHO_INITIAL, asked[ECHO_INITIAL]),))
        if ECHO_TRAILING in asked:
            context.set_trailing_metadata(((ECHO_TRAILING, asked[ECHO_TRAILING]),))
        if status is not None and status.code:
            context.abort(next(code for code in grpc.StatusCode if code.value[0] == status.code), status.message)

    def EmptyCall(self, _request, context):
        self.echo(context)
        return PROTOS.Empty()

    def UnaryCall(self, request, context):
        self.echo(context, request.response_status)
        return PROTOS.SimpleResponse(payload=payload(request.response_size))

    def StreamingOutputCall(self, request, context):
        self.echo(context, request.response_status)
        yield from answers(request, context)

    def StreamingInputCall(self, requests, context):
        self.echo(context)
        return PROTOS.StreamingInputCallResponse(aggregated_payload_size=sum(len(request.payload.body) for request in requests))

    def FullDuplexCall(self, requests, context):
        self.echo(context)
        for request in requests:
            if request.response_status.code:
                self.echo(context, request.response_status)
            yield from answers(request, context)


def payload(size):
    return PROTOS.Payload(body=bytes(size))


def answers(request, context):
    for wanted in request.response_parameters:
        if wanted.interval_us:
            # Ends early when the caller gives up.
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait(wanted.interval_us / 1_000_000)
        yield PROTOS.StreamingOutputCallResponse(payload=payload(wanted.size))


def output(answer, body=0, interval_us=0):
    parameters = [PROTOS.ResponseParameters(size=answer, interval_us=interval_us)]
    return PROTOS.StreamingOutputCallRequest(response_parameters=parameters, payload=payload(body))


class Grpcio:
    def __init__(self):
        self.server, service = grpc.server(futures.ThreadPoolExecutor(16)), TestService()
        SERVICES.add_TestServiceServicer_to_server(service, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def stop(self):
        self.server.stop(0).wait()


class Tonic:
    BINARY = pathlib.Path(os.environ.get("GRPC_SERVER_BIN", pathlib.Path(__file__).parents[2] / "target/debug/examples/grpc-interop-server"))

    def __init__(self):
        self.process = subprocess.Popen([self.BINARY], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        wait_for(lambda: accepts(self.port), "the server in Rust", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module", params=[Grpcio, Tonic])
def servers(request):
    servers = [request.param(), request.param()]
    yield servers
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, servers):
    directory = tmp_path_factory.mktemp("grpc")
    authority, port = Authority(directory, "grpc.localhost"), free_port()
    proxy = Example(directory, "grpc-h2c.yaml", port, [
        ("[::]:443", f"127.0.0.1:{port}"),
        ("certs/grpc.pem", str(authority.cert_file)),
        ("certs/grpc.key", str(authority.key_file)),
        ("${env:OIDC_CLIENT_SECRET}", "unused"),
        ("https://internal.example.com", f"https://grpc.localhost:{port}"),
        ("203.0.113.0/24", "127.0.0.0/8"),
        ("10.0.3.13:9090", f"127.0.0.1:{servers[0].port}"),
        ("10.0.3.14:9090", f"127.0.0.1:{servers[1].port}"),
    ])
    proxy.authority = authority
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def channel(proxy):
    credentials = grpc.ssl_channel_credentials(proxy.authority.ca_file.read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{proxy.port}", credentials, options=[
        ("grpc.ssl_target_name_override", "grpc.localhost"),
        ("grpc.default_authority", f"grpc.localhost:{proxy.port}"),
    ]) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return SERVICES.TestServiceStub(channel)


class Requests:
    """A stream of requests that is sent as the test goes."""

    def __init__(self):
        self.waiting = queue.SimpleQueue()

    def send(self, request):
        self.waiting.put(request)

    def end(self):
        self.waiting.put(None)

    def __iter__(self):
        return iter(self.waiting.get, None)


def test_empty_unary(stub):
    assert stub.EmptyCall(PROTOS.Empty(), timeout=20) == PROTOS.Empty()


def large_unary(stub):
    request = PROTOS.SimpleRequest(response_size=314159, payload=payload(271828))
    return len(stub.UnaryCall(request, timeout=20).payload.body)


def test_large_unary(stub):
    assert large_unary(stub) == 314159


def test_concurrent_large_unary(stub):
    with futures.ThreadPoolExecutor(20) as many:
        assert list(many.map(lambda _: large_unary(stub), range(100))) == [314159] * 100


def test_client_streaming(stub):
    requests = (PROTOS.StreamingInputCallRequest(payload=payload(size)) for size in (27182, 8, 1828, 45904))
    assert stub.StreamingInputCall(requests, timeout=20).aggregated_payload_size == 74922


def test_server_streaming(stub):
    sizes = [31415, 9, 2653, 58979]
    request = PROTOS.StreamingOutputCallRequest(response_parameters=[PROTOS.ResponseParameters(size=size) for size in sizes])
    assert [len(answer.payload.body) for answer in stub.StreamingOutputCall(request, timeout=20)] == sizes


def test_ping_pong(stub):
    requests = Requests()
    call = stub.FullDuplexCall(iter(requests), timeout=20)
    for body, size in ((27182, 31415), (8, 9), (1828, 2653), (45904, 58979)):
        requests.send(output(size, body))
        assert len(next(call).payload.body) == size
    requests.end()
    assert next(call, None) is None


def test_empty_stream(stub):
    assert list(stub.FullDuplexCall(iter(()), timeout=20)) == []


def test_custom_metadata(stub):
    metadata = ((ECHO_INITIAL, "test_initial_metadata_value"), (ECHO_TRAILING, b"\xab\xab\xab"))
    request = PROTOS.SimpleRequest(response_size=314159, payload=payload(271828))
    _, unary = stub.UnaryCall.with_call(request, metadata=metadata, timeout=20)
    duplex = stub.FullDuplexCall(iter([output(314159, 271828)]), metadata=metadata, timeout=20)
    assert len(list(duplex)) == 1
    for call in (unary, duplex):
        assert dict(call.initial_metadata())[ECHO_INITIAL] == "test_initial_metadata_value"
        assert dict(call.trailing_metadata())[ECHO_TRAILING] == b"\xab\xab\xab"


def failed(call):
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


def test_status_code_and_message(stub):
    status = PROTOS.EchoStatus(code=2, message="test status message")
    request, streamed = PROTOS.SimpleRequest(response_status=status), PROTOS.StreamingOutputCallRequest(response_status=status)
    expected = (grpc.StatusCode.UNKNOWN, "test status message")
    assert failed(lambda: stub.UnaryCall(request, timeout=20)) == expected
    assert failed(lambda: list(stub.FullDuplexCall(iter([streamed]), timeout=20))) == expected


def test_special_status_message(stub):
    message = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    request = PROTOS.SimpleRequest(response_status=PROTOS.EchoStatus(code=2, message=message))
    assert failed(lambda: stub.UnaryCall(request, timeout=20)) == (grpc.StatusCode.UNKNOWN, message)


def test_unimplemented_method(stub):
    assert failed(lambda: stub.UnimplementedCall(PROTOS.Empty(), timeout=20))[0] == grpc.StatusCode.UNIMPLEMENTED


def test_unimplemented_service(stub, channel):
    method = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall", PROTOS.Empty.SerializeToString)
    assert failed(lambda: method(PROTOS.Empty(), timeout=20))[0] == grpc.StatusCode.UNIMPLEMENTED


def test_cancel_after_begin(stub):
    requests = Requests()
    call = stub.StreamingInputCall.future(iter(requests), timeout=20)
    call.cancel()
    requests.end()
    assert call.code() == grpc.StatusCode.CANCELLED


def test_cancel_after_first_response(stub):
    requests = Requests()
    call = stub.FullDuplexCall(iter(requests), timeout=20)
    requests.send(output(31415, 27182))
    assert len(next(call).payload.body) == 31415
    call.cancel()
    requests.end()
    assert failed(lambda: next(call))[0] == grpc.StatusCode.CANCELLED


def test_timeout_on_sleeping_server(stub):
    begun = time.monotonic()
    call = stub.FullDuplexCall(iter([output(31415, 27182, interval_us=30_000_000)]), timeout=0.2)
    assert failed(lambda: list(call))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begun < 10


def test_zz_both_servers_were_asked_and_the_log_says_how(proxy, servers):
    reached = [record["upstream"] for record in proxy.records() if record.get("upstream", {}).get("protocol")]
    assert {upstream["endpoint"] for upstream in reached} == {f"http://127.0.0.1:{server.port}" for server in servers}
    assert {(upstream["protocol"], upstream["protocol_reason"]) for upstream in reached} == {("h2c", "configured")}
