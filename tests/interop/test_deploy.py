"""The alert rules and the dashboard of `deploy/`: well-formed, of metrics that exist, and telling when they should."""

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

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


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


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
