"""httpbin behind gunicorn, which ends TLS with a private authority's certificate and asks for one of ours."""

import subprocess

import httpx
import pytest
from conftest import LOOPBACK, Authority, Proxy, accepts, free_port, wait_for


@pytest.fixture(scope="module")
def upstream(directory):
    return Authority(directory, "billing.internal")


def gunicorn(upstream, started, python, *arguments):
    port = free_port()
    command = [python, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--log-level", "warning",
               "--certfile", upstream.cert_file, "--keyfile", upstream.key_file, *arguments, "httpbin:app"]
    started.append(subprocess.Popen(command))
    wait_for(lambda: accepts(port), "gunicorn", started[-1])
    return port


@pytest.fixture(scope="module")
def proxy(directory, upstream, started, python):
    plain = gunicorn(upstream, started, python)
    # 2 is `ssl.CERT_REQUIRED`: whoever shows no certificate of the authority gets no further than the handshake.
    mutual = gunicorn(upstream, started, python, "--ca-certs", upstream.ca_file, "--cert-reqs", "2")
    (directory / "front").mkdir()
    (directory / "stranger").mkdir()
    cert, key = upstream.issue(directory, "portcullis", "portcullis.internal")
    other = Authority(directory / "stranger", "portcullis.internal")
    known = {"ca_file": str(upstream.ca_file), "server_name": "billing.internal"}
    ours = {"client_cert_file": str(cert), "client_key_file": str(key)}
    routes = {
        "good": (plain, known),
        "mutual": (mutual, {**known, **ours}),
        "no-authority": (plain, {"server_name": "billing.internal"}),
        "other-authority": (plain, {**known, "ca_file": str(other.ca_file)}),
        "other-name": (plain, {**known, "server_name": "payroll.internal"}),
        "no-certificate": (mutual, known),
        "other-certificate": (mutual, {**known, "client_cert_file": str(other.cert_file), "client_key_file": str(other.key_file)}),
    }
    front = Authority(directory / "front", *(f"{name}.localhost" for name in routes))
    proxy = Proxy(directory, front, [
        {"name": name, "from": f"https://{name}.localhost:PORT", "to": f"https://127.0.0.1:{port}", "upstream_tls": tls,
         "authenticate": "none", "allow": LOOPBACK}
        for name, (port, tls) in routes.items()
    ])
    yield proxy
    proxy.stop()


def ask(proxy, name, path="/headers"):
    with httpx.Client(verify=proxy.tls(), timeout=20) as client:
        return client.get(f"https://{name}.localhost:{proxy.port}{path}", headers={"accept": "application/json"})


@pytest.mark.parametrize("name", ["good", "mutual"])
def test_an_upstream_of_a_private_authority_is_verified_and_answers(proxy, name):
    answer = ask(proxy, name)
    assert answer.status_code == 200 and answer.json()["headers"]["Host"].startswith("127.0.0.1")
    assert len(ask(proxy, name, "/stream-bytes/100000?chunk_size=1000").content) == 100_000


REFUSED = {
    "no-authority": "upstream certificate: unknown issuer",
    "other-authority": "upstream certificate: unknown issuer",
    "other-name": "upstream certificate: not valid for `payroll.internal`; it is for `billing.internal`",
    "no-certificate": "upstream refused the handshake: alert CertificateRequired",
    "other-certificate": "upstream refused the handshake: alert UnknownCA",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_verified_fails_closed(proxy, name):
    answer = ask(proxy, name)
    assert answer.status_code == 502 and answer.json()["error"] == "upstream_tls_error"
    # Which certificate an upstream has is nothing that callers are told.
    assert "certificate" not in answer.text.lower() and "issuer" not in answer.text.lower()


def test_zz_the_log_and_the_audit_record_name_the_exact_reason(proxy):
    records = {record["route"]: record for record in proxy.records()}
    for name, reason in REFUSED.items():
        assert records[name]["error"] == reason, name
        assert records[name]["upstream"]["endpoint"].startswith("https://127.0.0.1:"), name
        assert reason in proxy.log.read_text(), name
    assert {records[name]["upstream"]["protocol_reason"] for name in ("good", "mutual")} == {"alpn"}
