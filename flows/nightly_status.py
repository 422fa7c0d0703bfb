"""Whether nights are worked through, in words: for `hindsight doctor` and `hindsight status`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple

from flows.live import clean
from flows.view import duration
from sources.nights import Latest


class Told(NamedTuple):
    """What there is to say of the last night. `todo` is empty when there is nothing to do."""

    level: Literal["ok", "warn"]
    what: str
    todo: str = ""


AGAIN = "hindsight nightly goes on where it ended; docs/nightly.md says how to run it each night"


def told(latest: Latest | None, now: datetime) -> Told:
    """The last night in one line: when it finished, why it failed, or that none has for two days.

    >>> told(None, datetime(2026, 1, 6, tzinfo=UTC)).what
    'no night has been worked through yet'
    >>> night = Latest(datetime(2026, 1, 6, 2, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC), "finished", None,
    ...     datetime(2026, 1, 6, 2, tzinfo=UTC), datetime(2026, 1, 6, 2, tzinfo=UTC))
    >>> told(night, datetime(2026, 1, 6, 5, tzinfo=UTC))
    Told(level='ok', what='the night after 2026-01-05 finished 3h0m ago', todo='')
    >>> told(night, datetime(2026, 1, 9, tzinfo=UTC)).what
    'the night after 2026-01-05 finished 2d22h ago, and none since'
    """
    if latest is None:
        return Told("ok", "no night has been worked through yet")
    night = f"the night after {latest.label}"
    stale = latest.is_stale(now)
    if latest.status == "finished":
        what = f"{night} finished {_ago(now, latest.ended_at)}"
        return Told("warn", f"{what}, and none since", AGAIN) if stale else Told("ok", what)
    before = "none has finished yet" if latest.finished_at is None else f"one finished {_ago(now, latest.finished_at)}"
    if latest.status == "failed":
        return Told("warn", f"{night} failed {_ago(now, latest.ended_at)}: {clean(latest.problem)}; {before}", AGAIN)
    what = f"{night} began {_ago(now, latest.started_at)} and has not ended; {before}"
    return Told("warn", what, f"if it was killed, {AGAIN}") if stale else Told("ok", what)


def facts(latest: Latest | None) -> dict[str, str | None] | None:
    """The same, for programs."""
    if latest is None:
        return None
    times = {"finished_at": latest.finished_at, "started_at": latest.started_at}
    return {"night": latest.label, "status": latest.status, "problem": latest.problem} | {
        name: None if at is None else at.astimezone(UTC).isoformat() for name, at in times.items()
    }


def _ago(now: datetime, then: datetime | None) -> str:
    return f"{duration(max((now - (then or now)).total_seconds(), 0.0))} ago"
