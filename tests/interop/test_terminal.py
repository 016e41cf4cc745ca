"""What is printed for people, on terminals of any width and beside them."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest
from conftest import BINARY


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A folder with records whose texts are long."""
    folder = tmp_path_factory.mktemp("audit")
    decisions = ["deny", "allow", "challenge"]
    records = [{
        "time": f"2026-03-0{day}T12:00:00.5Z", "id": f"019b76da-a800-7000-8000-0123456789a{day}", "kind": "request",
        "user": {"id": "i|1", "email": f"somebody.with.a.long.name.{day}@example.com", "groups": []},
        "client_ip": f"203.0.113.{day}", "method": "GET", "host": "a-host-of-some-length.example.com",
        "path": "/" + "long/" * 30, "decision": decisions[day % 3], "rule": "a-policy/with-a-rule-of-its-own",
        "reason": "deny-rule-matched", "status": 403,
    } for day in range(1, 7)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "audit-a-00000001-20260301T000000Z.jsonl").write_text(lines)
    return folder


def on_terminal(columns, *arguments, **environment):
    """What the program prints on a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | environment
    process = subprocess.Popen([BINARY, *arguments], stdout=its, stderr=subprocess.PIPE, env=environment)
    os.close(its)
    printed = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Nobody has the other end any more.
            break
        if not part:
            break
        printed += part
    os.close(ours)
    assert process.wait(20) == 0, process.stderr.read()
    process.stderr.close()
    return printed.decode().replace("\r\n", "\n")


def plain(text):
    return re.sub("\x1b\\[[0-9]*m", "", text)


VERBS = [("query",), ("tail",), ("summary", "--by", "user,ip,route,path,decision")]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 132, 200, 400])
def test_a_table_is_no_wider_than_the_terminal(log, verb, columns):
    lines = plain(on_terminal(columns, "audit", verb[0], "--dir", log, *verb[1:])).splitlines()
    assert len(lines) == 7
    assert max(map(len, lines)) <= columns


def test_what_matters_most_is_left_on_a_narrow_terminal(log):
    for columns, gone in [(400, ()), (120, ()), (116, ("FROM",)), (80, ("ID",)), (60, ("ID", "FROM"))]:
        head = on_terminal(columns, "audit", "query", "--dir", log).split("\n", 1)[0].split()
        every = ["TIME", "DECISION", "STATUS", "WHO", "FROM", "WHAT", "WHY", "ID"]
        assert head == [name for name in every if name not in gone], columns


def test_refusals_are_coloured_on_a_terminal_and_nowhere_else(log):
    query = ("audit", "query", "--dir", log)
    coloured = on_terminal(200, *query)
    assert [line[:5] for line in coloured.splitlines()[1:]].count("\x1b[31m") == 2
    assert "\x1b" not in on_terminal(200, *query, NO_COLOR="1")
    piped = subprocess.run([BINARY, *query], capture_output=True, text=True, check=True).stdout
    assert "\x1b" not in piped and "…" not in piped and "somebody.with.a.long.name.6@example.com" in piped
    for verb in ("query", "tail"):
        lines = on_terminal(80, "audit", verb, "--dir", log, "--format", "json").splitlines()
        assert len([json.loads(line) for line in lines]) == 6
