"""The client's address behind nginx and HAProxy, as the audit record has it."""

import contextlib
import shutil
import socket
import subprocess
import urllib.request

import pytest
from conftest import Authority, Proxy, accepts, free_port, start_nginx, wait_for

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
# All of loopback is ours: a client, two balancers and a stranger have an address each.
CLIENT, HTTP_PROXY, BALANCER = "127.0.0.9", "127.0.0.2", "127.0.0.3"


class Deployment:
    """One proxy with a listener for each way in, nginx and HAProxy in front of some of them."""

    def __init__(self, directory, started):
        self.directory = directory
        names = ["direct", "http", "standard", "single", "balanced", "mixed", "v6"]
        self.ports = {name: free_port() for name in names}
        authority = Authority(directory, "app.localhost")
        tls = {"certificates": [{"cert_file": str(authority.cert_file), "key_file": str(authority.key_file)}]}
        keys = {
            "direct": {"address": "127.0.0.1"},
            "http": {"trusted_proxies": [f"{HTTP_PROXY}/32"]},
            "standard": {"trusted_proxies": [f"{HTTP_PROXY}/32"], "forwarded_header": "forwarded"},
            "single": {"trusted_proxies": [f"{HTTP_PROXY}/32"], "forwarded_header": "x-real-ip"},
            "balanced": {"trusted_proxies": [f"{BALANCER}/32"], "proxy_protocol": "require", "tls": tls},
            "mixed": {"trusted_proxies": [f"::ffff:{BALANCER}/128"], "proxy_protocol": "accept", "address": "[::]"},
            "v6": {"address": "[::]"},
        }
        listeners = [{"name": name, **more, "address": f"{more.get('address', '127.0.0.1')}:{self.ports[name]}"}
                     for name, more in keys.items()]
        rule = {"to": "http://127.0.0.1:1", "authenticate": "none", "allow": "true"}
        routes = [{"name": scheme, "from": f"{scheme}://app.localhost", **rule} for scheme in ["http", "https"]]
        self.proxy = Proxy(directory, authority, routes, listeners=listeners)
        self.nginx = {name: free_port() for name in ["http", "standard", "single"]}
        self.haproxy = {name: free_port() for name in ["balanced", "mixed"]}
        self.start_nginx(started)
        self.start_haproxy(started)

    def start_nginx(self, started):
        home = self.directory / "nginx"
        home.mkdir()
        headers = {
            "http": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
            "standard": 'proxy_set_header Forwarded "for=$remote_addr;proto=http";',
            "single": "proxy_set_header X-Real-IP $remote_addr;",
        }
        servers = "\n".join(f"""
            server {{
              listen 127.0.0.1:{port};
              location / {{
                proxy_pass http://127.0.0.1:{self.ports[name]};
                proxy_bind {HTTP_PROXY};
                proxy_set_header Host app.localhost;
                {headers[name]}
              }}
            }}""" for name, port in self.nginx.items())
        start_nginx(home, self.nginx["http"], servers, started)

    def start_haproxy(self, started):
        configuration = f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen balanced
  bind 127.0.0.1:{self.haproxy["balanced"]}
  source {BALANCER}
  server proxy 127.0.0.1:{self.ports["balanced"]} send-proxy-v2
listen mixed
  bind 127.0.0.1:{self.haproxy["mixed"]}
  source {BALANCER}
  server proxy 127.0.0.1:{self.ports["mixed"]} send-proxy
