"""Failures inside Bytewax are kept as they were, and its panics are not printed."""

import logging
import os
import subprocess
import sys
from typing import Any

import pytest

from flows.guard import Guard, panics_held_back


class Part:
    def next_batch(self) -> list[int]:
        raise ValueError("oh")

    def close(self) -> None:
        raise KeyError("later")


class Connector:
    def list_parts(self) -> list[str]:
        return ["a"]

    def build_part(self, step: str, name: str, state: Any) -> Part:
        if name == "missing":
            raise FileNotFoundError(name)
        return Part()


def test_the_first_failure_is_kept_and_raised_on() -> None:
    guard = Guard()
    connector = guard.connector(Connector())
    assert connector.list_parts() == ["a"]
    part = connector.build_part("s", "a", None)
    assert guard.first is None
    with pytest.raises(ValueError, match="oh"):
        part.next_batch()
    with pytest.raises(KeyError):
        part.close()
    assert repr(guard.first) == "ValueError('oh')"


def test_a_part_that_cannot_be_built_is_a_failure_too() -> None:
    guard = Guard()
    with pytest.raises(FileNotFoundError):
        guard.connector(Connector()).build_part("s", "missing", None)
    assert isinstance(guard.first, FileNotFoundError)


def test_the_end_of_a_source_is_none() -> None:
    guard = Guard()

    def end() -> None:
        raise StopIteration

    with pytest.raises(StopIteration):
        guard.call(end)()
    assert guard.first is None
    assert guard.call(lambda x, y=1: x + y)(2, y=3) == 5


def test_native_output_is_held_back_and_logged(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = sys.stderr
    with panics_held_back():
        os.write(2, b"thread panicked\n")
        sys.stderr.write("python speaks\n")
        logging.getLogger("x").warning("logged")
    os.write(2, b"after\n")
    assert sys.stderr is before
    shown = capfd.readouterr().err
    assert "panicked" not in shown
    assert "python speaks\n" in shown
    assert shown.endswith("after\n")
    assert [record.getMessage() for record in caplog.records] == ["logged", "printed by native code: thread panicked"]


def test_it_is_undone_after_a_failure() -> None:
    code = (
        "import os, sys\nfrom flows.guard import panics_held_back\n"
        "try:\n with panics_held_back():\n  os.write(2, b'panic'); raise ValueError\n"
        "except ValueError: os.write(2, b'on fd 2'); print(' on stderr', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "on fd 2 on stderr\n"
