from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import pytest

from flows import cli
from flows.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def leave_logging_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ANALYTICS_LOG_LEVEL", raising=False)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a subcommand `probe` with this body (and options) into the table."""

    def put(body: Callable[..., Any], *params: click.Parameter) -> None:
        module = ModuleType("flows.commands.probe")
        module.command = click.Command("probe", callback=body, params=list(params))  # type: ignore[attr-defined]
        module.__spec__ = __spec__
        monkeypatch.setitem(sys.modules, "flows.commands.probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("flows.commands.probe", "Probe."))

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def hindsight(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        **options,
    )


def test_help_lists_the_commands_and_imports_none() -> None:
    names = [
        "flows.settings",
        "flows.commands",
        "pydantic",
        "bytewax",
        "confluent_kafka",
        "psycopg",
        "rich",
        "msgspec",
    ]
    code = f"import sys; from flows.cli import run; run(['--help']); print([m for m in {names} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    listed, imported = done.stdout.rsplit("\n", 2)[:2]
    assert "Example:" in listed
    for name in cli.cli.list_commands(click.Context(cli.cli)):
        assert f"\n  {name} " in listed
    # The folder's own, empty __init__ is what looking for its modules costs.
    assert imported in ("[]", "['flows.commands']")


def test_help_is_quick() -> None:
    def seconds() -> float:
        start = time.perf_counter()
        hindsight("--help")
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 0.5  # 0.15 s on an idle machine


def test_version() -> None:
    done = hindsight("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("hindsight ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["frobnicate"], "hindsight: No such command 'frobnicate'. (try 'hindsight --help')\n"),
        (["--frobnicate"], "hindsight: No such option '--frobnicate'. (try 'hindsight --help')\n"),
        (
            ["probe", "--frobnicate"],
            "hindsight: No such option '--frobnicate'. (try 'hindsight probe --help')\n",
        ),
        (
            ["probe", "--count", "x"],
            "hindsight: Invalid value for '--count': 'x' is not a valid integer. (try 'hindsight probe --help')\n",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    command(lambda count: None, click.Option(["--count"], type=int))
    assert cli.run(arguments) == 2
    assert capsys.readouterr() == ("", line)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 2
    assert "Commands:" in capsys.readouterr().err or not cli.cli.list_commands(click.Context(cli.cli))


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (click.ClickException("no\nluck"), 1, "hindsight: no | luck\n"),
        (SettingsError("setting X: must be 1"), 2, "hindsight: setting X: must be 1\n"),
        (ValueError("broken\n  thing"), 1, f"hindsight: ValueError: broken | thing ({cli.DEBUG_HINT})\n"),
        (ValueError(), 1, f"hindsight: ValueError: no message ({cli.DEBUG_HINT})\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError("server gone"), 1, f"hindsight: BrokenPipeError: server gone ({cli.DEBUG_HINT})\n"),
    ],
)
def test_error_is_one_line(
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
    line: str,
) -> None:
    command(raising(error))
    assert cli.run(["probe"]) == status
    assert capsys.readouterr() == ("", line)


def wrapped(cause: BaseException) -> RuntimeError:
    """As Bytewax raises what a step raised."""
    outer = RuntimeError("(src/worker.rs:155:10) error building Dataflow")
    outer.__cause__ = cause
    return outer


@pytest.mark.parametrize(
    ("cause", "status", "line"),
    [
        (SettingsError("offset gone"), 2, "hindsight: offset gone\n"),
        (KeyError("x"), 1, f"hindsight: KeyError: 'x' ({cli.DEBUG_HINT})\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_error_inside_a_dataflow_is_the_error(
    command: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    cause: BaseException,
    status: int,
    line: str,
) -> None:
    command(raising(wrapped(wrapped(cause))))
    assert cli.run(["probe"]) == status
    assert capsys.readouterr().err == line


def test_debug_shows_the_traceback(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANALYTICS_LOG_LEVEL", "debug")
    command(raising(ValueError("broken")))
    assert cli.run(["probe"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("hindsight: ValueError: broken")


def test_status_of_a_command_is_the_exit_status(command: Callable[..., None]) -> None:
    command(lambda: None)
    assert cli.run(["probe"]) == 0
    command(lambda: 1)
    assert cli.run(["probe"]) == 1
    command(lambda: click.get_current_context().exit(3))
    assert cli.run(["probe"]) == 3


def test_prepare_reads_settings_and_warns_of_unknown_variables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANALYTICS_LOG_FORMAT", "json")
    monkeypatch.setenv("ANALYTICS_BATCHSIZE", "3")
    assert cli.prepare(batch_size=7).batch_size == 7
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"]) == ("warning", "flows.cli")
    assert line["message"] == "ANALYTICS_BATCHSIZE has no effect; did you mean ANALYTICS_BATCH_SIZE?"


def test_reader_that_goes_away_is_met_with_silence() -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "flows", "--help"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 1


def test_interrupt_is_130_without_a_word() -> None:
    code = (
        "import signal, sys, time, click; from flows import cli\n"
        # Of a process in the background of a shell, nobody hears the signal.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "@cli.cli.command('wait')\n"
        "def wait():\n"
        "    print('ready', flush=True); time.sleep(30)\n"
        "cli.COMMANDS['wait'] = ('time', 'Wait.'); import types; sys.modules['time'].command = wait\n"
        "cli.main(['wait'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == ("", "")
    assert process.returncode == 130
