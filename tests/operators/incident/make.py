"""Patterns for tests of grouping."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from operators.incident.seen import MINUTE_US, Seen

T0 = 1_767_571_200_000_000
"""2026-01-05 00:00 UTC."""


def seen(entity: str = "web", at: float = 0.0, last: float | None = None, number: int = 0, **changes: Any) -> Seen:
    """A pattern that opened `at` minutes after T0, and ended `last` minutes later (None: it goes on)."""
    opened = T0 + round(at * MINUTE_US)
    end = None if last is None else opened + round(last * MINUTE_US)
    made = Seen(
        pattern_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{entity}/{at}/{number}"),
        name=f"m of {entity} spiked",
        entity=entity,
        measure="m",
        kind="metric",
        detector="spike",
        pattern_class="response_time_degradation",
        category="performance",
        severity="medium",
        confidence=0.8,
        significance=0.7,
        score=9.0,
        direction="up",
        value=9.0,
        low=1.0,
        high=2.0,
        opened_us=opened,
        last_observed_us=end or opened,
        resolved_us=end,
        is_active=end is None,
        sentence=f"m of {entity} rose to 9.",
        input="topic",
    )
    return msgspec.structs.replace(made, **changes)
