"""Prometheus' rules: valid, tested both ways, over metrics that exist, each with its page, whose statements run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from flows.cli import COMMANDS
from flows.docs import _metrics
from flows.settings import Settings, variable
from operators.episodes import SEVERITIES
from operators.events import decode
from operators.taxonomy import PatternClass
from operators.types import PatternLabelled
from sql.questions import questions

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "docker/prometheus"
RUNBOOKS = ROOT / "docs/runbooks"
PAGES = sorted(RUNBOOKS.rglob("*.md"))

promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (package prometheus) is missing")


def rules(kind: str) -> dict[str, dict[str, Any]]:
    """The rules of one kind ("alert" or "record") by name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                if kind in rule:
                    assert rule[kind] not in found, f"{rule[kind]} twice"
                    found[rule[kind]] = rule
    return found


ALERTS, RECORDS = rules("alert"), rules("record")


def run(*arguments: str) -> None:
    done = subprocess.run(arguments, check=False, cwd=PROMETHEUS, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_configuration_and_rules_are_valid() -> None:
    run("promtool", "check", "config", "prometheus.yml")


@promtool
@pytest.mark.parametrize("path", sorted((PROMETHEUS / "rules/tests").glob("*.yml")), ids=lambda path: path.stem)
def test_alerts_fire_and_keep_still(path: Path) -> None:
    run("promtool", "test", "rules", str(path))


def test_each_alert_is_tested_both_ways() -> None:
    fires, still = set(), set()
    for path in (PROMETHEUS / "rules/tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for check in test["alert_rule_test"]:
                (fires if check["exp_alerts"] else still).add(check["alertname"])
    assert fires == still == set(ALERTS)


def test_each_metric_that_a_rule_uses_exists() -> None:
    exist = set(RECORDS)
    for name, kind, _, _ in _metrics():
        exist |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    for name, rule in (ALERTS | RECORDS).items():
        used = re.findall(r"[\w:]*hindsight_\w+(?::\w+)*", rule["expr"])
        assert set(used) <= exist, name
        assert used or "up{" in rule["expr"], name


def test_each_label_that_a_rule_uses_exists() -> None:
    known = {label for _, _, labels, _ in _metrics() for label in labels} | {"job", "instance", "le"}
    for name, rule in (ALERTS | RECORDS).items():
        grouped = re.findall(r"(?:by|on|without)\s*\(([^)]*)\)", rule["expr"])
        matched = re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", rule["expr"])
        used = {label.strip() for group in grouped for label in group.split(",")} | set(matched)
        assert used <= known, name


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_says_what_a_person_needs(name: str) -> None:
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert "{{" in rule["annotations"]["summary"], "the summary holds the evidence"
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text(encoding="utf-8")
    assert f"# {name}\n\nSeverity: {rule['labels']['severity']}.\n" in page
    for part in ("What it means", "Look at first", "What to do", "When to silence"):
        assert f"\n## {part}\n" in page


def test_no_page_is_without_its_alert() -> None:
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == set(ALERTS)
    assert {path.stem for path in (RUNBOOKS / "patterns").glob("*.md")} == {one.value for one in PatternClass}


@pytest.mark.parametrize("one", list(PatternClass))
def test_a_class_has_a_page_of_its_own(one: PatternClass) -> None:
    page = (RUNBOOKS / f"patterns/{one}.md").read_text(encoding="utf-8")
    assert f"Class `{one}`, category {one.category}." in page
    assert f"pattern_class = '{one}'" in page
    for part in ("What it means", "Confirm it", "Usual causes", "What to do", "Say what it was"):
        assert f"\n## {part}\n" in page
    (label,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.M)
    assert isinstance(decode(label.encode()), PatternLabelled)
    queries = re.findall(r"`(\w+)`", page.split("Further queries", 1)[1].split("\n", 1)[0])
    assert queries
    assert set(queries) <= {question.name for question in questions()}


def test_what_pages_name_exists() -> None:
    commands = set(COMMANDS) | {"label"}  # the feedback command comes with the correlator
    settings = {variable(name) for name in Settings.model_fields}
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"`?hindsight ([a-z]+)", text)) <= commands, path
        assert set(re.findall(r"ANALYTICS_[A-Z_]+[A-Z]", text)) <= settings, path
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (path.parent / target).exists(), f"{path}: {target}"
        for name in re.findall(r"`(Hindsight\w+)`", text):
            assert name in ALERTS, path


def test_statements_of_the_pages_run(database: str) -> None:
    count = 0
    with psycopg.connect(database, autocommit=True) as connection:
        for path in PAGES:
            for statement in re.findall(r"^```sql\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.M):
                try:
                    connection.execute(statement.encode())
                except psycopg.Error as problem:
                    raise AssertionError(f"{path.name}: {problem}") from problem
                count += 1
    assert count >= 2 * len(PatternClass)
