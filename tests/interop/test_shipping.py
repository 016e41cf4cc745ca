"""Audit records at receivers that are not ours: rsyslog over TCP and TLS, and OTLP as the official messages read it."""

import json
import shutil
import subprocess
import urllib.request

import pytest
from conftest import LOOPBACK, Authority, Collector, Proxy, accepts, attributes, free_port, wait_for
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

RSYSLOGD = shutil.which("rsyslogd") or "/usr/sbin/rsyslogd"


class Rsyslog:
    """rsyslogd on a port of its own; `tls` names authority, certificate and key."""

    def __init__(self, home, tls=None):
        self.home, self.port, self.process = home, free_port(), None
        home.mkdir()
        self.received = home / "received"
        driver, files = "", ""
        if tls:
            ca, cert, key = tls
            driver = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"'
            files = (f'DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{ca}"'
                     f' DefaultNetstreamDriverCertFile="{cert}" DefaultNetstreamDriverKeyFile="{key}"')
        (home / "rsyslog.conf").write_text(f"""
            global(workDirectory="{home}" maxMessageSize="64k" {files})
            module(load="imtcp" {driver})
            template(name="parts" type="string"
              string="%pri%\t%timestamp:::date-rfc3339%\t%hostname%\t%app-name%\t%msgid%\t%structured-data%\t%msg%\\n")
            input(type="imtcp" address="127.0.0.1" port="{self.port}")
            action(type="omfile" file="{self.received}" template="parts" asyncWriting="off" flushOnTXEnd="on")
        """)
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [RSYSLOGD, "-n", "-f", self.home / "rsyslog.conf", "-i", self.home / "pid"],
            stdout=(self.home / "out").open("ab"), stderr=subprocess.STDOUT)
        wait_for(lambda: accepts(self.port), "rsyslogd", self.process)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def messages(self):
        """Each message, as its parts."""
        if not self.received.exists():
            return []
        return [line.split("\t") for line in self.received.read_text().splitlines()]

    def paths(self):
        records = [json.loads(message[-1]) for message in self.messages()]
        return [record["path"] for record in records if record.get("kind") == "request"]


@pytest.fixture
def proxy(tmp_path):
    """A function that starts a proxy with this `audit`; what it starts ends with the test."""
    authority, running = Authority(tmp_path, "app.localhost"), []

    def start(**audit):
        routes = [{"from": "https://app.localhost:PORT", "respond": {"status": 200, "body": "here"},
                   "authenticate": "none", "allow": LOOPBACK}]
        running.append(Proxy(tmp_path, authority, routes, audit=audit))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def get(proxy, path):
    url = f"https://app.localhost:{proxy.port}{path}"
    assert urllib.request.urlopen(url, context=proxy.tls(), timeout=20).read() == b"here"


def metric(proxy, line):
    text = urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics", timeout=20).read().decode()
    return next((float(found.rsplit(" ", 1)[1]) for found in text.splitlines() if found.startswith(line)), None)


def test_rsyslog_takes_records_over_tcp(tmp_path, proxy):
    rsyslog = Rsyslog(tmp_path / "rsyslog")
    try:
        served = proxy(syslog={"url": f"tcp://127.0.0.1:{rsyslog.port}", "facility": "local3", "hostname": "proxy-7"})
        get(served, "/one?" + "x" * 3000)
        wait_for(lambda: "/one" in rsyslog.paths(), "the record", rsyslog.process)
        message = next(message for message in rsyslog.messages() if message[4] == "request")
        record = json.loads(message[-1])
        assert message[0] == str(19 * 8 + 6)
        assert message[2:4] == ["proxy-7", "portcullis"]
        assert message[5].startswith('[origin software="portcullis" swVersion="')
        assert message[1][:19] == record["time"][:19]
        served.stop()
        # Line by line what is in the segments.
        segments = sorted((tmp_path / "audit").glob("*.jsonl"))
        written = [line for segment in segments for line in segment.read_text().splitlines()]
        wait_for(lambda: len(rsyslog.messages()) == len(written), "all records", rsyslog.process)
        assert [message[-1].lstrip() for message in rsyslog.messages()] == written
    finally:
        rsyslog.stop()


def test_rsyslog_takes_records_over_tls_and_what_it_missed_when_it_is_back(tmp_path, proxy):
    directory = tmp_path / "receiver"
    directory.mkdir()
    receiver = Authority(directory, "localhost")
    cert, key = receiver.issue(directory, "client", "proxy.localhost")
    rsyslog = Rsyslog(tmp_path / "rsyslog", (receiver.ca_file, receiver.cert_file, receiver.key_file))
    try:
        served = proxy(syslog={
            "url": f"tls://localhost:{rsyslog.port}", "ca_file": str(receiver.ca_file),
            "client_cert_file": str(cert), "client_key_file": str(key)})
        get(served, "/one")
        wait_for(lambda: "/one" in rsyslog.paths(), "the record", rsyslog.process)
        rsyslog.stop()
        get(served, "/two")
        wait_for(lambda: metric(served, 'portcullis_audit_sink_lag_seconds{sink="syslog"}') > 0, "the lag")
        get(served, "/three")
        rsyslog.start()
        wait_for(lambda: {"/two", "/three"} <= set(rsyslog.paths()), "what was missed", rsyslog.process)
        wait_for(lambda: metric(served, 'portcullis_audit_sink_lag_seconds{sink="syslog"}') == 0, "no lag")
        assert metric(served, 'portcullis_audit_sink_records_total{sink="syslog",result="dropped"}') == 0
    finally:
        rsyslog.stop()


def test_records_are_otlp_logs(tmp_path, proxy):
    directory = tmp_path / "collector"
    directory.mkdir()
    authority = Authority(directory, "127.0.0.1")
    collector = Collector(
        authority, logs=(logs_service_pb2.ExportLogsServiceRequest, logs_service_pb2.ExportLogsServiceResponse))
    try:
        served = proxy(instance="one", otlp={
            "url": collector.url, "ca_file": str(authority.ca_file), "headers": {"Authorization": "Bearer a-token"}})
        get(served, "/one")

        def records():
            return [record for export in collector.exports["logs"] for resource in export.resource_logs
                    for scope in resource.scope_logs for record in scope.log_records]

        def requests():
            return [record for record in records() if record.event_name == "portcullis.audit.request"]

        record = wait_for(requests, "the record", served.process)[0]
        line = json.loads(record.body.string_value)
        assert line["path"] == "/one"
        assert record.severity_text == "INFO" and record.time_unix_nano > 0
        assert attributes(record)["portcullis.decision"] == "allow"
        assert attributes(record)["client.address"] == "127.0.0.1"
        outcome = wait_for(lambda: [one for one in records() if one.event_name.endswith(".outcome")], "its outcome")[0]
        assert attributes(outcome)["http.response.status_code"] == 200
        resource = attributes(collector.exports["logs"][0].resource_logs[0].resource)
        assert resource["service.name"] == "portcullis" and resource["service.instance.id"] == "one"
        assert collector.headers[0]["Authorization"] == "Bearer a-token"
        served.stop()
        segments = sorted((tmp_path / "audit").glob("*.jsonl"))
        written = [line for segment in segments for line in segment.read_text().splitlines()]
        assert [record.body.string_value for record in records()] == written
    finally:
        collector.close()
