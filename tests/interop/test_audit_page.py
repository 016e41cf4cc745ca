"""Every command of docs/audit.md, as somebody types it who reads the page."""

import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
import urllib.request

import duckdb
import pytest

from conftest import BINARY, LOOPBACK, Portcullis, free_port

PAGE = (pathlib.Path(__file__).parents[2] / "docs/audit.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def commands():
    """Lines of shell, without comments and what is only a comment."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    # What measures is for those who build it.
    return [line for line in lines if line and not line.startswith(("#", "cargo bench"))]


def run(directory, command):
    # Where the page has the folder of an installed package, and the copy of a checkpoint on another machine.
    command = command.replace("/var/lib/portcullis/audit", "signed").replace("/mnt/elsewhere", "signed")
    path = f"{directory}:{os.environ['PATH']}"
    shell, env = ["bash", "-o", "pipefail", "-c", command], {**os.environ, "PATH": path}
    if "--follow" in command:
        return first_line(shell, directory, env)
    return subprocess.run(shell, cwd=directory, env=env, capture_output=True, text=True, timeout=60)


def first_line(command, directory, env):
    """Runs what follows the log until it has told something: it goes on for as long as somebody listens."""
    with subprocess.Popen(command, cwd=directory, env=env, text=True, stdout=subprocess.PIPE,
                          start_new_session=True) as following:
        watchdog = threading.Timer(60, os.killpg, (following.pid, signal.SIGKILL))
        watchdog.start()
        line = following.stdout.readline()
        watchdog.cancel()
        os.killpg(following.pid, signal.SIGTERM)
    return subprocess.CompletedProcess(command, 0 if line else 1, line, "")


def record(number, time, **more):
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "id": f"id-{number}", "kind": "request", "route": "git",
        "client_ip": "10.8.1.4", "user": {"id": "i|ada", "email": "ada@example.com", "groups": ["sre"], "provider": "p"},
        "session": "q5X0bQ3kFv_1", "method": "GET", "host": "git.test", "path": "/a", "decision": "deny",
        "rule": "git/none", "reason": "deny-rule-failed", "status": 403, "ms": {"policy": 0.1, "upstream": 0, "total": 1},
        **more,
    }


@pytest.fixture(scope="module")
def home(directory):
    """A folder with what the page speaks of: a log with something for each question, and one that is signed."""
    (directory / "portcullis").symlink_to(pathlib.Path(BINARY).absolute())
    for command in commands():
        if command.startswith("openssl"):
            assert run(directory, command).returncode == 0, command
    port, admin = free_port(), free_port()
    configuration = {
        "listeners": [{"address": f"127.0.0.1:{port}"}], "admin": {"address": f"127.0.0.1:{admin}"},
        "audit": {"dir": "signed", "signing_key": "audit.key", "instance": "proxy-1"},
        "routes": [{"from": f"http://one.localhost:{port}", "respond": {"status": 200}, "authenticate": "none",
                    "allow": LOOPBACK}],
    }
    (directory / "portcullis.yaml").write_text(json.dumps(configuration))
    proxy = Portcullis(directory, directory / "portcullis.yaml", admin)
    assert urllib.request.urlopen(f"http://one.localhost:{port}/").status == 200
    proxy.stop()
    now = datetime.datetime.now(datetime.UTC)
    march = datetime.datetime(2026, 3, 15, tzinfo=datetime.UTC)
    slow = {"decision": "allow", "reason": "allow-rule-matched", "status": 502, "upstream": {"endpoint": "http://10.0.3.7:3000"},
            "ms": {"policy": 0.1, "upstream": 2500, "total": 2501}}
    records = [record(0, march), record(1, now), record(2, now, **slow),
               record(3, now, id="019b76da-a800-7000-8000-0123456789ab")]
    (directory / "audit").mkdir()
    lines = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
    (directory / "audit/audit-a-00000001-20260301T000000Z.jsonl").write_text(lines)
    return directory


@pytest.mark.parametrize("command", [command for command in commands() if not command.startswith("openssl")])
def test_the_command_answers(home, command):
    done = run(home, command)
    assert done.returncode == 0, done
    assert done.stdout.strip() or "--output" in command and "1 record in" in done.stderr, done


def test_the_query_of_an_export_answers(home):
    if not (home / "march.parquet").exists():
        assert run(home, next(command for command in commands() if "parquet" in command)).returncode == 0
    (query,) = blocks("sql")
    assert duckdb.sql(query.replace("march.parquet", str(home / "march.parquet"))).fetchall() == [("ada@example.com", 1)]
