"""TLS connections that pass undecrypted to nginx, which has a certificate of its own; and to PostgreSQL's kind of client."""

import os
import socket
import ssl
import subprocess

import pytest
from conftest import LOOPBACK, Authority, Proxy, free_port, start_nginx



@pytest.fixture
def nginx(tmp_path, started):
    home = tmp_path / "nginx"
    home.mkdir()
    authority, port = Authority(home, "app.localhost"), free_port()
    (home / "large").write_bytes(os.urandom(1 << 20) * 32)
    start_nginx(home, port, f"""
        server {{
          listen 127.0.0.1:{port} ssl http2;
          ssl_certificate {authority.cert_file};
          ssl_certificate_key {authority.key_file};
          root {home};
          location /who {{ default_type text/plain; return 200 "$ssl_server_name $server_protocol"; }}
        }}""", started)
    return authority, port, home


@pytest.fixture
def proxy(tmp_path, nginx):
    _, port, _ = nginx
    home = tmp_path / "proxy"
    home.mkdir()
    listen = free_port()
    # The first endpoint is away: every other connection begins there.
    routes = [
        {"name": "app", "from": "tls://app.localhost", "to": [f"tcp://127.0.0.1:{free_port()}", f"tcp://127.0.0.1:{port}"],
         "allow": LOOPBACK},
        {"name": "closed", "from": "tls://closed.localhost", "to": f"tcp://127.0.0.1:{port}", "allow": 'request.ip == "192.0.2.1"'},
    ]
    listeners = [{"name": "pass", "address": f"127.0.0.1:{listen}", "protocol": "tls"}]
    proxy = Proxy(home, Authority(home, "unused.localhost"), routes, listeners=listeners)
    proxy.port = listen
    yield proxy
    proxy.stop()


def curl(proxy, authority, path, *arguments):
    command = ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", str(authority.ca_file),
               "--resolve", f"app.localhost:{proxy.port}:127.0.0.1", f"https://app.localhost:{proxy.port}{path}"]
    return subprocess.run([*command, *arguments], capture_output=True, check=True).stdout


def test_the_certificate_and_the_protocol_are_the_upstreams(proxy, nginx):
    authority, _, home = nginx
    assert curl(proxy, authority, "/who") == b"app.localhost HTTP/2.0"
    assert curl(proxy, authority, "/who", "--http1.1") == b"app.localhost HTTP/1.1"
    assert curl(proxy, authority, "/large") == (home / "large").read_bytes()
    records = proxy.records()
    assert {record["route"] for record in records if record.get("route")} == {"app"}
    assert max(record.get("bytes_out", 0) for record in records) > 32 << 20


def test_whoever_is_refused_is_told_why_in_tls(proxy):
    for name, alert in [("closed.localhost", "ACCESS_DENIED"), ("other.localhost", "UNRECOGNIZED_NAME"), (None, "UNRECOGNIZED_NAME")]:
        context = ssl.create_default_context()
        context.check_hostname = False
        with pytest.raises(ssl.SSLError) as refused, socket.create_connection(("127.0.0.1", proxy.port)) as stream:
            context.wrap_socket(stream, server_hostname=name)
        assert alert in str(refused.value).upper().replace(" ", "_"), name
    reasons = [record["reason"] for record in proxy.decisions()]
    assert reasons == ["no-policy-matched", "no-route", "server-name-missing"]
