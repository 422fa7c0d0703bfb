"""docker/compose.yaml: what can be known of it without an engine. That it runs is not tested here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from flows.cli import cli
from flows.settings import Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker/compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_watched_and_open_to_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    if name not in OURS:
        assert re.search(r":v?\d+\.\d+\.\d+(-pg\d+)?$", service["image"]), "an exact version"
    if name != "migrate":
        assert service.get("healthcheck", {}).get("test") or name in OURS, "the image of Hindsight brings its own"
        assert service["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_what_it_needs(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how["condition"] == ("service_completed_successfully" if other == "migrate" else "service_healthy")
        assert other in SERVICES


@pytest.mark.parametrize("name", OURS)
def test_hindsight_runs_with_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    owner = "//hindsight:" in service["environment"]["ANALYTICS_DATABASE_URL"]
    assert owner == (name == "migrate"), "only migrations are the owner's"


def test_no_password_is_in_it_and_each_must_be_given() -> None:
    named = set(re.findall(r"\$\{(HINDSIGHT_\w+_PASSWORD)(?::\?[^}]*)?\}", TEXT))
    assert named == set(re.findall(r"^(HINDSIGHT_\w+_PASSWORD)=$", (ROOT / "docker/.env.example").read_text(), re.M))
    assert all(re.search(rf"\$\{{{name}:\?", TEXT) for name in named)
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if "PASSWORD" in key:
                assert str(value).startswith("${"), key


def test_commands_and_settings_exist() -> None:
    known = {f"ANALYTICS_{name.upper()}" for name in Settings.model_fields}
    for name in OURS:
        service = SERVICES[name]
        assert {key for key in service["environment"] if key.startswith("ANALYTICS_")} <= known
        if service["command"]:
            done = CliRunner().invoke(cli, [service["command"][0], "--help"])
            assert done.exit_code == 0
            assert all(option in done.output for option in service["command"] if option.startswith("--"))
    assert "hindsight nightly" in (ROOT / "docker/nightly.sh").read_text()


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / "docker" / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]


def test_each_variable_of_grafana_is_given() -> None:
    given = SERVICES["grafana"]["environment"]
    for path in (ROOT / "docker/grafana/provisioning").rglob("*.yaml"):
        assert set(re.findall(r"\$\{(HINDSIGHT_\w+)\}", path.read_text())) <= set(given), path.name
