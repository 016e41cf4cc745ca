"""Client certificates as openssl makes them and curl shows them, with authorities and lists that change meanwhile."""

import subprocess

import pytest

from conftest import LOOPBACK, Authority, Proxy, wait_for

CA_CONFIG = """
[ca]
default_ca = clients
[clients]
database = index.txt
crlnumber = crlnumber
default_md = sha256
default_crl_days = 30
"""


class Clients:
    """An authority that openssl keeps: it issues, revokes and publishes."""

    def __init__(self, directory, name):
        self.directory = directory / name
        self.directory.mkdir()
        (self.directory / "ca.cnf").write_text(CA_CONFIG)
        (self.directory / "index.txt").touch()
        (self.directory / "crlnumber").write_text("01\n")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/O=Example/CN={name}")
        self.ca = self.directory / "ca.pem"

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.directory, check=True, capture_output=True)

    def issue(self, name, *, organisation="Example"):
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key",
                     "-out", f"{name}.csr", "-subj", f"/O={organisation}/CN={name}")
        (self.directory / f"{name}.ext").write_text(
            f"subjectAltName=URI:spiffe://example.com/{name}\nextendedKeyUsage=clientAuth\n")
        self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", "2", "-out", f"{name}.pem", "-extfile", f"{name}.ext")
        return self.directory / f"{name}.pem", self.directory / f"{name}.key"

    def revoke(self, name):
        self.openssl("ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem", "-revoke", f"{name}.pem")

    def publish(self, path):
        self.openssl("ca", "-config", "ca.cnf", "-keyfile", "ca.key", "-cert", "ca.pem", "-gencrl", "-out", str(path))


def curl(proxy, host, certificate=None):
    """The status of a request, or 0 where no connection comes about."""
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--max-time", "10",
               "--cacert", str(proxy.authority.ca_file), "--resolve", f"{host}:{proxy.port}:127.0.0.1",
               f"https://{host}:{proxy.port}/"]
    if certificate:
        command += ["--cert", str(certificate[0]), "--key", str(certificate[1])]
    return int(subprocess.run(command, capture_output=True, text=True).stdout)


def start(directory, mode, clients, allow):
    authority = Authority(directory, "app.localhost")
    (directory / "certs").mkdir()
    (directory / "certs/ca.pem").write_bytes(clients.ca.read_bytes())
    clients.publish(directory / "certs/clients.crl")
    route = {"from": "https://app.localhost:PORT", "to": "http://127.0.0.1:1", "authenticate": "none", "allow": allow}
    client_auth = {"mode": mode, "ca_file": "certs/ca.pem", "crl_file": "certs/clients.crl"}
    return Proxy(directory, authority, [route], tls={"client_auth": client_auth})


@pytest.fixture
def clients(tmp_path):
    return Clients(tmp_path, "clients")


# Nothing listens upstream: 502 says that the request was let in, 403 that it was not, 0 that there was no handshake.
IN, DENIED, CUT = 502, 403, 0


def test_a_required_certificate_is_revoked_and_its_authority_exchanged_while_we_serve(tmp_path, clients):
    good, bad = clients.issue("good"), clients.issue("bad")
    proxy = start(tmp_path, "require", clients, LOOPBACK)
    try:
        assert curl(proxy, "app.localhost", good) == IN
        assert curl(proxy, "app.localhost", bad) == IN
        assert curl(proxy, "app.localhost") == CUT

        clients.revoke("bad")
        clients.publish(tmp_path / "certs/clients.crl")
        wait_for(lambda: curl(proxy, "app.localhost", bad) == CUT, "the revoked certificate is refused")
        assert curl(proxy, "app.localhost", good) == IN

        successor = Clients(tmp_path, "successor")
        new = successor.issue("new")
        assert curl(proxy, "app.localhost", new) == CUT
        (tmp_path / "certs/ca.pem").write_bytes(clients.ca.read_bytes() + successor.ca.read_bytes())
        successor.publish(tmp_path / "successor.crl")
        with (tmp_path / "certs/clients.crl").open("ab") as lists:
            lists.write((tmp_path / "successor.crl").read_bytes())
        wait_for(lambda: curl(proxy, "app.localhost", new) == IN, "the new authority is believed")
        assert curl(proxy, "app.localhost", good) == IN
        assert curl(proxy, "app.localhost", bad) == CUT
        subjects = {record["tls"]["client_certificate"]["subject"] for record in proxy.decisions()}
        assert subjects == {"CN=good,O=Example", "CN=bad,O=Example", "CN=new,O=Example"}
    finally:
        proxy.stop()


def test_a_certificate_that_is_only_asked_for_is_the_policys_matter(tmp_path, clients):
    build, other = clients.issue("build"), clients.issue("other", organisation="Elsewhere")
    rule = '"spiffe://example.com/build" in request.tls.client_certificate.san_uri'
    proxy = start(tmp_path, "request", clients, rule)
    try:
        assert curl(proxy, "app.localhost", build) == IN
        assert curl(proxy, "app.localhost", other) == DENIED
        assert curl(proxy, "app.localhost") == DENIED
        stranger = Clients(tmp_path, "stranger").issue("build")
        assert curl(proxy, "app.localhost", stranger) == CUT
        denied = [record for record in proxy.decisions() if record["decision"] == "deny"]
        assert [record["tls"].get("client_certificate", {}).get("subject") for record in denied] == [
            "CN=other,O=Elsewhere", None]
    finally:
        proxy.stop()
