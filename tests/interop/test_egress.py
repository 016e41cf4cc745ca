"""`config/egress.yaml`: apps inside call by plain http, or show a certificate; APIs outside get a token or a key, over TLS."""

import base64
import concurrent.futures
import http.server
import itertools
import json
import ssl
import threading
import time
import urllib.parse

import httpx
import pytest
from conftest import Authority, Example, free_port, wait_for

SECRET, KEY = "the-secret-of-the-client", "the-key-of-payments"


class Api:
    """A token endpoint, the API that takes its tokens while they last, and one that takes a key; all of one https server."""

    def __init__(self, authority):
        self.lifetime, self.given, self.valid, self.calls = 3600, itertools.count(1), {}, []
        self.flaky = self.refused = 0
        self.lock = threading.Lock()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(*api.answer(self.headers))

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                self.answer(*(api.token(self.headers, body) if self.path == "/oauth2/token" else api.answer(self.headers)))

            def answer(self, status, body):
                body = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert_file, authority.key_file)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, headers, body):
        client = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
        form = urllib.parse.parse_qs(body.decode())
        if client != f"portcullis:{SECRET}" or form != {"grant_type": ["client_credentials"], "scope": ["orders.read"]}:
            return 401, {"error": "invalid_client"}
        with self.lock:
            token = f"token-{next(self.given)}"
            self.valid[token] = time.monotonic() + self.lifetime
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}

    def answer(self, headers):
        with self.lock:
            self.calls.append({name.lower(): value for name, value in headers.items()})
            if self.flaky:
                self.flaky -= 1
                return 503, {}
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if headers.get("x-api-key") == KEY or self.valid.get(token, 0) > time.monotonic():
            return 200, {"token": token}
        self.refused += 1
        return 401, {}

    def tokens(self):
        return len(self.valid)


@pytest.fixture
def api(tmp_path):
    api = Api(Authority(tmp_path, "api.localhost", "payments.localhost"))
    yield api
    api.server.shutdown()


@pytest.fixture
def proxy(tmp_path, api, monkeypatch):
    certs = tmp_path / "certs"
    certs.mkdir()
    front, clients = Authority(certs, "payments.internal"), Authority(tmp_path / "certs", "billing.internal")
    front.ca.cert_pem.write_to_path(certs / "front-ca.pem")
    clients.ca.cert_pem.write_to_path(certs / "clients-ca.pem")
    cert, key = front.issue(certs, "wildcard", "payments.internal")
    monkeypatch.setenv("API_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("PAYMENTS_KEY", KEY)
    plain, tls = free_port(), free_port()
    private = f"upstream_tls: {{ ca_file: {tmp_path}/ca.pem }}"
    proxy = Example(tmp_path, "egress.yaml", plain, [
        ("0.0.0.0:8080", f"127.0.0.1:{plain}"),
        ("0.0.0.0:8443", f"127.0.0.1:{tls}"),
        ("10.20.0.0/16", "127.0.0.1/32"),
        ("https://api.example.com", f"https://api.localhost:{api.port}"),
        ("https://payments.example.com", f"https://payments.localhost:{api.port}"),
        ("https://idp.example.com/oauth2/token", f"https://api.localhost:{api.port}/oauth2/token\n        ca_file: {tmp_path}/ca.pem"),
        ("  identity: false\n", f"  identity: false\n  {private}\n"),
    ])
    proxy.tls_port, proxy.clients, proxy.certs = tls, clients, certs
    yield proxy
    proxy.stop()


def call(proxy, path="/orders", **headers):
    return httpx.get(f"http://127.0.0.1:{proxy.port}{path}", headers={"host": "api.internal", **headers}, timeout=20)


def pay(proxy, certificate=None):
    """Calls https://payments.internal, with a certificate or without."""
    context = ssl.create_default_context(cafile=str(proxy.certs / "front-ca.pem"))
    if certificate:
        context.load_cert_chain(*certificate)
    with httpx.Client(verify=context, timeout=20) as client:
        url = f"https://127.0.0.1:{proxy.tls_port}/charges"
        return client.get(url, headers={"host": "payments.internal"}, extensions={"sni_hostname": "payments.internal"})


def test_ten_callers_at_once_make_one_token_request(proxy, api):
    with concurrent.futures.ThreadPoolExecutor(10) as callers:
        answers = list(callers.map(lambda _: call(proxy, authorization="Bearer of-the-app"), range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["token"] for answer in answers} == {"token-1"} and api.tokens() == 1
    assert all("x-portcullis-jwt-assertion" not in seen for seen in api.calls)
    records = proxy.records()
    assert {(record["route"], record["decision"], record["client_ip"], record["status"]) for record in records} == {
        ("api", "allow", "127.0.0.1", 200)}
    assert SECRET not in proxy.log.read_text() and "token-1" not in proxy.log.read_text() + json.dumps(records)


def test_a_token_is_renewed_where_it_is_refused_and_before_it_ends(proxy, api):
    assert call(proxy).json()["token"] == "token-1"
    api.valid["token-1"] = 0
    assert call(proxy).json()["token"] == "token-2", "refused, renewed and sent again"
    api.lifetime, api.valid["token-2"] = 10, 0
    assert call(proxy).json()["token"] == "token-3"
    # After four fifths of its life a call brings the next, and none of them sees a 401.
    refused = api.refused
    wait_for(lambda: call(proxy).json()["token"] != "token-3", "the token is renewed before its end")
    assert api.valid["token-3"] > time.monotonic(), "it would still have been good"
    assert api.refused == refused


def test_a_failing_api_is_asked_again(proxy, api):
    api.flaky = 1
    assert call(proxy).status_code == 200
    [record] = proxy.records()
    assert record["upstream"]["attempts"] == 2


def test_who_may_call_is_decided_by_certificate(proxy, api):
    certs, clients = proxy.certs, proxy.clients
    assert pay(proxy, clients.issue(certs, "billing", "billing.internal")).status_code == 200
    assert api.calls[-1]["x-api-key"] == KEY and api.calls[-1]["host"] == f"payments.localhost:{api.port}"
    assert pay(proxy, clients.issue(certs, "other", "other.internal")).status_code == 403
    assert pay(proxy).status_code == 403
    stranger = Authority(certs, "billing.internal")
    with pytest.raises(httpx.TransportError):
        pay(proxy, stranger.issue(certs, "stranger", "billing.internal"))
    assert len(api.calls) == 1
    records = proxy.records()
    assert [record["decision"] for record in records] == ["allow", "deny", "deny"]
    assert records[0]["tls"]["client_certificate"]["fingerprint_sha256"]
    assert KEY not in json.dumps(records) + proxy.log.read_text()


def test_an_address_that_is_no_apps_is_refused(proxy, api):
    # Loopback has many addresses, and 127.0.0.2 is not in the network of the apps.
    transport = httpx.HTTPTransport(local_address="127.0.0.2")
    with httpx.Client(transport=transport) as client:
        answer = client.get(f"http://127.0.0.1:{proxy.port}/orders", headers={"host": "api.internal"})
    assert answer.status_code == 403 and not api.calls and not api.tokens()
