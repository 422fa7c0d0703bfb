"""Generated events with everything that goes wrong in life: disorder, redelivery, lateness, malformed records.

What is wrong with a record is known here by construction, not by asking the code under test.
"""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 10, 0, tzinfo=UTC)
TYPE = "dev.hindsight."


@dataclass
class Generated:
    """Records by partition, each with the reason for which it must become a dead letter, or None."""

    partitions: list[list[tuple[bytes, str | None]]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(len(records) for records in self.partitions)


def rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def envelope(kind: str, identifier: str, source: str, moment: datetime, data: dict[str, object]) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": identifier,
        "source": source,
        "type": f"{TYPE}{kind}.v1",
        "time": rfc3339(moment),
        "data": data,
    }


class Generator:
    """`rate` events a second of event time, dealt to partitions by what they speak of (tasks: by task)."""

    def __init__(self, seed: int, partitions: int, series: int = 40) -> None:
        self.random = random.Random(seed)
        self.count = partitions
        self.series = series
        self.serial = 0

    def generate(self, events: int, rate: float = 50.0) -> Generated:
        rand = self.random
        result = Generated([[] for _ in range(self.count)])
        recent: list[list[bytes]] = [[] for _ in range(self.count)]
        for number in range(events):
            now = START + timedelta(seconds=number / rate)
            lag = rand.random()
            if lag < 0.10:
                now -= timedelta(seconds=rand.uniform(0, 5))  # out of order, within the lateness
            elif lag < 0.13:
                now -= timedelta(seconds=rand.uniform(5, 90))  # late, or nearly
            choice = rand.random()
            if choice < 0.01 and any(recent):
                place = rand.choice([p for p in range(self.count) if recent[p]])
                result.partitions[place].append((rand.choice(recent[place]), None))  # a redelivery
                continue
            event, key = self.event(now)
            place = hash_of(key) % self.count
            if choice < 0.03:
                raw, reason = self.broken(event)
            else:
                raw, reason = json.dumps(event, ensure_ascii=rand.random() < 0.5).encode(), None
                recent[place].append(raw)
                del recent[place][:-400]
            result.partitions[place].append((raw, reason))
        return result

    def event(self, now: datetime) -> tuple[dict[str, object], str]:
        rand = self.random
        self.serial += 1
        identifier = f"e{self.serial}"
        value = rand.randint(-4096, 65536) / 64  # sums of these are exact in a double, whatever the order
        which = rand.random()
        series = rand.randrange(self.series)
        if which < 0.55:
            data: dict[str, object] = {
                "metric_name": f"m{series % 5}",
                "metric_value": value,
                "source_system": f"system-{series}",
            }
            if series % 2:
                tags = {"region": "eu", "az": f"{series % 3}", "ü": '"quoted" \\u'}
                data["metric_tags"] = dict(rand.sample(sorted(tags.items()), 3))
            if series % 3 == 0:
                data["metric_unit"] = "ms"
            return envelope(
                "metric.sampled", identifier, f"agent://{series}", now, data
            ), f"system-{series}:m{series % 5}"
        if which < 0.75:
            kind = ("cpu", "memory", "disk", "network")[series % 4]
            data = {"host": f"host-{series}", "resource_type": kind, "usage_percentage": abs(value) % 100}
            if series % 5 == 0:
                data |= {"absolute_value": value, "context_data": {"mount": "/", "n": [1, None, 2.5]}}
            return envelope("resource.sampled", identifier, f"host://{series}", now, data), f"host-{series}:{kind}"
        if which < 0.82:
            return self.pipeline(identifier, now, series)
        if which < 0.88:
            return self.task(identifier, now, series)
        if which < 0.96:
            data = {
                "event_type": "webhook",
                "source_system": f"github-{series}",
                "target_system": "jira",
                "event_data": {"n": series},
                "processing_duration_ms": abs(value),
                "status": rand.choice(["success", "success", "success", "failure", "partial"]),
            }
            return envelope("integration.occurred", identifier, "hub://x", now, data), f"github-{series}"
        data = {
            "codebase_id": f"acme/{series % 4}",
            "metric_type": "complexity",
            "metric_value": value,
            "scope": "file",
            "path": f"src/{series}.py",
            "commit_sha": f"{series:040x}",
        }
        return envelope("code.measured", identifier, "git://x", now, data), f"acme/{series % 4}"

    def pipeline(self, identifier: str, now: datetime, series: int) -> tuple[dict[str, object], str]:
        rand = self.random
        name = f"acme/pipe-{series % 7}"
        run = self.serial - rand.randrange(3)  # started and finished events of one run, in any order
        start = START - timedelta(seconds=run)
        data: dict[str, object] = {
            "pipeline_name": name,
            "execution_id": f"run-{run}",
            "execution_start": rfc3339(start),
            "trigger_type": rand.choice(["manual", "scheduled", "webhook"]),
        }
        if rand.random() < 0.3:
            return envelope("pipeline.started", identifier, "ci://x", now, data), name
        status = rand.choice(["success", "success", "failure", "error", "cancelled", "timeout", "skipped"])
        steps = [
            {
                "step_name": f"job-{order}",
                "step_order": order,
                "execution_start": rfc3339(start),
                "execution_end": rfc3339(start + timedelta(seconds=order + 0.5)),
                "status": status,
            }
            for order in range(1, 1 + rand.randrange(4))
        ]
        data |= {
            "execution_end": rfc3339(now),
            "status": status,
            "total_duration_s": rand.randint(1, 4000) / 4,
            "steps": steps,
        }
        return envelope("pipeline.finished", identifier, "ci://x", now, data), name

    def task(self, identifier: str, now: datetime, series: int) -> tuple[dict[str, object], str]:
        rand = self.random
        task = f"T-{rand.randrange(500)}"
        if rand.random() < 0.5:
            data: dict[str, object] = {
                "task_id": task,
                "title": f"Task {task}",
                "status": rand.choice(["open", "doing", "done"]),
                "project_id": f"P{series % 3}",
                "depends_on": [
                    {"task_id": f"T-{rand.randrange(500)}", "type": "blocks"} for _ in range(rand.randrange(3))
                ],
            }
            return envelope("task.changed", identifier, "jira://x", now, data), task
        data = {
            "task_id": task,
            "execution_id": f"x-{self.serial}",
            "execution_start": rfc3339(now - timedelta(seconds=rand.randint(1, 4000) / 4)),
            "execution_end": rfc3339(now),
            "status": rand.choice(["success", "failure", "skipped"]),
            "project_id": f"P{series % 3}",
        }
        return envelope("task.finished", identifier, "jira://x", now, data), task

    def broken(self, event: dict[str, object]) -> tuple[bytes, str]:
        rand = self.random
        good = json.dumps(event).encode()
        data = event["data"]
        assert isinstance(data, dict)

        def changed(**fields: object) -> bytes:
            return json.dumps({key: value for key, value in (event | fields).items() if value is not ...}).encode()

        ways: list[tuple[bytes, str]] = [
            (good[: len(good) // 2], "not_json"),
            (b"\xff" + good, "not_json"),
            (b"[1, 2]", "not_json"),
            (b"hello", "not_json"),
            (changed(type="dev.hindsight.nothing.v1"), "unknown_type"),
            (changed(specversion="0.3"), "bad_envelope"),
            (changed(id=""), "bad_envelope"),
            (changed(id="x" * 256), "bad_envelope"),
            (changed(id=...), "bad_envelope"),
            (changed(source=7), "bad_envelope"),
            (changed(time=...), "bad_time"),
            (changed(time="2026-01-05T10:00:00"), "bad_time"),
            (changed(time="yesterday"), "bad_time"),
            (changed(time="2990-01-01T00:00:00Z"), "time_in_future"),
            (changed(data=...), "bad_data"),
            (changed(data=[1]), "bad_data"),
            (changed(data={}), "bad_data"),
            (changed(source="a\0b"), "nul_character"),
        ]
        if "metric_value" in data:
            text = json.dumps(event | {"data": data | {"metric_value": 12345678}})
            ways.append((text.replace("12345678", "1e999").encode(), "not_finite"))
            ways.append((json.dumps(event | {"data": data | {"metric_value": "12"}}).encode(), "bad_data"))
            ways.append((text.replace("12345678", "NaN").encode(), "not_json"))
        if "usage_percentage" in data:
            ways.append((json.dumps(event | {"data": data | {"usage_percentage": -1}}).encode(), "bad_data"))
            ways.append((json.dumps(event | {"data": data | {"resource_type": "gpu"}}).encode(), "bad_data"))
        return rand.choice(ways)


def hash_of(key: str) -> int:
    """A hash that does not change from run to run."""
    return sum((index + 1) * byte for index, byte in enumerate(key.encode()))
