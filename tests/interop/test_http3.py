"""HTTP/3 upstreams by other hands: aioquic, and Caddy."""

import json
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from conftest import LOOPBACK, Authority, Proxy, free_port, wait_for

MIB = 1 << 20


def free_udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Aioquic:
    """The server, and what it says."""

    def __init__(self, authority, python):
        self.port = free_udp_port()
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name("http3_server.py"), str(self.port), authority.cert_file, authority.key_file],
            stdout=subprocess.PIPE, text=True,
        )
        assert self.hear() == {"ready": True}

    def hear(self):
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def upstream(directory):
    home = directory / "http3"
    home.mkdir()
    return Authority(home, "upstream.internal")


@pytest.fixture(scope="module")
def aioquic(upstream, started, python):
    server = Aioquic(upstream, python)
    started.append(server.process)
    return server


@pytest.fixture(scope="module")
def checked(upstream, started, python):
    """One more: checks have connections of their own."""
    server = Aioquic(upstream, python)
    started.append(server.process)
    return server


@pytest.fixture(scope="module")
def caddy(upstream, directory, started):
    program = Path(__file__).parents[2] / "target/tools/caddy/usr/bin/caddy"
    if not program.exists():
        pytest.skip("Caddy is installed by tests/run")
    port, home = free_port(), directory / "caddy"
    home.mkdir()
    (home / "large").write_bytes(b"x" * (20 * MIB))
    config = home / "Caddyfile"
    config.write_text(f"""{{
  admin off
  auto_https off
  skip_install_trust
}}
https://127.0.0.1:{port}, https://upstream.internal:{port} {{
  tls {upstream.cert_file} {upstream.key_file}
  root * {home}
  file_server
  handle /who {{
    respond "{{http.request.proto}} {{http.request.host}}"
  }}
}}
""")
    server = subprocess.Popen([program, "run", "--config", config, "--adapter", "caddyfile"],
                              env={"HOME": str(home), "XDG_DATA_HOME": str(home)}, stderr=subprocess.DEVNULL)
    started.append(server)
    wait_for(lambda: not udp_is_free(port), "caddy", server)
    return port


def udp_is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


HOSTS = ("app", "caddy", "unknown", "name", "nobody", "checked", "clear")


@pytest.fixture(scope="module")
def proxy(directory, upstream, aioquic, checked, caddy):
    front = Authority(directory, *(f"{host}.localhost" for host in HOSTS))
    named = {"ca_file": str(upstream.ca_file), "server_name": "upstream.internal"}
    route = {"authenticate": "none", "allow": LOOPBACK, "upstream_protocol": "http3"}
    to, to_checked = f"https://127.0.0.1:{aioquic.port}", f"https://127.0.0.1:{checked.port}"
    proxy = Proxy(directory, front, [
        {"from": "https://app.localhost:PORT", "to": to, "upstream_tls": named, **route},
        {"from": "https://caddy.localhost:PORT", "to": f"https://127.0.0.1:{caddy}", "host_rewrite": "upstream.internal",
         "upstream_tls": named, **route},
        {"from": "https://unknown.localhost:PORT", "to": to, "upstream_tls": {"server_name": "upstream.internal"}, **route},
        {"from": "https://name.localhost:PORT", "to": to, "upstream_tls": {"ca_file": str(upstream.ca_file)}, **route},
        {"from": "https://nobody.localhost:PORT", "to": f"https://127.0.0.1:{free_udp_port()}", "timeout": {"connect": "300ms"}, **route},
        {"from": "https://checked.localhost:PORT", "to": to_checked, "upstream_tls": named,
         "health_check": {"type": "http", "path": "/nothing-here", "interval": "200ms", "jitter": "off"}, **route},
        {"from": "https://clear.localhost:PORT", "to": to_checked, "upstream_tls": named,
         "health_check": {"type": "http", "path": "/echo", "interval": "200ms", "jitter": "off"}, **route},
    ])
    yield proxy
    proxy.stop()


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def client(proxy, request):
    with httpx.Client(verify=proxy.tls(), http2=request.param, timeout=30) as client:
        yield client


def url(proxy, host, path):
    return f"https://{host}.localhost:{proxy.port}{path}"


def test_a_request_and_its_answer(proxy, client):
    answer = client.post(url(proxy, "app", "/echo?a=b"), content=b"hello", headers={"x-forwarded-for": "192.0.2.1", "accept": "*/*"})
    seen = answer.json()
    assert (answer.status_code, seen["body"]) == (200, 5)
    headers = seen["headers"]
    assert (headers[":method"], headers[":scheme"], headers[":path"]) == ("POST", "https", "/echo?a=b")
    assert headers["x-forwarded-for"] == "127.0.0.1" and headers["x-request-id"]
    assert "host" not in headers and "connection" not in headers
    # Our own cookie is nobody's to set.
    assert answer.headers.get_list("set-cookie") == ["app=mine"]


