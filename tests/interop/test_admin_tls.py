"""The admin listener over TLS, with operators who show certificates that openssl made and curl shows."""

import http.client
import json
import subprocess
import urllib.request

import pytest
from conftest import BINARY, LOOPBACK, Authority, Proxy, free_port, wait_for
from test_mutual_tls import Clients


class OverTls(Proxy):
    """`admin` is the port of `admin.address` among the sections."""

    def is_ready(self, _):
        self.admin = json.loads(self.file.read_text())["admin"]["address"].rpartition(":")[2]
        url = f"https://127.0.0.1:{self.admin}/readyz"
        return urllib.request.urlopen(url, context=self.tls(), timeout=1).status == 200


@pytest.fixture
def operators(tmp_path):
    clients = Clients(tmp_path, "operators")
    clients.issue("ada")
    clients.publish(clients.directory / "operators.crl")
    return clients


@pytest.fixture
def proxy(tmp_path, operators):
    authority = Authority(tmp_path, "app.localhost", "127.0.0.1")
    route = {"from": "https://app.localhost:PORT", "respond": {"status": 200, "body": "here"}, "authenticate": "none",
             "allow": LOOPBACK}

    certificate = {"cert_file": str(authority.cert_file), "key_file": str(authority.key_file)}
    tls = {"certificates": [certificate], "client_auth": {
        "mode": "request", "ca_file": str(operators.ca), "crl_file": str(operators.directory / "operators.crl")}}
    admin = {"address": f"127.0.0.1:{free_port()}", "tls": tls}
    proxy = OverTls(tmp_path, authority, [route], admin=admin)
    yield proxy
    proxy.stop()


def curl(proxy, path, *more, name=None, host="127.0.0.1"):
    """Status and body; `name` is the operator whose certificate is shown."""
    command = ["curl", "--silent", "--max-time", "20", "--cacert", str(proxy.authority.ca_file), "--write-out", "\n%{http_code}",
               "--resolve", f"app.localhost:{proxy.admin}:127.0.0.1", f"https://{host}:{proxy.admin}{path}", *more]
    if name:
        command += ["--cert", str(proxy.directory / f"operators/{name}.pem"), "--key",
                    str(proxy.directory / f"operators/{name}.key")]
    body, _, status = subprocess.run(command, capture_output=True, text=True).stdout.rpartition("\n")
    return int(status), body


POST = ("-X", "POST", "-H", "Content-Type: application/json")


def test_an_operator_shows_a_certificate(proxy):
    assert curl(proxy, "/healthz") == (200, "ok\n")
    status, body = curl(proxy, "/config")
    assert (status, json.loads(body)["error"]) == (401, "certificate_required")
    for http in ("--http1.1", "--http2"):
        assert curl(proxy, "/config", http, name="ada")[0] == 200
        assert curl(proxy, "/config", http, name="ada", host="app.localhost")[0] == 200
        # A page in the operator's browser would bring the certificate with it.
        assert curl(proxy, "/config", http, "-H", "Host: evil.example", name="ada")[0] == 421
    assert curl(proxy, "/reload", *POST, name="ada")[0] == 200
    metrics = curl(proxy, "/metrics", name="ada")[1]
    for role in ("certificate", "authority"):
        assert f'portcullis_tls_certificate_not_after_seconds{{listener="admin",role="{role}"' in metrics
    assert 'portcullis_tls_revocation_list_next_update_seconds{listener="admin"' in metrics
    proxy.stop()
    lines = [line for file in (proxy.directory / "audit").glob("*.jsonl") for line in file.read_text().splitlines()]
    actors = [record["actor"] for record in map(json.loads, lines) if record["kind"] == "reload"]
    assert actors == ["admin at 127.0.0.1 by certificate of CN=ada,O=Example"]


def test_nobody_is_answered_in_clear_text_or_by_a_stranger(proxy, tmp_path):
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/healthz", timeout=20)
    strangers = Clients(tmp_path, "strangers")
    certificate, key = strangers.issue("mallory")
    for file in (certificate, key):
        (tmp_path / "operators" / file.name).write_bytes(file.read_bytes())
    assert curl(proxy, "/healthz", name="mallory")[0] == 0


def test_a_certificate_that_was_revoked_counts_no_more(proxy, operators):
    assert curl(proxy, "/config", name="ada")[0] == 200
    operators.revoke("ada")
    operators.publish(operators.directory / "operators.crl")
    wait_for(lambda: curl(proxy, "/config", name="ada")[0] == 0, "the list", proxy.process)


def test_the_command_line_shows_a_certificate(proxy):
    command = [BINARY, "sessions", "list", "--admin", f"127.0.0.1:{proxy.admin}", "--ca-file", proxy.authority.ca_file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "show a certificate" in done.stderr
    shown = ["--client-cert-file", proxy.directory / "operators/ada.pem", "--client-key-file",
             proxy.directory / "operators/ada.key"]
    done = subprocess.run([*command, *shown], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "nobody can sign in" in done.stderr
    other = subprocess.run([*command, *shown, "--server-name", "other.localhost"], capture_output=True, text=True, timeout=60)
    assert other.returncode == 2 and "certificate" in other.stderr
