"""Notices for tests: what the correlator would say of an incident."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from operators.alerts import Links, Stage, alert, identity_labels
from operators.notices import Evidence, Notice

START_US = 1_767_608_130_000_000
"""2026-01-05 10:15:30 UTC."""
HOUR_US = 3_600_000_000

EVIDENCE = Evidence(
    uuid.UUID(int=7), "shop/main/test", "duration_s", "spike", "bottleneck_identification", "high",
    0.97, 812.0, 300.0, 420.0, START_US, "duration_s of shop/main/test rose to 812",
)  # fmt: skip

NOTICE = Notice(
    uuid.UUID(int=1),
    "shop/main is slow",
    "The step test takes twice as long.",
    "shop/main",
    "workflow",
    "bottleneck_identification",
    "high",
    0.97,
    START_US,
    START_US,
    None,
    2,
    1,
    (EVIDENCE,),
    (("shop/main/test", 0.71), ("shop/main/build", 0.29)),
    ("10:02 configuration 41 → 42",),
    None,
    ("2025-12-19, 42 min, true positive",),
)


def notice(number: int = 1, **changes: Any) -> Notice:
    """An incident of its own number."""
    return msgspec.structs.replace(NOTICE, incident_id=uuid.UUID(int=number), **changes)


def notice_alert(*, escalated: bool = False, ended: bool = False, **changes: Any) -> dict[str, Any]:
    """It as Alertmanager's templates get it."""
    told = notice(ended_us=START_US + HOUR_US if ended else None, **changes)
    links = Links("https://docs.example/runbooks", "https://hindsight.example/incidents")
    made = alert(
        identity_labels(told), Stage(told.severity, escalated), told, told.started_us, told.started_us + HOUR_US, links
    )
    return {"status": "resolved" if ended else "firing", "fingerprint": "f"} | msgspec.to_builtins(made)
