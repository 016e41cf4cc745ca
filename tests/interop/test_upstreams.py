"""Upstreams and clients that are not ours: httpbin, nginx behind TLS with a private authority, a WebSocket server."""

import asyncio
import os
import subprocess

import httpx
import pytest
import websockets
from conftest import LOOPBACK, Authority, Proxy, accepts, free_port, start_nginx, wait_for
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve



@pytest.fixture(scope="module")
def httpbin(started, python):
    port = free_port()
    started.append(subprocess.Popen([python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "8", "--log-level", "warning", "httpbin:app"]))
    wait_for(lambda: accepts(port), "httpbin", started[-1])
    return port


@pytest.fixture(scope="module")
def nginx(directory, started):
    home = directory / "nginx"
    home.mkdir()
    authority = Authority(home, "upstream.internal")
    port = free_port()
    (home / "index.html").write_text("from nginx\n")
    start_nginx(home, port, f"""
        server {{
          listen 127.0.0.1:{port} ssl http2;
          server_name upstream.internal;
          ssl_certificate {authority.cert_file};
          ssl_certificate_key {authority.key_file};
          ssl_client_certificate {authority.ca_file};
          ssl_verify_client optional;
          root {home};
          location /who {{ default_type text/plain; return 200 "$ssl_client_verify $host $server_protocol"; }}
        }}""", started)
    return port, authority, home