def test_head_has_the_length_and_no_body(proxy, client):
    answer = client.head(url(proxy, "app", "/echo"))
    assert answer.status_code == 200 and int(answer.headers["content-length"]) > 0 and answer.content == b""


def test_large_bodies_both_ways(proxy, client):
    assert len(client.get(url(proxy, "app", f"/bytes?n={4 * MIB}")).content) == 4 * MIB
    assert client.post(url(proxy, "app", "/echo"), content=b"x" * (4 * MIB)).json()["body"] == 4 * MIB
    assert len(client.post(url(proxy, "app", "/mirror"), content=iter([b"x" * MIB] * 3)).content) == 3 * MIB


def test_an_answer_passes_before_the_request_has_ended(proxy):
    raw = proxy.tls().wrap_socket(socket.create_connection(("127.0.0.1", proxy.port)), server_hostname="app.localhost")
    with raw:
        raw.settimeout(20)
        raw.sendall(f"POST /early HTTP/1.1\r\nHost: app.localhost:{proxy.port}\r\nContent-Length: 6\r\n\r\none".encode())
        answer = b""
        while b"early" not in answer:
            answer += raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200 ")
        raw.sendall(b"two")


def test_hints_pass(proxy):
    raw = proxy.tls().wrap_socket(socket.create_connection(("127.0.0.1", proxy.port)), server_hostname="app.localhost")
    with raw:
        raw.settimeout(20)
        raw.sendall(f"GET /hints HTTP/1.1\r\nHost: app.localhost:{proxy.port}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_what_breaks_off_upstream_breaks_off_downstream(proxy, client):
    for path in ["/reset", "/length"]:
        with pytest.raises(httpx.RemoteProtocolError):
            answer = client.get(url(proxy, "app", path))
            # The head may not have been sent yet.
            if answer.status_code == 502:
                raise httpx.RemoteProtocolError("502")
    assert client.get(url(proxy, "app", "/close")).status_code == 502
    assert client.get(url(proxy, "app", "/echo")).status_code == 200


def test_many_requests_share_a_connection(proxy):
    with httpx.Client(verify=proxy.tls(), http2=True, timeout=30) as client:
        before = client.get(url(proxy, "app", "/echo")).json()["connections"]
        threads = [threading.Thread(target=client.get, args=[url(proxy, "app", "/echo")]) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get(url(proxy, "app", "/echo")).json()["connections"] == before


def test_a_client_that_leaves_stops_the_answer_soon(proxy, aioquic):
    with httpx.Client(verify=proxy.tls(), timeout=30) as client, client.stream("GET", url(proxy, "app", "/hold")) as answer:
        assert next(answer.iter_bytes()) == b"held"
        left = time.monotonic()
    # What other tests made it say is behind us; the last is what happened now.
    while (said := aioquic.hear()) != {"stopped": 0x10C}:
        assert "ready" not in said
    assert time.monotonic() - left < 2


def test_caddy_speaks_it(proxy, client):
    assert client.get(url(proxy, "caddy", "/who")).text == "HTTP/3.0 upstream.internal"
    answer = client.get(url(proxy, "caddy", "/large"))
    assert (answer.status_code, len(answer.content)) == (200, 20 * MIB)
    part = client.get(url(proxy, "caddy", "/large"), headers={"range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, b"xxxxx")
    assert client.get(url(proxy, "caddy", "/missing")).status_code == 404


def test_checks_go_over_it(proxy, client):
    assert client.get(url(proxy, "clear", "/echo")).status_code == 200
    wait_for(lambda: client.get(url(proxy, "checked", "/echo")).status_code == 503, "the endpoint to be unhealthy")


def test_operators_are_shown_that_it_is_spoken(proxy):
    upstreams = httpx.get(f"http://127.0.0.1:{proxy.admin}/upstreams").json()["upstreams"]
    assert {endpoint["protocol"] for upstream in upstreams for endpoint in upstream["endpoints"]} == {"h3"}


def test_failures_say_why_and_records_say_what_was_spoken(proxy):
    with httpx.Client(verify=proxy.tls(), timeout=30) as client:
        for host, code in [("unknown", "upstream_tls_error"), ("name", "upstream_tls_error"), ("nobody", "upstream_connect_error")]:
            answer = client.get(url(proxy, host, "/echo"), headers={"accept": "application/json"})
            assert (answer.status_code, answer.json()["error"]) == (502, code), answer.text
    records = proxy.records()
    errors = {record["host"].split(".")[0]: record["error"] for record in records if record.get("error")}
    assert errors["unknown"] == "upstream certificate: unknown issuer"
    assert errors["name"].startswith("upstream certificate: not valid for `127.0.0.1`; it is for `upstream.internal`")
    assert "no QUIC handshake within 300ms" in errors["nobody"] and "UDP" in errors["nobody"]
    spoken = {(record["upstream"]["protocol"], record["upstream"]["protocol_reason"]) for record in records if record.get("status") == 200}
    assert spoken == {("h3", "configured")}
