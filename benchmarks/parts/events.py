"""Events other than samples as rows, day by day: runs, tasks, exchanges between systems, patterns."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from benchmarks.parts.samples import DAY_US, SERVICES, Series, Size
from operators import tables as t
from operators.identity import identity
from operators.tables import Table

SHARES = {
    "runs": 0.08, "steps": 0.28, "tasks": 0.02, "task_executions": 0.12, "integration_events": 0.30,
    "resource_usage": 0.185, "patterns": 0.005, "dead_letters": 0.003,
}  # fmt: skip
"""Of the rows that are no metric samples, about. Each pattern also has three lines of history."""
STEPS = ("checkout", "install", "lint", "unit tests", "build", "integration tests", "publish")
WORDS = ("success",) * 88 + ("failure",) * 8 + ("error", "timeout", "cancelled", "skipped")
CLASSES = ("spike", "novelty", "trend", "level_shift", "threshold")
SEVERITIES = ("info", "low", "medium", "high", "critical")
KINDS = ("order", "webhook", "sync", "mail")
TRIGGERS = ("webhook", "scheduled", "manual")
REASONS = ("bad_json", "bad_data", "unknown_type", "not_finite", "too_large")
FAILED = {"success": 0.0, "failure": 1.0, "error": 1.0, "timeout": 1.0}
TOPICS = tuple(f"hindsight.events.{name}.v1" for name in ("metric", "pipeline", "task", "integration", "code"))

Point = tuple[str, str, str, int, float]
"""Entity, measure, kind, time, value."""
Values = tuple[Any, ...]


@dataclass
class Day:
    """What a day wrote: rows by table, as values in COPY order, and the points of series."""

    rows: dict[str, list[Values]] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)

    def add(self, table: Table, *values: Any) -> None:
        """One row."""
        self.rows.setdefault(table.name, []).append(values)

    def judged(self, entity: str, kind: str, at: int, status: str) -> None:
        """The point `failed`, where a status word has one."""
        if status in FAILED:
            self.points.append((entity, "failed", kind, at, FAILED[status]))


class Events:
    """All events of some days."""

    def __init__(self, size: Size, watched: Sequence[Series], shares: Mapping[str, float] = SHARES) -> None:
        self._size = size
        self._watched = watched
        self._a_day = {name: size.other * shares.get(name, 0.0) / size.days for name in SHARES}
        count = max(10, min(60, size.other // 5000))
        kinds = ("build", "test", "deploy", "nightly", "release")
        self.pipelines = [f"{kinds[i % 5]}-{SERVICES[i // 5 % 10]}-{i // 50}" for i in range(count)]
        self.projects = [f"project-{i:02d}" for i in range(20)]
        self.exchanges = [
            (SERVICES[i % 10], SERVICES[(i * 7 + 3) % 10] if i % 4 else None, KINDS[i % 4]) for i in range(40)
        ]
        self._tasks = 0

    def days(self) -> Iterator[tuple[int, Day]]:
        """Each day's rows."""
        for number in range(self._size.days):
            day = Day()
            dice = random.Random(number)
            start = self._size.since_us + number * DAY_US
            self._runs(day, dice, start, number)
            self._work(day, dice, start, number)
            self._integrations(day, dice, start, number)
            self._patterns(day, dice, start, number)
            yield number, day

    def _times(self, dice: random.Random, start: int, name: str, number: int) -> list[int]:
        count = int(self._a_day[name] * (number + 1)) - int(self._a_day[name] * number)
        return sorted(start + int(dice.random() * (DAY_US - 1000)) // 1000 * 1000 for _ in range(count))

    def _runs(self, day: Day, dice: random.Random, start: int, number: int) -> None:
        last = start + DAY_US - 1000
        each = SHARES["steps"] / SHARES["runs"]
        for place, at in enumerate(self._times(dice, start, "runs", number)):
            which = int(dice.random() ** 2 * len(self.pipelines))
            name, execution = self.pipelines[which], f"{number}-{place}"
            run = identity(f"pipeline_execution:{name}", execution)
            status = WORDS[int(dice.random() * len(WORDS))]
            seconds = round((60 + 20 * which) * dice.lognormvariate(0, 0.35), 3)
            steps = min(len(STEPS), int(each + dice.random() * 1.999 - 0.5))
            end = at + int(seconds * 1e6)
            told = min(end, last)
            event = f"{run}"
            done = at
            for order in range(steps):
                begun, done = done, done + int(seconds * 1e6 / steps)
                word = status if order == steps - 1 else "success"
                entity = f"{name}/{STEPS[order]}"
                day.add(
                    t.STEP_EXECUTIONS, identity("step_execution", f"{run}/{order}"), run, order, begun, done, name,
                    STEPS[order], word, b"{}" if word == "success" else b'{"exit_code": 1}',
                    b'{"cache_hit": true, "files": 412}', b"{}", end, event,
                )  # fmt: skip
                day.points.append((entity, "duration_s", "step", told, (done - begun) / 1e6))
                day.judged(entity, "step", told, word)
            day.add(
                t.PIPELINE_EXECUTIONS, run, execution, name, at, end, status, TRIGGERS[place % 3],
                b'{"branch": "main"}', seconds, None, f"{dice.getrandbits(160):040x}", None, True, end, event,
            )  # fmt: skip
            day.points.append((name, "duration_s", "pipeline", told, seconds))
            day.judged(name, "pipeline", told, status)

    def _work(self, day: Day, dice: random.Random, start: int, number: int) -> None:
        last = start + DAY_US - 1000
        for at in self._times(dice, start, "tasks", number):
            task, project = f"T-{self._tasks}", self.projects[self._tasks % 20]
            self._tasks += 1
            # Most tasks of the first days are done by the end.
            done = dice.random() < 0.9 - 0.5 * number / self._size.days
            status = "done" if done else ("open", "in_progress")[self._tasks % 2]
            changed = at + int(dice.expovariate(1 / (2 * DAY_US))) if status != "open" else at
            changed = min(changed, self._size.until_us - 1000)
            person = f"person-{self._tasks % 37}"
            day.add(
                t.TASKS, identity("task", task), task, f"Task {task} of {project}", None, status, self._tasks % 5, at,
                changed, identity("user", person), person, identity("project", project), project, 60, None,
                round(dice.random() * 10, 1), b'["backend"]', changed, task,
            )  # fmt: skip
        for place, at in enumerate(self._times(dice, start, "task_executions", number)):
            task = f"T-{int(dice.random() * max(self._tasks, 1))}"
            project = self.projects[int(task[2:]) % 20]
            execution, status = f"{number}-{place}", WORDS[int(dice.random() * len(WORDS))]
            seconds = round(dice.lognormvariate(7, 1), 3)
            end = at + int(seconds * 1e6)
            told = min(end, last)
            bad = status in ("failure", "error", "timeout")
            day.add(
                t.TASK_EXECUTIONS, identity(f"task_execution:{task}", execution), identity("task", task), execution, 1,
                at, end, status, "AssertionError" if bad else None, "it did not hold" if bad else None,
                b'{"steps": 12}', b"{}", project, end, f"{task}/{execution}",
            )  # fmt: skip
            day.points.append((project, "duration_s", "task", told, seconds))
            day.judged(project, "task", told, status)

    def _integrations(self, day: Day, dice: random.Random, start: int, number: int) -> None:
        for place, at in enumerate(self._times(dice, start, "integration_events", number)):
            source, target, kind = self.exchanges[int(dice.random() ** 1.5 * len(self.exchanges))]
            roll = dice.random()
            status = "failure" if roll < 0.03 else "partial" if roll < 0.05 else "success"
            took = round(dice.lognormvariate(4, 0.6), 2)
            correlation = f"c-{number}-{place // 3}" if place % 2 else None
            day.add(
                t.INTEGRATION_EVENTS, UUID(int=dice.getrandbits(128)), at, kind, source, target,
                b'{"order": %d, "items": %d, "currency": "EUR"}' % (place, place % 9), took, status,
                b"{}" if status == "success" else b'{"code": 502}',
                identity("correlation", correlation) if correlation else None, correlation,
            )  # fmt: skip
            entity = f"{source}{f'→{target}' if target else ''}:{kind}"
            day.points.append((entity, "processing_ms", "integration", at, took))
            if status != "partial":
                day.judged(entity, "integration", at, status)

    def _patterns(self, day: Day, dice: random.Random, start: int, number: int) -> None:
        for place, at in enumerate(self._times(dice, start, "patterns", number)):
            pattern = UUID(int=dice.getrandbits(128))
            kind = CLASSES[int(dice.random() * len(CLASSES))]
            watched = self._watched[place % len(self._watched)]
            entity, measure = watched.entity, watched.measure
            ended = at + int(dice.expovariate(1 / 1.2e9))
            active = ended > self._size.until_us
            value, score = round(100 + dice.random() * 400, 2), round(dice.random() * 12, 3)
            data = {
                "class": kind, "value": value, "expected": 80.0, "low": 60.0, "high": 100.0, "score": score,
                "peak_value": value * 1.2, "peak_score": score * 1.2, "evidence": {"window": [80.0, 81.5, 79.2, value]},
            }  # fmt: skip
            seen = min(ended, self._size.until_us)
            severity = SEVERITIES[int(dice.random() ** 1.5 * 5)]
            day.add(
                t.DETECTED_PATTERNS, pattern, f"{kind} of {measure}", kind, "performance", data, kind,
                round(dice.uniform(0.6, 1), 3), round(dice.random(), 3), at, seen, 1 + place % 30, active, entity,
                measure, severity, "up", at, None if active else ended, at, at + 300_000, at + 350_000,
                f"{measure} of {entity} is {value} where 80 is usual",
            )  # fmt: skip
            day.add(
                t.METRIC_PATTERNS, pattern, pattern, [measure], kind, {"entity": entity, **data}, 0.7, "increasing", at
            )
            changes = (("opened", at), ("strengthening", at + 10_000_000), *([] if active else [("resolved", ended)]))
            for change, moment in changes:
                before = {} if change == "opened" else {"severity": severity, "score": score, "direction": "up"}
                day.add(
                    t.PATTERN_EVOLUTION, identity("pattern_evolution", f"{pattern}/{change}/{moment}"), pattern, change,
                    before, {"severity": severity, "peak_value": value, "is_active": active}, score, moment,
                    {"contributors": []},
                )  # fmt: skip
        for place, at in enumerate(self._times(dice, start, "dead_letters", number)):
            topic, offset = TOPICS[place % 5], number * 1_000_000 + place
            day.add(
                t.DEAD_LETTERS, identity("dead_letter", f"{topic}/{place % 4}/{offset}"), topic, place % 4, offset,
                REASONS[place % 5], "what is wrong with it", b"key", b'{"id": "' + b"x" * 200, b"[]", at,
            )  # fmt: skip


def counters(size: Size) -> list[bytes]:
    """Rows of `stream_counters`, as many records read as there are rows."""
    rows = []
    for number, topic in enumerate(TOPICS):
        total = size.rows if number == 0 else size.other // 4
        for partition in range(4):
            part = total // 4
            bad, late = part // 1000, part // 500
            cells = [("read", "", part), ("applied", "", part - bad - late), ("late", "", late), ("duplicate", "", 0)]
            cells += [("dead_letter", reason, bad // 5) for reason in REASONS] + [("patterns", "", 100)]
            rows += [t.STREAM_COUNTERS.encode((topic, partition, *cell, size.until_us)) for cell in cells]
    return rows
