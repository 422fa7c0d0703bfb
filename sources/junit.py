"""Reports of tests in JUnit's XML, as one `pipeline.finished.v1` event: the run, and a step for each class of tests.

There is no one schema; what is read is what pytest, Maven's surefire and failsafe, Gradle, Ant, Jest and others have in
common: `testsuite` (nested or not) with `name`, `time`, `timestamp`, and in it `testcase` with `classname`, `name`,
`time` and a child `failure`, `error` or `skipped`; of surefire also `flakyFailure` and `flakyError` (it passed in the
end). Shape: https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd and pytest's
`junitxml`.

The files of one call are one run. Its id, unless given, is a digest of their contents, so that a repetition changes
nothing. A document type is refused, and with it every entity that a report could declare.

Where it does not work well: reports do not say when a test began, so each step begins where its suite does; tests that
ran side by side sum up to more than the clock showed; a suite without a timestamp (surefire's) ends when its file was
written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, BinaryIO
from urllib.parse import quote
from xml.parsers import expat

EVENT_TYPE = "dev.hindsight.pipeline.finished.v1"
MOST_BYTES = 64 << 20
"""Of one report."""
MOST_CASES = 200_000
"""Tests of one run."""
MOST_DEPTH = 32
"""Of elements in each other."""
MOST_EVENT_BYTES = 1_000_000
"""Of the event: a little less than what a record may have."""
MOST_FAILED = 20
"""Failed tests that a step names."""
MOST_TEXT = 500
"""Characters of a message."""
MOST_NAME = 255
"""Characters of a name, as the contract has it."""

_PROBLEMS = {"failure": "failure", "error": "error", "skipped": "skipped"}
_FLAKY = ("flakyFailure", "flakyError")
_BLOCK = 1 << 16
_BETTER = ("skipped", "success", "error", "failure")
"""Words of status: the run's is the last of these that one of its tests has."""


class JunitError(ValueError):
    """A report cannot be used; the message is one line."""


@dataclass
class Case:
    """One test: `status` is success, failure, error or skipped; `seconds` as reported."""

    group: str
    name: str
    seconds: float
    status: str = "success"
    flaky: bool = False
    kind: str = ""
    message: str = ""


@dataclass
class Suite:
    """A `testsuite` that holds tests itself. `start` is `None` where the report has no timestamp."""

    name: str
    seconds: float | None
    start: datetime | None
    cases: list[Case] = field(default_factory=list)

    @property
    def length(self) -> float:
        """Its seconds as reported, else the sum of its tests'."""
        return sum(case.seconds for case in self.cases) if self.seconds is None else self.seconds


@dataclass(frozen=True)
class Report:
    """A file of suites; `digest` is SHA-256 of its bytes, `written` when the file was (`None`: not known)."""

    suites: Sequence[Suite]
    digest: bytes
    written: datetime | None = None


class _Reader:
    """Handlers of the parser. Nothing is kept but what the event needs."""

    def __init__(self, zone: tzinfo) -> None:
        self.suites: list[Suite] = []
        self._zone = zone
        self._path: list[str] = []
        self._open: list[Suite] = []
        self._case: Case | None = None
        self._text: list[str] | None = None
        self._room = 0
        self._count = 0

    def start(self, tag: str, found: dict[str, str]) -> None:
        tag = tag.rpartition(":")[2]
        if not self._path and tag not in ("testsuite", "testsuites"):
            raise JunitError(f"is no JUnit report: it begins with <{tag[:40]}>")
        self._path.append(tag)
        if len(self._path) > MOST_DEPTH:
            raise JunitError(f"has more than {MOST_DEPTH} elements in each other")
        if tag == "testsuite":
            seconds = _seconds(found["time"]) if found.get("time") else None
            suite = Suite(found.get("name", ""), seconds, _moment(found.get("timestamp", ""), self._zone))
            self._open.append(suite)
            self.suites.append(suite)
        elif tag == "testcase" and self._open:
            self._begin(found)
        elif self._case and len(self._path) > 1 and self._path[-2] == "testcase":
            self._outcome(self._case, tag, found)

    def end(self, tag: str) -> None:
        tag = tag.rpartition(":")[2]
        self._path.pop()
        if tag == "testsuite":
            self._open.pop()
        elif tag == "testcase":
            self._case = None
        elif self._text is not None and tag in _PROBLEMS:
            if self._case and not self._case.message:
                self._case.message = _short("".join(self._text))
            self._text = None

    def characters(self, text: str) -> None:
        if self._text is not None and self._room > 0:
            self._text.append(text[: self._room])
            self._room -= len(text)

    def _begin(self, found: dict[str, str]) -> None:
        self._count += 1
        if self._count > MOST_CASES:
            raise JunitError(f"has more than {MOST_CASES:,} tests")
        suite = self._open[-1]
        group = found.get("classname") or suite.name or "tests"
        self._case = Case(group, found.get("name") or "unnamed", _seconds(found.get("time", "")))
        suite.cases.append(self._case)

    def _outcome(self, case: Case, tag: str, found: dict[str, str]) -> None:
        case.flaky = case.flaky or tag in _FLAKY
        status = _PROBLEMS.get(tag)
        if status is None or (case.status != "success" and _BETTER.index(status) <= _BETTER.index(case.status)):
            return
        case.status, case.kind, case.message = status, found.get("type", ""), _short(found.get("message", ""))
        self._text, self._room = [], MOST_TEXT * 2


