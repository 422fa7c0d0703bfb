"""docker/: what can be said of the image and of compose.yaml without an engine that runs them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from flows.cli import cli
from flows.settings import Settings, variable
from operators.detect.rules import load_rules
from tools.lock_subset import subset, wanted_by

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
EVERY = [pytest.param(name, id=name) for name in SERVICES]
OURS = {name for name, service in SERVICES.items() if "build" in service}
ONCE = {"migrate", "topics"}
"""Services that do something and end."""
FLOWS = sorted(name for name in SERVICES if name.startswith("flow-"))
WANTED = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
"""`${NAME:?}` or `${NAME:-default}`."""
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
KEPT = [line[1:] for line in IGNORED if line.startswith("!")]
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")


def put(value: str, given: dict[str, str]) -> str:
    """A text with its variables put in, as `docker compose` does."""

    def one(found: re.Match[str]) -> str:
        name, kind, default = found.groups()
        if given.get(name):
            return given[name]
        assert kind == "-", f"{name} is not set"
        return str(default)

    return WANTED.sub(one, value)


def texts(value: object) -> list[str]:
    """All texts below a value."""
    if isinstance(value, dict):
        return [text for one in value.values() for text in texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else []


def source_of(volume: str) -> str:
    return put(volume, {}).split(":")[0]


@pytest.mark.parametrize("name", EVERY)
def test_an_image_is_built_here_or_pinned(name: str) -> None:
    image = put(SERVICES[name]["image"], {})
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-\w+)?", image), image
    if name in OURS:
        build = SERVICES[name]["build"]
        assert (DOCKER / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"]).is_file()
        version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
        assert version
        assert image == f"hindsight:{version[1]}"


@pytest.mark.parametrize("name", EVERY)
def test_each_service_says_whether_it_is_well(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    if name in ONCE:
        assert check == {"disable": True}
        assert SERVICES[name]["restart"].startswith("on-failure")
    else:
        assert check["test"][0] == "CMD"
        assert len(check["test"]) > 1
        assert {"interval", "timeout", "retries"} <= set(check)
        assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", EVERY)
def test_a_service_waits_until_those_it_needs_are_well(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert "profiles" not in SERVICES[other], "may not be there"
        assert how == {"condition": "service_completed_successfully" if other in ONCE else "service_healthy"}
    spoken_to = set(re.findall(r"(?:@|//|\b)([a-z]+):(?:9092|5432|9090)\b", " ".join(texts(SERVICES[name]))))
    assert (spoken_to & set(SERVICES)) - {name} <= set(SERVICES[name].get("depends_on", {}))


def test_nothing_waits_for_itself() -> None:
    done = set[str]()
    while len(done) < len(SERVICES):
        ready = {name for name, one in SERVICES.items() if name not in done and set(one.get("depends_on", {})) <= done}
        assert ready, set(SERVICES) - done
        done |= ready


@pytest.mark.parametrize("name", EVERY)
def test_ports_are_of_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", put(port, {})), port
    assert SERVICES[name].get("network_mode") is None
    assert not SERVICES[name].get("privileged")
    assert "no-new-privileges:true" in SERVICES[name]["security_opt"]
    if name in OURS:
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]


def test_ports_do_not_collide() -> None:
    ports = [put(port, {}).split(":")[1] for one in SERVICES.values() for port in one.get("ports", [])]
    assert len(set(ports)) == len(ports)


def test_secrets_come_from_the_environment_and_have_no_default() -> None:
    secret = re.compile(r"PASSWORD|SECRET|(?<!REQUIRE_)TOKEN$|_KEY$")
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            if secret.search(key):
                assert re.fullmatch(r"\$\{\w+:\?\}", value), (name, key)
            for password in re.findall(r"://[^:/]+:([^@]+)@", str(value)):
                assert re.fullmatch(r"\$\{\w+:\?\}", password), (name, key)
    for text in texts(COMPOSE):
        for found in WANTED.finditer(text):
            assert (found[2] == "?") == bool(secret.search(found[1])), found[0]


def test_the_example_of_an_environment_names_each_secret_and_holds_none() -> None:
    lines = (DOCKER / ".env.example").read_text(encoding="utf-8").splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    wanted = {found[1] for text in texts(COMPOSE) for found in WANTED.finditer(text) if found[2] == "?"}
    assert {name for name, value in given.items() if not value} == wanted
    known = {found[1] for text in texts(COMPOSE) for found in WANTED.finditer(text)}
    assert set(given) - {"COMPOSE_PROFILES"} <= known
    assert put(given["COMPOSE_PROFILES"], {"HINDSIGHT_FLOWS": "3"}) == "flows-3"
    done = subprocess.run(["git", "check-ignore", "-q", "docker/.env"], cwd=ROOT, check=False)
    assert done.returncode in {0, 128}, "docker/.env would be committed"


@pytest.mark.parametrize("name", sorted(OURS))
def test_commands_and_settings_are_hindsights_own(name: str) -> None:
    service = SERVICES[name]
    if "entrypoint" in service:
        assert service["entrypoint"] == ["hindsight-nightly-timer"]
        assert re.findall(r"^ *hindsight (\w+) &$", (DOCKER / "nightly.sh").read_text(encoding="utf-8"), re.M) == [
            "nightly"
        ]
        words = ["nightly"]
    else:
        words = [put(word, {}) for word in service["command"]]
    command = cli.get_command(click.Context(cli), words[0])
    assert command, words
    command.make_context(words[0], words[1:])  # raises for an option that it has not
    exist = {variable(field) for field in Settings.model_fields}
    assert {key for key in service["environment"] if key.startswith("ANALYTICS_")} <= exist
    for text in texts(service):
        assert {found[1] for found in WANTED.finditer(text)} & exist == set(), "would be read from docker/.env"


@pytest.mark.parametrize("count", range(1, len(FLOWS) + 1))
def test_processes_share_all_partitions(count: int) -> None:
    given = {"HINDSIGHT_FLOWS": str(count)}
    running = [
        name for name in FLOWS if "profiles" not in SERVICES[name] or f"flows-{count}" in SERVICES[name]["profiles"]
    ]
    subsets = [put(SERVICES[name]["environment"]["ANALYTICS_PARTITION_SUBSET"], given) for name in running]
    assert subsets == [f"{number}/{count}" for number in range(count)]
    states = [volume.split(":")[0] for name in running for volume in SERVICES[name]["volumes"]]
    assert [state for state in states if state != "rules"] == running, "one state each"
    watched = yaml.safe_load((DOCKER / f"prometheus/flows/{count}.yml").read_text(encoding="utf-8"))
    assert watched == [{"targets": [f"{name}:9464" for name in running]}]
    mounts = [put(volume, given) for volume in SERVICES["prometheus"]["volumes"]]
    assert f"./prometheus/flows/{count}.yml:/etc/prometheus/flows.yml:ro" in mounts


def test_files_and_volumes_that_are_mounted_exist() -> None:
    used = set[str]()
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = source_of(volume)
            if source.startswith("."):
                assert (DOCKER / source).exists(), source
                assert volume.endswith(":ro"), source
            else:
                used.add(source)
    assert used == set(COMPOSE["volumes"])


def test_what_prometheus_and_grafana_look_for_is_there() -> None:
    prometheus = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = [target for job in prometheus["scrape_configs"] for one in job.get("static_configs", [])
               for target in one["targets"]]  # fmt: skip
    assert {target.split(":")[0] for target in targets} <= set(SERVICES) | {"localhost"}
    files = [file for job in prometheus["scrape_configs"] for one in job.get("file_sd_configs", [])
             for file in one["files"]]  # fmt: skip
    assert files == ["/etc/prometheus/flows.yml"]
    provisioned = "".join(
        path.read_text(encoding="utf-8") for path in (DOCKER / "grafana/provisioning").rglob("*.yaml")
    )
    assert set(re.findall(r"\$\{(\w+)\}", provisioned)) <= set(SERVICES["grafana"]["environment"])
    assert "path: /etc/hindsight/dashboards" in provisioned
    assert "./grafana/dashboards:/etc/hindsight/dashboards:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (DOCKER / "grafana/dashboards" / Path(home).name).is_file()


def test_logins_of_the_database_are_those_that_are_used() -> None:
    script = (DOCKER / "database/logins.sh").read_text(encoding="utf-8")
    made = set(re.findall(r"CREATE ROLE (\w+) LOGIN", script)) | {SERVICES["database"]["environment"]["POSTGRES_USER"]}
    used = {found for text in texts(COMPOSE) for found in re.findall(r"postgresql://(\w+):", text)}
    assert made == used | {SERVICES["grafana"]["environment"]["HINDSIGHT_DB_USER"]}
    assert set(re.findall(r"getenv \w+ (\w+)", script)) <= set(SERVICES["database"]["environment"])
    subprocess.run(["sh", "-n", str(DOCKER / "database/logins.sh")], check=True)
    subprocess.run(["sh", "-n", str(DOCKER / "nightly.sh")], check=True)


def test_the_image_has_what_it_copies_and_no_more_rights_than_it_needs() -> None:
    steps = [line for line in DOCKERFILE.splitlines() if line and not line.startswith("#")]
    stages = [step for step in steps if step.startswith("FROM ")]
    assert len(stages) == 2
    assert all(re.match(r"FROM python:3\.12-slim-\w+", stage) for stage in stages)
    last = steps[steps.index(stages[1]) :]
    assert "USER hindsight" in last
    assert any(step.startswith("HEALTHCHECK") for step in last)
    assert 'ENTRYPOINT ["hindsight"]' in last
    for step in steps:
        if step.startswith("COPY") and "--from" not in step:
            sources = [word for word in step.split()[1:-1] if not word.startswith("--")]
            for source in sources:
                assert (ROOT / source).exists(), source
                assert source in {".", "tools/lock_subset.py"} or source in KEPT, f"{source} is left out"
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    packages = re.search(r"^packages = \[(.*)\]", project, re.M)
    assert packages
    assert set(re.findall(r'"(\w+)"', packages[1])) | {"README.md", "pyproject.toml"} <= set(KEPT)
    assert IGNORED[1] == "*", "all is left out but what is named"


def test_the_image_gets_all_that_it_imports_and_no_tools_of_the_tests() -> None:
    extras = re.findall(r"--extra (\w+)", DOCKERFILE)
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    part = subset(lock, wanted_by((ROOT / "pyproject.toml").read_text(encoding="utf-8"), extras))
    names = set(re.findall(r"^([\w.-]+)==", part, re.M))
    assert {"bytewax", "psycopg-binary", "fastapi", "uvicorn", "mlxtend", "tsfresh", "matplotlib"} <= names
    assert not {"pytest", "ruff", "mypy", "playwright", "schemathesis", "hypothesis"} & names
    assert "--require-hashes" in DOCKERFILE


def test_a_lock_without_a_wanted_package_is_refused() -> None:
    with pytest.raises(KeyError, match="nothing-here"):
        subset("a==1\n", ["nothing-here"])


def test_a_new_volume_has_no_rules() -> None:
    assert not load_rules(DOCKER / "sequence-rules.json").by_id
