"""Alerts, dashboard and their wiring: they ask for what there is, each alert is tried, and each is explained."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grafana_dashboard
import pytest
import yaml
from pages import anchors

from stream_rec.web.prometheus import FAMILIES

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"

OTHERS: dict[str, frozenset[str]] = {
    "up": frozenset(), "process_start_time_seconds": frozenset(), "process_resident_memory_bytes": frozenset(),
}  # fmt: skip
SERIES = {name: frozenset(family.labels) for family in FAMILIES for name in family.series} | OTHERS
OF_THE_SCRAPE = {"job", "instance", "le"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in read(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def promtool(*arguments: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("no promtool (Debian: apt install prometheus): rules are not run")
    done = subprocess.run(
        ["promtool", *arguments],  # noqa: S607  # wherever it is
        cwd=PROMETHEUS, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def bare(expr: str) -> str:
    """Without comments and texts."""
    return re.sub(r'"[^"]*"', '""', re.sub(r"#.*", "", expr))


def wrong_with(expr: str) -> Iterator[str]:
    """What *expr* asks for that is not exposed: metrics, or labels that they do not have."""
    names = set(re.findall(r"\b(?:stream_rec|process)_\w+|\bup\b", bare(expr)))
    yield from (name for name in names if name not in SERIES)
    for name, selector in re.findall(r"(\w+)\{([^}]*)\}", bare(expr)):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) - OF_THE_SCRAPE
        yield from (f"{name}{{{label}}}" for label in labels - SERIES.get(name, frozenset()))
    of_any = frozenset[str]().union(*(SERIES[name] for name in names if name in SERIES)) | OF_THE_SCRAPE
    for kind, group in re.findall(r"\b(by|on|group_left) \(([^)]*)\)", bare(expr)):
        yield from (f"{kind} {label}" for label in re.findall(r"\w+", group) if label not in of_any)


def test_what_is_not_exposed_is_found() -> None:
    """A slip in a name, a label, or what is summed by."""
    assert [] == list(wrong_with('sum by (stage) (rate(stream_rec_stage_duration_seconds_bucket{stage="x"}[5m])) > 1'))
    assert ["stream_rec_event_total"] == list(wrong_with("rate(stream_rec_event_total[5m])"))
    assert ["stream_rec_ready{state}"] == list(wrong_with('stream_rec_ready{state="x"}'))
    assert ["by reason"] == list(wrong_with("sum by (reason) (stream_rec_ready)"))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_is_exposed(rule: dict[str, Any]) -> None:
    """An alert on a metric that is not there never fires."""
    assert [] == list(wrong_with(rule["expr"]))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_explained(rule: dict[str, Any]) -> None:
    """Its page has a part for it; it says how grave it is, and what happened."""
    assert rule["alert"].lower() in anchors(ROOT / "docs" / "how-to" / "alerts.md")
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert {"summary", "description"} == rule["annotations"].keys()


def test_every_alert_is_tried_both_ways() -> None:
    """There is a case where it fires, and one where it stays silent."""
    tried = [case for test in read(PROMETHEUS / "alerts_test.yml")["tests"] for case in test["alert_rule_test"]]
    for fires in (True, False):
        assert {rule["alert"] for rule in rules()} == {
            case["alertname"] for case in tried if bool(case["exp_alerts"]) is fires
        }


def test_series_of_the_trials_are_exposed() -> None:
    """With all labels that they have: a trial on another series proves nothing."""
    for test in read(PROMETHEUS / "alerts_test.yml")["tests"]:
        for each in test["input_series"]:
            assert [] == list(wrong_with(each["series"]))
            name, selector = re.fullmatch(r"(\w+)\{(.*)\}", each["series"]).groups()  # type: ignore[union-attr]  # it is such a text
            assert SERIES[name] <= set(re.findall(r"(\w+)=", selector)), each["series"]


def test_alerts_fire_as_tried() -> None:
    """By Prometheus' own tool."""
    promtool("test", "rules", "alerts_test.yml")


def test_prometheus_takes_its_settings() -> None:
    """The scrape and the rules."""
    promtool("check", "config", "prometheus.yml")


def test_the_dashboard_is_written_from_its_script() -> None:
    """`make docs` was run since it changed."""
    written = grafana_dashboard.PAGE.read_text(encoding="utf-8")
    assert grafana_dashboard.dashboard() == written, "run `make docs`"


def test_the_dashboard_asks_for_what_is_exposed() -> None:
    """Every expression, and the variables at its top; no panel stands on another."""
    told = json.loads(grafana_dashboard.PAGE.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in told["panels"] for target in panel.get("targets", ())]
    asked += [
        each["definition"].replace("label_values", "") for each in told["templating"]["list"] if "definition" in each
    ]
    assert len(asked) > 40
    assert {} == {expr: wrong for expr in asked if (wrong := list(wrong_with(expr)))}
    places = [
        (x, y)
        for panel in told["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24


def test_prometheus_can_read_the_dashboards_expressions(tmp_path: Path) -> None:
    """As rules, since its tool reads those; with Grafana's own words filled in."""
    filled = [
        re.sub(r"\$__rate_interval", "1m", re.sub(r"\$(job|instance|window)", "x", expr))
        for expr in grafana_dashboard.expressions()
    ]
    file = tmp_path / "rules.yml"
    told = [{"record": f"x:{place}", "expr": expr} for place, expr in enumerate(filled)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "x", "rules": told}]}), encoding="utf-8")
    promtool("check", "rules", str(file))


def test_every_part_finds_the_others() -> None:
    """Names, ports and folders are the same in Compose, Prometheus and Grafana."""
    services = read(ROOT / "docker-compose.yml")["services"]
    port = services["stream-rec"]["environment"]["STREAM_REC_HTTP"].rpartition(":")[2]
    (job,) = read(PROMETHEUS / "prometheus.yml")["scrape_configs"]
    assert [f"stream-rec:{port}"] == job["static_configs"][0]["targets"]
    assert (["stream-rec-2"], int(port)) == (job["dns_sd_configs"][0]["names"], job["dns_sd_configs"][0]["port"])
    assert {"stream-rec", "stream-rec-2"} <= services.keys()
    source = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"][0]
    assert "http://prometheus:9090" == source["url"]
    (provider,) = read(GRAFANA / "provisioning" / "dashboards" / "stream-rec.yml")["providers"]
    mounted = dict(
        reversed(volume.removesuffix(":ro").split(":"))
        for name in ("prometheus", "grafana")
        for volume in services[name]["volumes"]
    )
    assert "./deploy/grafana/dashboards" == mounted[provider["options"]["path"]]
    assert {"/etc/prometheus/alerts.yml", "/etc/prometheus/prometheus.yml", "/etc/grafana/provisioning"} <= set(mounted)
    for here in mounted.values():
        assert not here.startswith("./") or (ROOT / here).exists(), here
