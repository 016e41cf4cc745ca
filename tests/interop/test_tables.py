"""Tables from others' hands: a MaxMind DB written by another library, and a list on another's https server."""

import functools
import http.server
import os
import ssl
import threading
import urllib.error
import urllib.request

import pytest
from conftest import Authority, Proxy, wait_for
from mmdb_writer import MMDBWriter
from netaddr import IPSet


def database(path, country):
    writer = MMDBWriter(6, "GeoLite2-Country", languages=["en"], description="test", ipv4_compatible=True)
    writer.insert_network(IPSet(["127.0.0.0/8"]), {
        "country": {"iso_code": country, "names": {"en": "A country", "de": "Ein Land"}}, "asn": 64500, "ratio": -0.5,
        "anonymous": True, "tags": ["a", "b"],
    })
    writer.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": "JP"}})
    aside = path.with_suffix(".new")
    writer.to_db_file(str(aside))
    aside.rename(path)


@pytest.fixture
def lists(tmp_path):
    """An https server of a directory; it answers 304 to those who have the newest."""
    directory = tmp_path / "lists"
    directory.mkdir()
    authority = Authority(directory, "127.0.0.1")
    answers = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            answers.append(int(code))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=directory))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.cert_file, authority.key_file)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield directory, authority, server.server_port, answers
    server.shutdown()
    thread.join()
    server.server_close()


def status(proxy, host):
    """403 for what is refused; what is allowed finds nobody behind the proxy."""
    try:
        with urllib.request.urlopen(f"https://{host}.localhost:{proxy.port}/", context=proxy.tls()) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_tables_are_read_from_a_database_and_from_a_server_and_followed(tmp_path, lists):
    directory, served_by, port, answers = lists
    database(tmp_path / "geo.mmdb", "DE")
    (directory / "block.csv").write_text("10.0.0.0/8\n")
    authority = Authority(tmp_path, "geo.localhost", "block.localhost")
    here = {"to": "http://127.0.0.1:1", "authenticate": "none"}
    proxy = Proxy(
        tmp_path, authority,
        [
            here | {"from": "https://geo.localhost:PORT", "allow": (
                'lookup("geoip", request.ip).country.iso_code == "DE" && lookup("geoip", request.ip).asn == 64500 && '
                'lookup("geoip", request.ip).anonymous && "b" in lookup("geoip", request.ip).tags && '
                'lookup("geoip", "2001:db8::1").country.iso_code == "JP" && lookup("geoip", "192.0.2.1") == {}'
            )},
            here | {"from": "https://block.localhost:PORT", "allow": "true",
                    "deny": 'lookup("blocklist", request.ip) != {}'},
        ],
        data={
            "geoip": {"mmdb": "geo.mmdb"},
            "blocklist": {"url": f"https://127.0.0.1:{port}/block.csv", "format": "csv", "columns": ["network"],
                          "key": "network", "key_type": "network", "refresh": "100ms", "ca_file": str(served_by.ca_file)},
        },
    )
    try:
        assert status(proxy, "geo") == 502
        assert status(proxy, "block") == 502
        wait_for(lambda: 304 in answers, "an answer that nothing has changed")

        database(tmp_path / "geo.mmdb", "FR")
        wait_for(lambda: status(proxy, "geo") == 403, "the new database")
        replace(directory / "block.csv", "127.0.0.1\n")
        wait_for(lambda: status(proxy, "block") == 403, "the new list")
        replace(directory / "block.csv", "no network\n")
        wait_for(lambda: "is no network" in verbose(proxy), "the word about the bad list")
        assert status(proxy, "block") == 403, "the last good list is in use"
    finally:
        proxy.stop()


def replace(path, text):
    """`Last-Modified` has whole seconds: each version is some of them younger than the one before."""
    aside = path.with_suffix(".new")
    aside.write_text(text)
    younger = path.stat().st_mtime + 10
    os.utime(aside, (younger, younger))
    aside.rename(path)


def verbose(proxy):
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/readyz?verbose") as answer:
        return answer.read().decode()