@pytest.fixture(scope="module")
def proxy(directory, httpbin, nginx, echo):
    port, authority, home = nginx
    client_cert, client_key = authority.issue(home, "client", "portcullis")
    front = Authority(directory, *(f"{host}.localhost" for host in ("bin", "nginx", "h1", "mutual", "unknown", "name", "ws", "away")))
    named = {"ca_file": str(authority.ca_file), "server_name": "upstream.internal"}
    route = {"authenticate": "none", "allow": LOOPBACK}
    proxy = Proxy(directory, front, [
        {"from": "https://bin.localhost:PORT", "to": f"http://127.0.0.1:{httpbin}", "preserve_host": True, **route},
        {"from": "https://nginx.localhost:PORT", "to": f"https://127.0.0.1:{port}", "upstream_tls": named, **route},
        {"from": "https://h1.localhost:PORT", "to": f"https://127.0.0.1:{port}", "upstream_protocol": "http1",
         "host_rewrite": "rewritten.internal", "upstream_tls": named, **route},
        {"from": "https://mutual.localhost:PORT", "to": f"https://127.0.0.1:{port}",
         "upstream_tls": {**named, "client_cert_file": str(client_cert), "client_key_file": str(client_key)}, **route},
        {"from": "https://unknown.localhost:PORT", "to": f"https://127.0.0.1:{port}", "upstream_tls": {"server_name": "upstream.internal"}, **route},
        {"from": "https://name.localhost:PORT", "to": f"https://127.0.0.1:{port}", "upstream_tls": {"ca_file": str(authority.ca_file)}, **route},
        {"from": "https://ws.localhost:PORT", "to": f"http://127.0.0.1:{echo}", "websockets": "any", **route},
        {"from": "https://away.localhost:PORT", "to": "http://127.0.0.1:1", **route},
    ])
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def echo():
    """A WebSocket server in a thread of its own."""
    import threading
    ready, loop, port = threading.Event(), asyncio.new_event_loop(), []

    async def main():
        async def handler(socket):
            async for message in socket:
                await socket.send(message)

        async with serve(handler, "127.0.0.1", 0, max_size=None, subprotocols=["chat"]) as server:
            port.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert ready.wait(10)
    yield port[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture(params=[False, True], ids=["http/1.1", "h2"])
def client(request, proxy):
    with httpx.Client(verify=proxy.tls(), http2=request.param, timeout=20) as client:
        yield client


def url(proxy, host, path="/"):
    return f"https://{host}.localhost:{proxy.port}{path}"


def test_httpbin_sees_the_request_as_it_was_made(proxy, client):
    answer = client.post(url(proxy, "bin", "/anything/a%20b?q=1&q=2"), json={"hello": "wörld"}, headers={"X-Own": "1"}).json()
    assert answer["method"] == "POST" and answer["json"] == {"hello": "wörld"} and answer["args"] == {"q": ["1", "2"]}
    headers = answer["headers"]
    assert headers["X-Own"] == "1" and headers["Host"] == f"bin.localhost:{proxy.port}"
    # httpbin hides X-Forwarded-* and reports what they say instead.
    assert answer["origin"] == "127.0.0.1" and answer["url"].startswith("https://")


def test_httpbin_answers_pass_unchanged(proxy, client):
    for status in (200, 204, 304, 404, 418, 500):
        assert client.get(url(proxy, "bin", f"/status/{status}")).status_code == status
    assert client.get(url(proxy, "bin", "/gzip")).json()["gzipped"]
    assert client.get(url(proxy, "bin", "/redirect-to?url=/x"), follow_redirects=False).headers["location"] == "/x"
    assert client.head(url(proxy, "bin", "/bytes/100")).headers["content-length"] == "100"
    assert len(client.get(url(proxy, "bin", "/stream-bytes/65536?chunk_size=1000")).content) == 65_536
    assert client.get(url(proxy, "bin", "/range/1000"), headers={"Range": "bytes=10-19"}).status_code == 206
    client.get(url(proxy, "bin", "/cookies/set?a=b"), follow_redirects=False)
    assert client.get(url(proxy, "bin", "/cookies")).json()["cookies"] == {"a": "b"}


def test_large_bodies_pass_both_ways(proxy, client):
    body = os.urandom(4_000_000)
    answer = client.put(url(proxy, "bin", "/anything"), content=(body[at:at + 100_000] for at in range(0, len(body), 100_000)))
    assert answer.status_code == 200 and len(answer.content) > len(body)


@pytest.mark.parametrize(("host", "expected"), [
    ("nginx", "NONE 127.0.0.1 HTTP/2.0"), ("h1", "NONE rewritten.internal HTTP/1.1"), ("mutual", "SUCCESS 127.0.0.1 HTTP/2.0"),
])
def test_nginx_behind_tls_is_verified_and_told_who_asks(proxy, client, host, expected):
    assert client.get(url(proxy, host, "/who")).text == expected
    assert client.get(url(proxy, host, "/index.html")).text == "from nginx\n"


@pytest.mark.parametrize(("host", "reason"), [("unknown", "unknown issuer"), ("name", "not valid for `127.0.0.1`")])
def test_nginx_with_the_wrong_certificate_is_refused(proxy, client, host, reason):
    answer = client.get(url(proxy, host, "/index.html"), headers={"accept": "application/json"})
    assert answer.status_code == 502 and answer.json()["error"] == "upstream_tls_error"
    assert reason not in answer.text.lower()
    assert reason in proxy.log.read_text().lower()


def test_an_upstream_that_is_down_is_named_in_the_log_only(proxy, client):
    answer = client.get(url(proxy, "away"), headers={"accept": "application/json"})
    assert answer.status_code == 502 and answer.json()["error"] == "upstream_connect_error"
    assert answer.json()["request_id"] in proxy.log.read_text()


def test_a_websocket_echoes_text_binary_and_large_messages(proxy):
    async def run():
        async with connect(url(proxy, "ws").replace("https", "wss"), ssl=proxy.tls(), subprotocols=["chat"], max_size=None) as socket:
            assert socket.subprotocol == "chat"
            for message in ("hello", b"\x00\xff", "x" * 1_000_000):
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
            await socket.close(4000, "done")
            assert socket.close_code == 4000

    asyncio.run(run())


def test_a_plain_request_to_a_websocket_server_is_its_own_answer(proxy, client):
    assert client.get(url(proxy, "ws")).status_code == 426


def test_a_websocket_to_an_app_without_them_is_not_opened(proxy):
    async def run():
        with pytest.raises(websockets.exceptions.InvalidStatus) as error:
            await connect(url(proxy, "nginx", "/index.html").replace("https", "wss"), ssl=proxy.tls())
        assert error.value.response.status_code != 101

    asyncio.run(run())


def test_zz_every_request_is_in_the_audit_log_with_its_upstream(proxy):
    records = proxy.records()
    assert {record["upstream"]["protocol_reason"] for record in records if record["status"] < 400 and "upstream" in record} == {"configured", "alpn"}
    for record in records:
        assert record["kind"] == "request" and record["client_ip"] == "127.0.0.1" and record["revision"]
    assert len({record["id"] for record in records}) == len(records)
    large = next(record for record in records if record["method"] == "PUT")
    assert large["bytes_in"] == 4_000_000 and large["bytes_out"] > 4_000_000
    assert any(record["status"] == 101 for record in records)
