from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from flows import log

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def leave_logging_alone() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        logging.getLogger("a.b").exception("it broke", extra={"rows": 3})


def test_one_line_a_record_however_often_it_is_set_up(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure()
    log.configure("info")
    logging.getLogger("a.b").info("two\nlines")
    logging.getLogger("a.b").debug("not shown")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("Z info    a.b: two | lines")


def test_traceback_only_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("info")
    fail()
    text = capsys.readouterr().err
    assert text.endswith("error   a.b: it broke rows=3 (ValueError: bad | thing)\n")
    assert text.count("\n") == 1
    log.configure("debug")
    fail()
    assert "Traceback (most recent call last):" in capsys.readouterr().err


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug", "json")
    fail()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert (found["level"], found["logger"], found["message"], found["rows"]) == (
        "error",
        "a.b",
        "it broke",
        3,
    )
    assert found["error"] == "ValueError: bad\nthing"
    assert found["traceback"].startswith("Traceback")


def test_third_parties_are_quiet_unless_it_matters(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("debug")
    logging.getLogger("psycopg.pool").info("chatter")
    logging.getLogger("psycopg.pool").warning("matters")
    assert "matters" in (text := capsys.readouterr().err)
    assert "chatter" not in text
