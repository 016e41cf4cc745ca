"""`portcullis connect` under the programs that it is for: OpenSSH on standard input and output, PostgreSQL over a local port.

Signing it in is tried with Chromium (`tests/browser/connect.test.mjs`); here the policy goes by the address.
"""

import hashlib
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

import psycopg
import pytest
from conftest import BINARY, LOOPBACK, Authority, Proxy, accepts, free_port, wait_for
from test_postgresql import database  # noqa: F401

TOOLS = pathlib.Path(__file__).parents[2] / "target/tools/sshd/usr"
SSHD = next((path for path in [TOOLS / "sbin/sshd", pathlib.Path("/usr/sbin/sshd")] if path.exists()), "/usr/sbin/sshd")


# As root, sshd wants a user of its own to be there: one that is there anyway runs it, and is the only one who can log in.
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture(scope="module")
def home():
    """Keys of a host and of a user, and a file that is large, in a folder of that user."""
    made = subprocess.run(["mktemp", "-d"], capture_output=True, text=True, check=True).stdout.strip()
    home = pathlib.Path(made)
    for name in ["host", "user"]:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
    shutil.copy(home / "user.pub", home / "authorized_keys")
    (home / "large").write_bytes(os.urandom(1_000_000) * 100)
    if os.geteuid() == 0:
        for path in [home, *home.iterdir()]:
            shutil.chown(path, USER, USER)
    yield home
    shutil.rmtree(home)


@pytest.fixture(scope="module")
def sshd(home, started):
    port = free_port()
    # Programs of its own that OpenSSH has had since 9.8 and 10.0.
    parts = {"SshdSessionPath": "lib/openssh/sshd-session", "SshdAuthPath": "lib/openssh/sshd-auth"}
    parts = {key: SSHD.parent.parent / path for key, path in parts.items() if (SSHD.parent.parent / path).exists()}
    (home / "sshd_config").write_text("\n".join([
        "ListenAddress 127.0.0.1", f"Port {port}", f"HostKey {home}/host", f"AuthorizedKeysFile {home}/authorized_keys",
        f"PidFile {home}/pid", "StrictModes no", "UsePAM no", "Subsystem sftp internal-sftp",
        *(f"{key} {path}" for key, path in parts.items()), "",
    ]))
    unprivileged = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if os.geteuid() == 0 else []
    log = (home / "log").open("wb")
    started.append(subprocess.Popen([*unprivileged, SSHD, "-D", "-e", "-f", home / "sshd_config"], stderr=log, cwd="/"))
    wait_for(lambda: accepts(port), "sshd", started[-1])
    return port


@pytest.fixture(scope="module")
def authority(directory):
    return Authority(directory, "ssh.localhost", "db.localhost")


@pytest.fixture
def proxy(tmp_path, authority, sshd, database):  # noqa: F811
    def tunnel(name, port, to):
        return {"name": name, "from": f"tcp+https://{name}.localhost:{port}", "to": f"tcp://127.0.0.1:{to}",
                "authenticate": "none", "allow": LOOPBACK}

    proxy = Proxy(tmp_path, authority, [tunnel("ssh", 22, sshd), tunnel("db", 5432, database)])
    yield proxy
    proxy.stop()


def command(proxy, target):
    return [str(BINARY), "connect", target, "--proxy", f"127.0.0.1:{proxy.port}", "--ca-file", str(proxy.authority.ca_file)]


def options(proxy, home):
    return ["-F", "none", "-i", str(home / "user"), "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
            "-o", f"UserKnownHostsFile={home}/known_hosts", "-o", "LogLevel=ERROR",
            "-o", f"ProxyCommand={' '.join(command(proxy, '%h:%p'))}"]


LOGIN = f"{USER}@ssh.localhost"


def ssh(proxy, home, *what, **more):
    return subprocess.run(["ssh", *options(proxy, home), LOGIN, *what], capture_output=True, timeout=120, **more)


def test_ssh_runs_a_command_and_passes_on_its_input_output_errors_and_exit_code(proxy, home):
    ran = ssh(proxy, home, "tr a-z A-Z; echo wrong >&2; exit 7", input=b"hello\n")
    assert (ran.stdout, ran.returncode) == (b"HELLO\n", 7)
    assert b"wrong" in ran.stderr
    records = [record for record in proxy.records() if record["route"] == "ssh"]
    assert [(record["method"], record["decision"], record["host"]) for record in records] == [("CONNECT", "allow", "ssh.localhost:22")]
    assert records[0]["bytes_in"] > 1000 and records[0]["bytes_out"] > 1000


def test_scp_copies_a_large_file_there_and_back_unchanged(proxy, home):
    there, back = home / "there", home / "back"
    for source, target in [(home / "large", f"{LOGIN}:{there}"), (f"{LOGIN}:{there}", back)]:
        subprocess.run(["scp", "-q", *options(proxy, home), str(source), str(target)], check=True, timeout=300)
    hashes = [hashlib.sha256(path.read_bytes()).digest() for path in [home / "large", there, back]]
    assert len(set(hashes)) == 1
    records = [record for record in proxy.records() if record["route"] == "ssh"]
    assert max(record["bytes_in"] for record in records) > 100_000_000
    assert max(record["bytes_out"] for record in records) > 100_000_000


@pytest.fixture
def listening(proxy):
    program = subprocess.Popen([*command(proxy, "db.localhost:5432"), "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    line = program.stdout.readline()
    assert line.startswith("listening on 127.0.0.1:"), line
    yield program, int(line.rsplit(":", 1)[1])
    program.kill()
    program.wait(20)
    program.stdout.close()


def test_postgresql_is_reached_over_a_local_port_by_several_at_once(proxy, listening):
    program, port = listening
    url = f"postgresql://ada@127.0.0.1:{port}/postgres"
    with psycopg.connect(url) as first, psycopg.connect(url) as second:
        first.execute("create table tunnelled (id int, body text)")
        with first.cursor().copy("copy tunnelled from stdin") as copy:
            for number in range(20_000):
                copy.write_row((number, "x" * 500))
        first.commit()
        assert second.execute("select count(*), sum(length(body)) from tunnelled").fetchone() == (20_000, 10_000_000)
    asked = subprocess.run(["psql", "-At", url, "-c", "select 6 * 7"], capture_output=True, text=True, timeout=60)
    assert asked.stdout == "42\n", asked.stderr
    program.send_signal(signal.SIGTERM)
    assert program.wait(20) == 0
    records = [record for record in proxy.records() if record["route"] == "db"]
    assert [record["decision"] for record in records] == ["allow"] * 3


def failing(proxy, target, *more):
    ran = subprocess.run([*command(proxy, target), *more], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert ran.stdout == ""
    return ran.returncode, ran.stderr


def test_what_goes_wrong_is_one_sentence_with_an_exit_code_of_its_own(proxy):
    code, told = failing(proxy, "ssh.localhost:23")
    assert (code, told.count("\n")) == (1, 1) and told.startswith("portcullis: the proxy has no tunnel to `ssh.localhost:23`"), told
    code, told = failing(proxy, "other.localhost:22")
    assert code == 2 and "does not prove that it is `other.localhost`" in told
    code, told = failing(proxy, "ssh.localhost:22", "--listen", "0.0.0.0:0")
    assert code == 2 and "let in as you" in told
    proxy.stop()
    code, told = failing(proxy, "ssh.localhost:22")
    assert code == 2 and told.startswith(f"portcullis: cannot reach the proxy at `127.0.0.1:{proxy.port}`"), told
