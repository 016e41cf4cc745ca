"""Traces as the official messages of OTLP read them, and what an upstream is told of them."""

import http.server
import json
import threading
import urllib.request

import pytest
from conftest import LOOPBACK, Authority, Collector, Proxy, attributes, free_port, wait_for
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def upstream():
    """Answers with the headers that it got."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def traced(tmp_path, upstream):
    """A function that starts a proxy whose traces a collector takes; the first endpoint of its route is dead."""
    (tmp_path / "collector").mkdir()
    collector = Collector(
        Authority(tmp_path / "collector", "127.0.0.1"),
        traces=(trace_service_pb2.ExportTraceServiceRequest, trace_service_pb2.ExportTraceServiceResponse))
    running = []

    def start(listener=(), **traces):
        routes = [{"name": "echo", "from": "https://app.localhost:PORT", "authenticate": "none", "allow": LOOPBACK,
                   "to": [f"http://127.0.0.1:{free_port()}", f"http://127.0.0.1:{upstream}"]}]
        running.append(Proxy(tmp_path, Authority(tmp_path, "app.localhost"), routes, listener=listener, telemetry={
            "traces": {"url": collector.url, "ca_file": str(tmp_path / "collector/ca.pem"), **traces}}))
        return running[-1], collector

    yield start
    for one in running:
        one.stop()
    collector.close()


def get(proxy, **headers):
    request = urllib.request.Request(f"https://app.localhost:{proxy.port}/a?b=c", headers=headers)
    return json.load(urllib.request.urlopen(request, context=proxy.tls(), timeout=20))


def spans(collector):
    return [span for export in collector.exports["traces"] for resource in export.resource_spans
            for scope in resource.scope_spans for span in scope.spans]


def called(collector):
    return {"GET echo"} <= {span.name for span in spans(collector)} and spans(collector)


def test_a_request_is_a_trace_of_its_phases_and_attempts(traced):
    proxy, collector = traced()
    told = get(proxy, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
    found = wait_for(lambda: called(collector), "the trace", proxy.process)
    server = next(span for span in found if span.kind == Span.SPAN_KIND_SERVER)
    # The caller is a stranger: the trace begins here, and leads to the caller's.
    assert server.parent_span_id == b"" and server.trace_id.hex() != TRACE
    assert [(link.trace_id.hex(), link.span_id.hex(), link.trace_state) for link in server.links] == [
        (TRACE, PARENT, "vendor=1")]
    assert "tracestate" not in told
    facts = attributes(server)
    assert facts["url.path"] == "/a" and facts["server.address"] == "app.localhost"
    assert facts["http.request.method"] == "GET" and facts["http.response.status_code"] == 200
    assert facts["client.address"] == "127.0.0.1" and facts["portcullis.decision"] == "allow"
    assert not any("b=c" in str(value) for value in facts.values())
    below = [span for span in found if span.parent_span_id == server.span_id]
    assert len(below) == len(found) - 1 and {span.trace_id for span in found} == {server.trace_id}
    assert all(server.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
               <= server.end_time_unix_nano for span in below)
    assert [span.name for span in below if span.kind == Span.SPAN_KIND_INTERNAL] == ["authenticate", "policy", "audit"]
    attempts = [span for span in below if span.kind == Span.SPAN_KIND_CLIENT]
    failed, answered = attempts if len(attempts) == 2 else (None, *attempts)
    if failed:
        assert failed.status.code == Status.STATUS_CODE_ERROR and attributes(failed)["error.type"] == "connect"
        assert attributes(answered)["http.request.resend_count"] == 1
    assert attributes(answered)["http.response.status_code"] == 200
    # The upstream is called by the span of the attempt that it answers.
    assert told["traceparent"] == f"00-{server.trace_id.hex()}-{answered.span_id.hex()}-01"
    record = next(record for record in proxy.decisions() if record["path"] == "/a")
    assert record["trace_id"] == server.trace_id.hex()


def test_a_proxy_that_is_trusted_has_its_trace_continued_and_decides_whether_it_is_sampled(traced):
    proxy, collector = traced(listener={"trusted_proxies": ["127.0.0.1"]}, sample=0)
    told = get(proxy, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
    assert told["traceparent"].startswith(f"00-{TRACE}-") and told["traceparent"].endswith("-01")
    assert told["tracestate"] == "vendor=1"
    found = wait_for(lambda: called(collector), "the trace", proxy.process)
    server = next(span for span in found if span.kind == Span.SPAN_KIND_SERVER)
    assert (server.trace_id.hex(), server.parent_span_id.hex(), list(server.links)) == (TRACE, PARENT, [])
    count = len(found)
    # Neither sampled by the caller, nor by us.
    assert get(proxy, traceparent=f"00-{TRACE}-{PARENT}-00")["traceparent"].endswith("-00")
    assert get(proxy)["traceparent"].endswith("-00")
    proxy.stop()
    assert len(spans(collector)) == count


def test_requests_that_are_not_traced_pass_as_they_are(tmp_path, upstream):
    routes = [{"from": "https://app.localhost:PORT", "to": f"http://127.0.0.1:{upstream}", "authenticate": "none",
               "allow": LOOPBACK}]
    proxy = Proxy(tmp_path, Authority(tmp_path, "app.localhost"), routes)
    told = get(proxy, traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="vendor=1")
    assert (told["traceparent"], told["tracestate"]) == (f"00-{TRACE}-{PARENT}-01", "vendor=1")
    assert "trace_id" not in proxy.decisions()[0]
