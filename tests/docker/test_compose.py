"""The compose file and the image: what is promised of them, as far as it shows without a Docker engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema_rs
import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flows.cli import COMMANDS, cli
from flows.settings import Settings, variable
from operators.detect.rules import load_rules
from operators.events import TOPICS
from sinks.embedded.programs import programs
from tools import lock_subset

ROOT = Path(__file__).parent.parent.parent
DOCKER = ROOT / "docker"
TEXT = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}
"""Services that do their work and end."""
FLOWS = {name: service for name, service in SERVICES.items() if name.startswith("flow")}
COUNTS = {"one": 1, "two": 2, "four": 4}
EVERY = [pytest.param(service, id=name) for name, service in SERVICES.items()]
SETTINGS = {variable(name) for name in Settings.model_fields}


def ours(service: dict[str, Any]) -> bool:
    return bool(service["image"].startswith("hindsight:"))


@cache
def example() -> dict[str, str]:
    """The variables of example.env, those too that are commented out."""
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", (DOCKER / "example.env").read_text(encoding="utf-8"), re.M)
    return dict(lines)


def test_what_the_issue_asks_for_is_there() -> None:
    wanted = {"kafka", "database", "prometheus", "alertmanager", "grafana", "flow", "nightly", "api"}
    assert wanted <= set(SERVICES)
    assert sorted(ONCE) == ["migrate", "reader", "topics"]


@pytest.mark.skipif("COMPOSE_SCHEMA" not in os.environ, reason="COMPOSE_SCHEMA names no compose-spec.json")
def test_the_file_is_of_the_specification() -> None:
    schema = json.loads(Path(os.environ["COMPOSE_SCHEMA"]).read_text(encoding="utf-8"))
    errors = [f"{list(one.instance_path)}: {one.message}" for one in jsonschema_rs.iter_errors(schema, COMPOSE)]
    assert not errors


def has_compose() -> bool:
    command = ["docker", "compose", "version"]
    return (
        shutil.which("docker") is not None and not subprocess.run(command, check=False, capture_output=True).returncode
    )


@pytest.mark.skipif(not has_compose(), reason="docker compose is missing")
def test_compose_reads_it() -> None:
    values = {name: "x" for name, value in example().items() if not value}
    command = ["docker", "compose", "--file", str(DOCKER / "compose.yaml"), "--profile", "*", "config", "--quiet"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **values}, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("service", EVERY)
def test_a_service_is_pinned_and_watched(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+(-pg\d+)?", service["image"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    assert "container_name" not in service
    assert not service.get("privileged")
    if ours(service):
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    if service["image"] not in {one["image"] for name, one in SERVICES.items() if name in ONCE and not ours(one)}:
        assert ours(service) or service["healthcheck"]["test"][0] == "CMD"


def test_all_that_stays_up_has_a_health_check() -> None:
    for name, service in SERVICES.items():
        if name in ONCE:
            continue
        assert service["restart"] == "unless-stopped", name
        check = service.get("healthcheck", {})
        assert not check.get("disable"), name
        assert check.get("test") or (ours(service) and "\nHEALTHCHECK " in DOCKERFILE), name


@pytest.mark.parametrize("service", EVERY)
def test_it_waits_for_what_it_needs(service: dict[str, Any]) -> None:
    for name, how in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if name in ONCE else "service_healthy"
        assert how == {"condition": wanted}, name
        needed = set(SERVICES[name].get("profiles", []))
        assert needed <= set(service.get("profiles", [])), f"{name} is not in the profile"


def test_ports_are_of_this_machine_alone() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 6
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


def test_volumes_and_files_exist() -> None:
    used = set()
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("./"):
                assert (DOCKER / source).exists(), (name, source)
                assert mode == ["ro"], (name, source)
            else:
                used.add(source)
            if ours(service):
                assert f" {target}" in DOCKERFILE, "the image makes it, so that it belongs to the user"
    assert used == set(COMPOSE["volumes"])


@pytest.mark.parametrize(("profile", "count"), COUNTS.items())
def test_flows_share_the_partitions(profile: str, count: int) -> None:
    of_it = [service for service in FLOWS.values() if service["profiles"] == [profile]]
    assert [service["command"] for service in of_it] == [["stream", "--subset", f"{i}/{count}"] for i in range(count)]
    folders = {service["volumes"][0] for service in FLOWS.values()}
    assert len(folders) == len(FLOWS) == sum(COUNTS.values()), "each process has a recovery directory of its own"
    assert all(folder.endswith(":/var/lib/hindsight/recovery") for folder in folders)


@pytest.mark.parametrize("service", [pytest.param(one, id=name) for name, one in SERVICES.items() if ours(one)])
def test_commands_and_settings_exist(service: dict[str, Any]) -> None:
    assert {name for name in service["environment"] if name.startswith("ANALYTICS_")} <= SETTINGS
    if "entrypoint" in service:
        assert service["entrypoint"] == ["hindsight-nightly-timer"]
        assert "hindsight nightly" in (DOCKER / "nightly.sh").read_text(encoding="utf-8")
        return
    name, *arguments = service["command"]
    assert name in COMMANDS
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    command.make_context(name, list(arguments))


def test_no_secret_is_in_it_and_every_variable_in_the_example() -> None:
    found = dict(re.findall(r"(?<!\$)\$\{([A-Z_]+)(:[-?][^}]*)?\}", TEXT))
    assert set(found) | {"COMPOSE_PROFILES"} == set(example()) | {"HINDSIGHT_KAFKA_CLUSTER_ID"}
    for name, rest in found.items():
        if "PASSWORD" in name:
            assert rest.startswith(":?"), name
            assert example()[name] == "", name
        else:
            assert rest.startswith(":-"), name
            assert example().get(name, rest[2:]) == rest[2:], name
    for name, service in SERVICES.items():
        for key, value in (service.get("environment") or {}).items():
            if "PASSWORD" in key:
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), (name, key)
    done = subprocess.run(
        ["git", "check-ignore", "docker/.env"], check=False, cwd=ROOT, capture_output=True, timeout=10
    )
    assert done.returncode in {0, 128}, "docker/.env could be committed"


def test_topics_are_those_of_the_contract() -> None:
    (script,) = SERVICES["topics"]["command"]
    kinds = re.search(r"for kind in ([\w ]+);", script)
    assert kinds
    assert set(kinds[1].split()) == set(TOPICS)
    assert '"hindsight.events.$$kind.v1"' in script


def test_prometheus_finds_every_target() -> None:
    names = set(SERVICES) | {"localhost"}
    scraped = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text(encoding="utf-8"))
    for job in scraped["scrape_configs"]:
        for config in job.get("static_configs", []):
            assert {target.partition(":")[0] for target in config["targets"]} <= names
        for config in job.get("dns_sd_configs", []):
            assert config["names"] == ["flow"]
            assert config["port"] == Settings.model_fields["metrics_port"].default
    for service in FLOWS.values():
        assert service["networks"]["default"]["aliases"] == ["flow"]
        assert service["environment"]["ANALYTICS_METRICS_HOST"] == "0.0.0.0"


def test_grafana_gets_what_its_provisioning_asks() -> None:
    asked = set()
    for path in (DOCKER / "grafana/provisioning").rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        yaml.safe_load(text)
        asked |= set(re.findall(r"\$\{(\w+)\}", text))
    assert asked <= set(SERVICES["grafana"]["environment"])
    assert SERVICES["grafana"]["environment"]["HINDSIGHT_DB_USER"] == "grafana"


def test_the_reader_reads_views_and_nothing_else(database: str) -> None:
    where = conninfo_to_dict(database)
    psql = programs() / "psql"
    with psycopg.connect(database, autocommit=True) as owner:
        try:
            for password in ("first", 'it\'s "second" $x'):
                done = subprocess.run(
                    [psql, "--no-psqlrc", "--quiet", "--dbname", database, "--file", DOCKER / "reader.sql"],
                    check=False, capture_output=True, text=True, timeout=30,
                    env={**os.environ, "READER_PASSWORD": password},
                )  # fmt: skip
                assert done.returncode == 0, done.stderr
            url = make_conninfo("", **{**where, "user": "grafana", "password": password})
            with psycopg.connect(url, autocommit=True) as reader:
                reader.execute("SELECT FROM patterns").fetchall()
                for statement in (b"SELECT FROM api_tokens", b"CREATE TEMP TABLE x ()"):
                    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)):
                        reader.execute(statement)
        finally:
            owner.execute("DROP ROLE IF EXISTS grafana")


def test_the_image_is_small_and_without_root() -> None:
    froms = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    assert froms == ["python:3.12-slim-bookworm"] * 2
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "\nUSER hindsight\n" in last
    assert not re.search(r"^(ADD|RUN .*(curl|apt-get))", DOCKERFILE, re.M)
    assert last.index("\nUSER ") < last.index("\nENTRYPOINT ")
    assert "--require-hashes" in DOCKERFILE
    environment = set(re.findall(r"\b(ANALYTICS_\w+)=", DOCKERFILE))
    assert environment <= SETTINGS


def test_what_the_image_copies_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"}
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", DOCKERFILE, re.M)
    for name in {name for line in copied for name in line.split()} - {"."}:
        assert name in kept, name
        assert (ROOT / name).exists(), name
    assert all((ROOT / name).exists() for name in kept)


def test_the_first_rules_are_rules(tmp_path: Path) -> None:
    found = re.search(r"echo '(.*)' >\S+/nightly/sequence-rules.json", DOCKERFILE)
    assert found
    (tmp_path / "rules.json").write_text(found[1] + "\n", encoding="utf-8")
    assert not load_rules(tmp_path / "rules.json").by_id


def test_the_part_of_the_lock_is_closed() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    part = lock_subset.subset(lock, lock_subset.wanted_by(project, ["api", "nightly", "report"]))
    names = {name for name, _, _ in lock_subset.blocks(part)}
    assert {"bytewax", "fastapi", "matplotlib", "mlxtend", "psycopg-binary", "starlette", "uvloop"} <= names
    assert not names & {"pytest", "playwright", "schemathesis", "ruff", "mypy", "grafana-foundation-sdk"}
    assert part.count("--hash=sha256:") > len(names)