"""
        (self.directory / "haproxy.cfg").write_text(configuration)
        started.append(subprocess.Popen([HAPROXY, "-f", self.directory / "haproxy.cfg", "-db"]))
        wait_for(lambda: accepts(self.haproxy["balanced"]), "haproxy", started[-1])

    def get(self, name, port, *arguments, source=CLIENT, scheme="http", to="127.0.0.1"):
        """Asks for a path that names the case. Nothing listens upstream, so 502 is what who is let in gets."""
        command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10",
                   "--cacert", str(self.proxy.authority.ca_file), "--resolve", f"app.localhost:{port}:{to}",
                   f"{scheme}://app.localhost:{port}/{name}", *arguments]
        if source:
            command += ["--interface", source]
        return int(subprocess.run(command, capture_output=True, text=True).stdout)


@pytest.fixture(scope="module")
def deployment(directory, started):
    deployment = Deployment(directory, started)
    yield deployment
    deployment.proxy.stop()


def test_every_way_in_yields_the_client_and_nothing_else(deployment):
    spoofed = ["-H", "X-Forwarded-For: 6.6.6.6", "-H", "X-Real-IP: 6.6.6.6"]
    direct, nginx, haproxy = deployment.ports, deployment.nginx, deployment.haproxy
    asked = {
        "direct": deployment.get("direct", direct["direct"], *spoofed),
        "around-nginx": deployment.get("around-nginx", direct["http"], *spoofed),
        "nginx": deployment.get("nginx", nginx["http"]),
        "nginx-spoofed": deployment.get("nginx-spoofed", nginx["http"], *spoofed),
        "standard": deployment.get("standard", nginx["standard"], "-H", "Forwarded: for=6.6.6.6"),
        "single": deployment.get("single", nginx["single"], "-H", "X-Real-IP: 6.6.6.6"),
        "haproxy": deployment.get("haproxy", haproxy["balanced"], *spoofed, scheme="https"),
        "haproxy-text": deployment.get("haproxy-text", haproxy["mixed"], *spoofed),
        "mixed-direct": deployment.get("mixed-direct", direct["mixed"], *spoofed),
        "mapped": deployment.get("mapped", direct["v6"], *spoofed),
        "v6": deployment.get("v6", direct["v6"], *spoofed, source=None, to="[::1]"),
    }
    assert asked == dict.fromkeys(asked, 502)
    # Around the balancer nobody comes in, with or without a header of his own.
    assert deployment.get("around-haproxy", direct["balanced"], scheme="https") == 0
    with socket.create_connection(("127.0.0.1", direct["balanced"])) as stranger:
        stranger.sendall(b"PROXY TCP4 6.6.6.6 127.0.0.1 1 2\r\n")
        stranger.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert stranger.recv(1) == b""
    # Unknown to the proxy is unknown to us.
    assert deployment.get("unknown", direct["http"], "-H", "X-Forwarded-For: unknown", source=HTTP_PROXY) == 400

    with urllib.request.urlopen(f"http://127.0.0.1:{deployment.proxy.admin}/metrics") as metrics:
        text = metrics.read().decode()
    assert 'portcullis_proxy_headers_refused_total{listener="balanced"} 2' in text
    # `direct` and `v6` trust nobody, and loopback is private: somebody in front may have been forgotten.
    assert 'portcullis_client_addresses_lost_total{listener="direct"} 1' in text
    assert "`trusted_proxies` is empty" in deployment.proxy.log.read_text()

    found = {record["path"][1:]: (record.get("client_ip"), record["peer_ip"], record.get("client_ip_source"))
             for record in deployment.proxy.decisions()}
    assert found == {
        "direct": (CLIENT, CLIENT, "peer"),
        "around-nginx": (CLIENT, CLIENT, "peer"),
        "nginx": (CLIENT, HTTP_PROXY, "x-forwarded-for"),
        "nginx-spoofed": (CLIENT, HTTP_PROXY, "x-forwarded-for"),
        "standard": (CLIENT, HTTP_PROXY, "forwarded"),
        "single": (CLIENT, HTTP_PROXY, "header"),
        "haproxy": (CLIENT, BALANCER, "proxy_protocol"),
        "haproxy-text": (CLIENT, BALANCER, "proxy_protocol"),
        "mixed-direct": (CLIENT, CLIENT, "peer"),
        "mapped": (CLIENT, CLIENT, "peer"),
        "v6": ("::1", "::1", "peer"),
        "unknown": (None, HTTP_PROXY, None),
    }