def read(stream: BinaryIO, zone: tzinfo = UTC, written: datetime | None = None) -> Report:
    """The suites of one report. `zone` is that of timestamps without an offset, `written` the time of the file.

    Raises :class:`JunitError`: one line that says what is wrong, without the file's name.

    >>> import io
    >>> text = b'<testsuite name="a" timestamp="2026-01-05T10:00:00"><testcase name="t"/></testsuite>'
    >>> report = read(io.BytesIO(text))
    >>> report.suites[0].start.isoformat(), report.suites[0].cases[0].status
    ('2026-01-05T10:00:00+00:00', 'success')
    >>> read(io.BytesIO(b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>'))
    Traceback (most recent call last):
    ...
    sources.junit.JunitError: has a document type: such reports are refused, they could declare entities
    """
    reader = _Reader(zone)
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    digest = hashlib.sha256()
    size = 0
    try:
        while block := stream.read(_BLOCK):
            size += len(block)
            if size > MOST_BYTES:
                raise JunitError(f"is longer than {MOST_BYTES >> 20} MiB")
            digest.update(block)
            parser.Parse(block, False)
        if not size:
            raise JunitError("is empty")
        parser.Parse(b"", True)
    except expat.ExpatError as problem:
        raise JunitError(f"is no whole XML: {problem}") from None
    except OSError as problem:
        raise JunitError(f"cannot be read: {problem.strerror or problem}") from None
    except (ValueError, LookupError) as problem:  # such as an encoding that is not known
        raise problem if isinstance(problem, JunitError) else JunitError(f"is no whole XML: {problem}") from None
    return Report([suite for suite in reader.suites if suite.cases or suite.start], digest.digest(), written)


@dataclass(frozen=True)
class Run:
    """What the reports do not say. `run` is the execution's id (`None`: a digest of the reports), `time` its start
    where reports have none, `by` what makes a step: `class`, `test` or `none`."""

    pipeline: str
    run: str | None = None
    time: datetime | None = None
    by: str = "class"
    commit: str | None = None
    trigger: str = "webhook"


