"""Starts the real binary and real upstreams that are not ours; each on a port of its own, in a directory of its own."""

import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
import trustme

BINARY = os.environ.get("PORTCULLIS_BIN", pathlib.Path(__file__).parents[2] / "target/debug/portcullis")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
RESOLVE = socket.getaddrinfo
LOOPBACK = 'request.ip == "127.0.0.1"'


def resolve(host, *arguments, **named):
    """`*.localhost` is the loopback interface (RFC 6761 §6.3), also where the system's resolver does not know it."""
    host = host.decode() if isinstance(host, bytes) else host
    return RESOLVE("127.0.0.1" if host and host.endswith(".localhost") else host, *arguments, **named)


socket.getaddrinfo = resolve


def free_port():
    """A port that was free a moment ago: `from` URLs carry the port, so it must be known before the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, process=None):
    """Polls until `condition` returns something true."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"{what}: the process ended with {process.returncode}")
        try:
            if found := condition():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within 20 seconds")


def accepts(port):
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def start_nginx(home, port, servers, started):
    """nginx with `servers` (its own words) in `http`, everything it writes below `home`; `port` tells when it is up."""
    (home / "nginx.conf").write_text(f"""
        worker_processes 1;
        {"user root;" if os.geteuid() == 0 else ""}
        error_log {home}/error.log;
        pid {home}/pid;
        events {{ worker_connections 256; }}
        http {{
          access_log off;
          client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
          uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
          {servers}
        }}""")
    started.append(subprocess.Popen([NGINX, "-c", home / "nginx.conf", "-p", home, "-g", "daemon off;"]))
    wait_for(lambda: accepts(port), "nginx", started[-1])


class Authority:
    """A certificate authority with one leaf for the proxy."""

    def __init__(self, directory, *hosts):
        self.ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.cert_file, self.key_file = self.issue(directory, "leaf", *hosts)

    def issue(self, directory, name, *hosts):
        leaf = self.ca.issue_cert(*hosts)
        cert, key = directory / f"{name}.pem", directory / f"{name}.key"
        leaf.private_key_pem.write_to_path(key)
        cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return cert, key


class Portcullis:
    """The binary on a configuration file; `admin` is the port that says when it is ready."""

    def __init__(self, directory, file, admin):
        self.directory, self.file = directory, file
        self.log = directory / "portcullis.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [BINARY, "run", "--config", self.file], cwd=directory, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            wait_for(lambda: self.is_ready(admin), "portcullis", self.process)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()}") from None

    def is_ready(self, admin):
        return urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz", timeout=1).status == 200

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(40) == 0, self.log.read_text()

    def records(self):
        """One record for each request, with its outcome; stops the proxy, so that none is still on its way."""
        self.stop()
        requests = {}
        for segment in sorted((self.directory / "audit").glob("*.jsonl")):
            for record in map(json.loads, segment.open()):
                if record["kind"] == "request":
                    requests[record["id"]] = record
                elif record["kind"] == "outcome":
                    requests[record["id"]].update(record, kind="request")
        return list(requests.values())

    def decisions(self):
        """The records of what was decided, without those of how it ended."""
        return [record for record in self.records() if record.get("kind") == "request"]


class Proxy(Portcullis):
    """One https listener, with the routes given; `listener` and `tls` hold further keys of the listener's."""

    def __init__(self, directory, authority, routes, *, tls=(), listener=(), **sections):
        self.authority, self.port = authority, free_port()
        admin = self.admin = free_port()
        for route in routes:
            route["from"] = route["from"].replace("PORT", str(self.port))
        configuration = {
            "listeners": [{
                "address": f"127.0.0.1:{self.port}",
                "tls": {
                    "certificates": [{"cert_file": str(authority.cert_file), "key_file": str(authority.key_file)}],
                    **dict(tls),
                },
                **dict(listener),
            }],
            "admin": {"address": f"127.0.0.1:{admin}"},
            "routes": routes,
            **sections,
        }
        file = directory / "portcullis.yaml"
        file.write_text(json.dumps(configuration, indent=2))
        super().__init__(directory, file, admin)

    def tls(self):
        return ssl.create_default_context(cafile=str(self.authority.ca_file))


class Example(Portcullis):
    """A file of `config/`, with what a test has in place of what its reader would have."""

    def __init__(self, directory, name, port, replacements):
        self.port = port
        admin = free_port()
        text = (pathlib.Path(__file__).parents[2] / "config" / name).read_text()
        for old, new in replacements:
            assert old in text, f"config/{name} has no {old!r}"
            text = text.replace(old, new)
        file = directory / name
        file.write_text(f"{text}\nadmin: {{ address: 127.0.0.1:{admin} }}\n")
        super().__init__(directory, file, admin)


class Collector:
    """Takes OTLP over https as a collector does, and keeps what the official messages make of it."""

    def __init__(self, authority, **messages):
        self.exports, self.headers = {path: [] for path in messages}, []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                signal = self.path.rsplit("/", 1)[1]
                request, response = messages[signal]
                collector.exports[signal].append(request.FromString(body))
                collector.headers.append(self.headers)
                answer = response().SerializeToString()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert_file, authority.key_file)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self):
        return f"https://127.0.0.1:{self.server.server_port}/otlp"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def attributes(of):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("portcullis")


@pytest.fixture(scope="module")
def started():
    """Whatever is added ends with the module."""
    processes = []
    yield processes
    for process in reversed(processes):
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def python():
    return sys.executable


@pytest.fixture(scope="module")
def channel(proxy):
    """Opens a channel of grpcio to a host of the module's proxy, once."""
    import grpc  # Of all modules few need it.

    channels = {}

    def open_channel(host):
        if host not in channels:
            credentials = grpc.ssl_channel_credentials(proxy.authority.ca_file.read_bytes())
            channels[host] = grpc.secure_channel(f"127.0.0.1:{proxy.port}", credentials, options=[
                ("grpc.ssl_target_name_override", f"{host}.localhost"),
                ("grpc.default_authority", f"{host}.localhost:{proxy.port}"),
            ])
        return channels[host]

    yield open_channel
    for opened in channels.values():
        opened.close()
