"""The house rules that no linter knows."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from flows.cli import COMMANDS, cli
from tools import check_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
MAX_LINES = 400


def python_files() -> list[Path]:
    folders = ["flows", "operators", "sources", "sinks", "sql", "tools", "tests", "benchmarks", "api"]
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "target" not in path.relative_to(ROOT).parts
    )


def commands() -> Iterator[tuple[str, click.Command]]:
    def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            context = click.Context(command, info_name=name)
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found, f"{name} {child}"
                yield from walk(found, f"{name} {child}")

    return walk(cli, "hindsight")


def test_every_command_has_help_with_an_example() -> None:
    for name, command in commands():
        text = command.get_help(click.Context(command, info_name=name))
        assert "Example" in text, f"{name} --help has no example"
        for param in command.params:
            assert not isinstance(param, click.Option) or param.help, f"{name} {param.opts} has no help"


def test_every_command_module_is_in_the_table() -> None:
    modules = {f"flows.commands.{path.stem}" for path in (ROOT / "flows/commands").glob("[a-z]*.py")}
    listed = {module for module, _ in COMMANDS.values()}
    missing = {
        module
        for module in modules - listed
        if "\ncommand" in (text := (ROOT / (module.replace(".", "/") + ".py")).read_text()) or "def command(" in text
    }
    assert not missing


def test_files_are_short() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in python_files() if (lines := count(path)) > MAX_LINES}
    assert not long


def count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_folders_of_code_are_packages() -> None:
    # Without it, two test files of one name in different folders hide each other.
    bare = {path.parent for path in python_files() if not (path.parent / "__init__.py").exists()}
    assert not {str(path.relative_to(ROOT)) for path in bare if path != ROOT / "benchmarks"}


def test_lock_meets_the_project() -> None:
    lock, project = (ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text()
    assert list(check_lock.problems(lock, project)) == []
    for extra in check_lock.APART:
        apart = (ROOT / f"requirements-{extra}.lock").read_text()
        assert list(check_lock.problems(apart, project, extra)) == []
        assert list(check_lock.problems("", project, extra))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda lock: lock + "--extra-index-url x\n", "the lock holds '--extra-index-url'"),
        (lambda lock: lock + "--find-links x\n", "the lock holds '--find-links'"),
        (lambda lock: lock.replace("click==", "click @ https://x/click-"), "the lock holds '://'"),
        (
            lambda lock: lock.replace("bytewax==0.21.", "bytewax==0.20."),
            "bytewax==0.21.* is not met on Python 3.11, linux",
        ),
        (
            lambda lock: lock.replace("msgspec==", "msgspeck=="),
            "msgspec>=0.19 is not met on Python 3.12, darwin",
        ),
        (lambda lock: lock.replace("numpy==2.4", "numpy==1.4"), "numpy>=2 is not met on Python 3.11, linux"),
        (lambda lock: lock.replace("click==", "click>="), "is not pinned to one version"),
        (lambda lock: lock.replace("--hash=sha256:", "--hash=md5:"), "has no hash"),
    ],
)
def test_a_lock_that_is_wrong_is_found(change: object, problem: str) -> None:
    lock, project = (ROOT / "requirements.lock").read_text(), (ROOT / "pyproject.toml").read_text()
    assert callable(change)
    assert any(problem in found for found in check_lock.problems(change(lock), project))


def test_make_alone_lists_every_command() -> None:
    text = (ROOT / "Makefile").read_text()
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, text=True, capture_output=True, check=True
    ).stdout
    phony = text.split(".PHONY:", 1)[1].splitlines()[0].split()
    assert [line.split()[1] for line in shown.splitlines()] == phony
    assert "make test" in (ROOT / ".ci/run").read_text()