def event(reports: Sequence[Report], run: Run) -> dict[str, Any]:
    """The reports as one event. Raises :class:`JunitError` where they do not fit in one, or have no time."""
    begun = [(suite, *_span(suite, report, run.time)) for report in reports for suite in report.suites]
    if not begun and run.time is None and not any(report.written for report in reports):
        raise JunitError("has no test and no timestamp: give --time")
    empty = run.time or next((report.written for report in reports if report.written), None)
    start = min((first for _, first, _ in begun), default=empty)
    end = max((last for _, _, last in begun), default=empty)
    assert start is not None and end is not None
    cases = [case for suite, _, _ in begun for case in suite.cases]
    if len(cases) > MOST_CASES:
        raise JunitError(f"there are more than {MOST_CASES:,} tests")
    counts = {word: sum(case.status == word for case in cases) for word in _BETTER}
    ran = len(cases) - counts["skipped"]
    contents = hashlib.sha256(b"".join(sorted(report.digest for report in reports))).hexdigest()[:32]
    name = run.run or contents
    data: dict[str, Any] = {
        "pipeline_name": run.pipeline[:MOST_NAME],
        "execution_id": name[:MOST_NAME],
        "execution_start": _stamp(start),
        "execution_end": _stamp(end),
        "trigger_type": run.trigger,
        "trigger_data": {"tests": len(cases), "flaky": sum(case.flaky for case in cases), **counts},
        "status": _worst(cases),
    }
    if run.commit:
        data["commit_sha"] = run.commit
    if ran:
        data["success_rate"] = round(counts["success"] / ran, 6)
    # The same run told again with other contents is another event of the same row.
    about = "\0".join((run.pipeline, name, contents)).encode()
    made = {
        "specversion": "1.0",
        "id": f"junit-{hashlib.sha256(about).hexdigest()[:32]}",
        "source": f"tests://{quote(run.pipeline, safe='/:')}"[:2048],
        "type": EVENT_TYPE,
        "time": data["execution_end"],
        "data": data,
    }
    if run.by == "none":
        return made
    for messages in (True, False):
        data["steps"] = _steps(begun, run.by, messages)
        if len(json.dumps(made, ensure_ascii=False).encode()) <= MOST_EVENT_BYTES:
            return made
    advice = "--steps class or none" if run.by == "test" else "--steps none, or fewer files in one call"
    raise JunitError(f"{len(data['steps']):,} steps are more than an event may hold: try {advice}")


def _steps(begun: Sequence[tuple[Suite, datetime, datetime]], by: str, messages: bool) -> list[dict[str, Any]]:
    groups: dict[object, tuple[str, datetime, list[Case]]] = {}
    for suite, start, _ in begun:
        for case in suite.cases:
            key: object = case.group if by == "class" else id(case)
            name = case.group if by == "class" else f"{case.group}.{case.name}"
            groups.setdefault(key, (name, start, []))[2].append(case)
    return [_step(order, *group, messages) for order, group in enumerate(groups.values(), 1)]


def _step(order: int, name: str, start: datetime, cases: Sequence[Case], messages: bool) -> dict[str, Any]:
    bad = [case for case in cases if case.status in ("failure", "error")]
    step: dict[str, Any] = {
        "step_name": name[:MOST_NAME],
        "step_order": order,
        "execution_start": _stamp(start),
        "execution_end": _stamp(start + timedelta(seconds=sum(case.seconds for case in cases))),
        "status": _worst(cases),
    }
    if len(cases) > 1:
        step["performance_data"] = {"tests": len(cases), "failed": len(bad)}
    if any(case.flaky for case in cases):
        step.setdefault("performance_data", {})["flaky"] = sum(case.flaky for case in cases)
    if bad and messages:
        shown = [
            {
                "test": case.name[:MOST_NAME],
                "status": case.status,
                "type": case.kind[:MOST_NAME],
                "message": case.message,
            }
            for case in bad[:MOST_FAILED]
        ]
        step["error_details"] = {"failed": len(bad), "tests": shown}
    return step


def _worst(cases: Sequence[Case]) -> str:
    return max((case.status for case in cases), key=_BETTER.index, default="skipped")


def _span(suite: Suite, report: Report, given: datetime | None) -> tuple[datetime, datetime]:
    length = timedelta(seconds=suite.length)
    start = suite.start or given
    if start is not None:
        return start, start + length
    if report.written is None:
        raise JunitError("has no timestamp: give --time")
    return report.written - length, report.written


def _seconds(text: str) -> float:
    """Surefire groups thousands: `1,234.567`. What is no number, or less than 0, is 0."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        return 0.0
    return min(value, 1e8) if math.isfinite(value) and value > 0 else 0.0


def _moment(text: str, zone: tzinfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _short(text: str) -> str:
    text = re.sub(r"\s+", " ", text.replace("\0", "")).strip()
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _refuse(*_: object) -> None:
    raise JunitError("has a document type: such reports are refused, they could declare entities")
