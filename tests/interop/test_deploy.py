"""The alert rules and the dashboard of `deploy/`: well-formed, of metrics that exist, and telling when they should."""

import json
import os
import pathlib
import re
import subprocess
import urllib.error
import urllib.request

import pytest
import yaml
from conftest import LOOPBACK, Authority, Proxy, free_port
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from test_mutual_tls import Clients

ROOT = pathlib.Path(__file__).parents[2]
PROMTOOL = os.environ.get("PROMTOOL", ROOT / "target/tools/promtool/usr/bin/promtool")
RULES = ROOT / "deploy/prometheus/portcullis.rules.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/portcullis.json").read_text())
CASES = pathlib.Path(__file__).with_name("alerts.yml")


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def queries():
    """The expressions of the dashboard, with values in place of its variables."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield re.sub(r"\$\w+", ".*", target["expr"].replace("$__rate_interval", "1m"))


def promtool(*arguments, input=None):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, input=input, timeout=120)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


def documented():
    """What the page on operations lists, as Prometheus names it."""
    names = set()
    for line in (ROOT / "docs/operations.md").read_text().splitlines():
        found = re.findall(r"`(portcullis_\w+)`", line)
        names.update(found)
        if "| histogram |" in line:
            names.update(name + part for name in found for part in ("_bucket", "_sum", "_count"))
    return names


@pytest.mark.parametrize("source", ["rules", "dashboard"])
def test_every_metric_is_documented(source):
    expressions = [rule["expr"] for rule in alerts()] if source == "rules" else list(queries())
    names = {name for expression in expressions for name in re.findall(r"portcullis_\w+", expression)}
    assert len(names) > 10
    assert names <= documented()


def test_prometheus_takes_the_rules_and_every_query_of_the_dashboard(tmp_path):
    promtool("check", "rules", RULES)
    rules = [{"record": f"panel:{index}", "expr": query} for index, query in enumerate(queries())]
    file = tmp_path / "dashboard.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


def test_every_alert_tells_when_it_should():
    cases = yaml.safe_load(CASES.read_text())
    told = {check["alertname"] for test in cases["tests"] for check in test["alert_rule_test"] if check.get("exp_alerts")}
    assert told == {rule["alert"] for rule in alerts()}, "an alert has no case in which it tells"
    promtool("test", "rules", CASES)


def test_the_panels_of_the_dashboard_have_places_of_their_own():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not taken & cells and place["x"] + place["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids)) > 20
    assert {variable["name"] for variable in DASHBOARD["templating"]["list"]} >= set(
        re.findall(r"\$\{?(datasource|instance|route)", json.dumps(DASHBOARD["panels"])))


# What is counted only after a sign-in, or of streams: of tunnels, and of those that are not allowed any more.
TAKES_LONGER = {
    "portcullis_streams_closed_total": {"route", "reason"},
    "portcullis_session_refreshes_total": {"provider", "result"},
    "portcullis_tunnels_open": {"route", "carries"},
}


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """The labels of each metric, from a proxy that has as many of them as can be had without waiting."""
    directory = tmp_path_factory.mktemp("portcullis")
    authority = Authority(directory, "app.localhost")
    (directory / "table.csv").write_text("key,value\na,b\n")
    nobody = f"http://127.0.0.1:{free_port()}"
    clients = Clients(directory, "clients")
    clients.publish(directory / "clients.crl")
    proxy = Proxy(
        directory, authority,
        [{"from": "https://app.localhost:PORT", "to": nobody, "authenticate": "none", "mode": "shadow",
          "allow": LOOPBACK + " && !lookup('table', 'b').exists(key, true)", "deny": "request.path == '/shadow'"},
         {"from": "https://tls.localhost:PORT", "to": nobody.replace("http", "https"), "authenticate": "none",
          "allow": LOOPBACK, "upstream_tls": {"ca_file": str(authority.ca_file)}}],
        tls={"client_auth": {"mode": "request", "ca_file": str(clients.ca), "crl_file": "clients.crl"}},
        authenticate={"url": "https://auth.localhost", "session": {"store": "memory"},
                      "providers": [{"id": "nobody", "issuer": nobody, "client_id": "a", "client_secret": "b"}]},
        data={"table": {"csv": "table.csv", "key": "key"}},
        audit={"stdout": True, "otlp": {"url": nobody}}, telemetry={"traces": {"url": nobody}})
    try:
        for path in ("/", "/shadow"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(f"https://app.localhost:{proxy.port}{path}", context=proxy.tls(), timeout=20)
        metrics = f"http://127.0.0.1:{proxy.admin}/metrics"
        text = urllib.request.urlopen(metrics, timeout=20).read().decode()
        older = urllib.request.Request(metrics, headers={"Accept": "text/plain"})
        older = urllib.request.urlopen(older, timeout=20).read()
    finally:
        proxy.stop()
    promtool("check", "metrics", input=older)
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    assert not found.keys() & TAKES_LONGER.keys()
    return found | TAKES_LONGER


def used():
    """Each expression, and the labels that the text beside it names."""
    for rule in alerts():
        yield rule["expr"], set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"], set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat") or ""))


def test_every_label_is_one_that_the_metric_has(labels):
    of_prometheus = {"instance", "job"}
    for expression, named in used():
        groups = [set(re.split(r",\s*", group)) for group in re.findall(r"by \(([^)]*)\)", expression)]
        left = of_prometheus.copy()
        for metric, selector in re.findall(r"(portcullis_\w+)(?:\{([^}]*)\})?", expression):
            has = labels[metric] | of_prometheus
            assert set(re.findall(r"(\w+)\s*[=!]", selector)) <= has, expression
            assert all(group <= has for group in groups), expression
            left |= has
        assert named <= (set.union(*groups) if groups else left), expression
