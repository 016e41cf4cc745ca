"""PostgreSQL behind `config/tls-passthrough.yaml`: TLS from libpq to the database's own certificate, with Portcullis between.

libpq begins with TLS at once (`sslnegotiation=direct`), which PostgreSQL itself takes from version 17 on; Debian's is older, so
HAProxy ends TLS in front of it, with the database's certificate and its ALPN name.
"""

import glob
import os
import shutil
import subprocess

import psycopg
import pytest
from conftest import Authority, Example, accepts, free_port, wait_for

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"


def postgres(program):
    return sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{program}"))[-1]


@pytest.fixture(scope="module")
def database(started):
    """A server of its own on loopback. PostgreSQL refuses to run as root, so it has a folder and a user that may."""
    unprivileged = []
    home = subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    if os.geteuid() == 0:
        shutil.chown(home, "postgres", "postgres")
        unprivileged = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port = free_port()
    subprocess.run([*unprivileged, postgres("initdb"), "-D", f"{home}/data", "-U", "ada", "-A", "trust", "-E", "UTF8", "--no-sync"],
                   check=True, capture_output=True, cwd="/")
    server = subprocess.Popen(
        [*unprivileged, postgres("postgres"), "-D", f"{home}/data", "-p", str(port), "-h", "127.0.0.1", "-k", home, "-F"],
        cwd="/", stderr=subprocess.DEVNULL)
    started.append(server)
    wait_for(lambda: accepts(port), "PostgreSQL", server)
    yield port
    # Fast shutdown.
    server.send_signal(2)
    server.wait(20)
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory, "db.example.com")


@pytest.fixture(scope="module")
def tls(directory, database, authority, started):
    """What PostgreSQL 17 does by itself: TLS at once, by ALPN `postgresql`."""
    port = free_port()
    pair = directory / "pair.pem"
    pair.write_bytes(authority.cert_file.read_bytes() + authority.key_file.read_bytes())
    (directory / "haproxy.cfg").write_text(f"""
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen database
  bind 127.0.0.1:{port} ssl crt {pair} alpn postgresql
  server postgresql 127.0.0.1:{database}
""")
    started.append(subprocess.Popen([HAPROXY, "-db", "-f", directory / "haproxy.cfg"], stderr=subprocess.DEVNULL))
    wait_for(lambda: accepts(port), "haproxy", started[-1])
    return port


@pytest.fixture
def proxy(tmp_path, tls):
    port = free_port()
    proxy = Example(tmp_path, "tls-passthrough.yaml", port, [
        ("0.0.0.0:5432", f"127.0.0.1:{port}"),
        ("0.0.0.0:443", f"127.0.0.1:{free_port()}"),
        ("10.8.0.0/16", "127.0.0.1/32"),
        # One of the two endpoints is away: every other connection begins there.
        ("tcp://10.0.0.5:5432", f"tcp://127.0.0.1:{free_port()}"),
        ("tcp://10.0.0.6:5432", f"tcp://127.0.0.1:{tls}"),
    ])
    yield proxy
    proxy.stop()


def connect(proxy, authority, host="db.example.com", **more):
    return psycopg.connect(host=host, hostaddr="127.0.0.1", port=proxy.port, user="ada", dbname="postgres", sslmode="verify-full",
                           sslnegotiation="direct", sslrootcert=str(authority.ca_file), connect_timeout=20, **more)


def test_queries_copies_and_notifications_pass(proxy, authority):
    with connect(proxy, authority) as first, connect(proxy, authority) as second:
        assert first.pgconn.ssl_in_use
        first.execute("create table t (id int, body text)")
        with first.cursor().copy("copy t from stdin") as copy:
            for number in range(20_000):
                copy.write_row((number, "x" * 500))
        first.commit()
        assert second.execute("select count(*), sum(length(body)) from t").fetchone() == (20_000, 10_000_000)
        with second.cursor().copy("copy t to stdout") as copy:
            assert sum(len(block) for block in copy) > 10_000_000
        second.commit()
        second.autocommit = True
        second.execute("listen news")
        first.execute("notify news, 'hello'")
        first.commit()
        assert [note.payload for note in second.notifies(timeout=20, stop_after=1)] == ["hello"]
    records = [record for record in proxy.records() if record["route"] == "database"]
    assert [record["decision"] for record in records] == ["allow", "allow"]
    assert {record["host"] for record in records} == {"db.example.com"}
    assert max(record["bytes_in"] for record in records) > 10_000_000
    assert max(record["bytes_out"] for record in records) > 10_000_000


def test_the_certificate_is_the_databases_and_is_verified_end_to_end(proxy, authority, tmp_path):
    (tmp_path / "stranger").mkdir()
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        connect(proxy, Authority(tmp_path / "stranger", "db.example.com"))


def test_a_server_name_without_a_route_reaches_nothing(proxy, authority):
    with pytest.raises(psycopg.OperationalError, match="unrecognized name"):
        connect(proxy, authority, host="other.example.com")
    assert [record["reason"] for record in proxy.decisions()] == ["no-route"]


def test_whoever_asks_for_tls_in_postgresqls_old_way_is_refused(proxy, authority):
    # It begins with eight bytes of its own, in which no server is named.
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="db.example.com", hostaddr="127.0.0.1", port=proxy.port, user="ada", dbname="postgres",
                        sslmode="require", connect_timeout=20)
    assert [record["reason"] for record in proxy.decisions()] == ["tls-hello-invalid"]


def test_a_connection_that_is_killed_at_the_server_ends_at_the_client(proxy, authority):
    with connect(proxy, authority) as victim, connect(proxy, authority, autocommit=True) as other:
        other.execute("select pg_terminate_backend(%s)", (victim.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            victim.execute("select 1")
