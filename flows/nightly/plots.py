"""Pictures of the nightly report, as SVG that stands in the page itself."""

import hashlib
import importlib.util
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from operators.mining.history import micros
from operators.mining.quality import Quality
from operators.mining.results import Mined
from operators.mining.weeks import Calendar

INK, GOOD, POOR, MUTED, NOTICE = "#1f3b57", "#5f93b8", "#c9541f", "#7d8790", "#a87400"
"""Told apart also without red and green; on white, at 3 to 1 and more."""

GRID, AXIS, BLANK = "#e4e7ea", "#000000", "#e9ecef"
"""Lines behind, axes (matplotlib's own black), and cells of which too little is known."""

_SWAPPED = {
    INK: "ink", GOOD: "good", POOR: "poor", MUTED: "muted", NOTICE: "notice", GRID: "grid", AXIS: "axis",
    BLANK: "blank", "#ffffff": "ground",
}  # fmt: skip
"""Colours that the page may swap for those of a dark ground: `--p-…` of its style sheet."""

MOST_STRIPS = 16
"""Sources whose days are shown."""

MOST_CHANGES = 4
"""Changes of series that are shown."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def available() -> bool:
    """Whether pictures can be drawn."""
    return importlib.util.find_spec("matplotlib") is not None


def weeks(of: Calendar) -> str | None:
    """Runs of all pipelines by week: how many succeeded and failed, and the share that failed."""
    if of.runs < 20:
        return None
    first, last = min(of.weeks), max(of.weeks)
    counts = np.array([of.weeks.get(week, (0, 0)) for week in range(first, last + 1)])
    total, failed = counts[:, 0], counts[:, 1]
    times = [_EPOCH + timedelta(days=7 * week - 3) for week in range(first, last + 1)]
    figure, axes = _figure(11.0, 3.0)
    width = timedelta(days=6)
    axes.bar(times, total - failed, width=width, align="edge", color=GOOD, label="succeeded")
    axes.bar(times, failed, width=width, align="edge", bottom=total - failed, color=POOR, label="failed")
    axes.set_ylabel("runs a week")
    _dates(axes)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return _svg(figure)


def clock(of: Calendar) -> str | None:
    """Share of runs that failed, by weekday and hour of the start; cells with fewer than ten runs are blank."""
    if of.runs < 200:
        return None
    total, failed = np.array(of.hours, dtype=float).T
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total >= 10, 100.0 * failed / total, np.nan).reshape(7, 24)
    if np.isfinite(share).sum() < 20:
        return None
    figure, axes = _figure(11.0, 2.9)
    axes.grid(visible=False)
    axes.patch.set(facecolor=BLANK, alpha=1.0)
    image = axes.imshow(share, aspect="auto", cmap="cividis", vmin=0)
    axes.set_yticks(range(7), ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"])
    axes.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    axes.set_xlabel("start, UTC")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label="% failed", pad=0.01)
    return _svg(figure)


def events_of(quality: Sequence[Quality]) -> list[Quality]:
    """Sources of what happens, and of series that are made of nothing that is here."""
    events = [one for one in quality if one.table in ("runs", "task_executions", "integration_events")]
    known = {one.source for one in quality if one.table not in ("daily", "hourly")}
    steps = tuple(f"{one.source}/" for one in events if one.table == "runs")
    return events + [
        one
        for one in quality
        if one.table == "daily" and one.source not in known and not (steps and one.source.startswith(steps))
    ]


def strips(quality: Sequence[Quality]) -> str | None:
    """Days with rows, source by source: gaps and what has fallen silent."""
    shown = sorted(events_of(quality), key=lambda one: (-one.partial.n, one.source))[:MOST_STRIPS]
    shown = [one for one in shown if len(one.partial.days) > 1]
    if not shown:
        return None
    figure, axes = _figure(11.0, 0.6 + 0.26 * len(shown))
    for at, one in enumerate(shown):
        days = np.array(sorted(one.partial.days))
        starts = days[np.diff(days, prepend=days[0] - 2) > 1]
        ends = days[np.diff(days, append=days[-1] + 2) > 1] + 1
        colour = {"good": INK, "notice": NOTICE, "bad": POOR}[one.status]
        bars = list(
            zip(starts.astype(float), (ends - starts).astype(float), strict=True)
        )  # days since 1970, as its dates
        axes.broken_barh(bars, (at - 0.36, 0.72), facecolor=colour, linewidth=0)
    axes.set_yticks(range(len(shown)), [_short(f"{one.table}: {one.source}") for one in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis_date()
    _dates(axes)
    axes.grid(visible=False)
    return _svg(figure)


def changes(found: Sequence[Mined], daily: Any) -> list[tuple[str, str]]:
    """The series (of a history's table `daily`) of the best change points and trends: the sentence, and the picture."""
    out: list[tuple[str, str]] = []
    for one in found:
        finding = one.finding
        if finding.kind not in ("change_point", "trend") or len(out) >= MOST_CHANGES:
            continue
        part = daily[(daily["entity"] == finding.entities[0]) & (daily["measure"] == finding.measure)]
        if len(part) < 10:
            continue
        scale, unit = _scale(finding.measure, float(part["avg"].abs().median()))
        figure, axes = _figure(11.0, 2.2)
        times = [_EPOCH + timedelta(microseconds=int(at)) for at in micros(part["time"])]
        axes.plot(times, part["avg"] / scale, ".", color=GOOD, markersize=3.5)
        at_us = finding.evidence.get("at_us")
        if at_us is not None:
            start, at, end = (
                _EPOCH + timedelta(microseconds=int(finding.evidence[name])) for name in ("from_us", "at_us", "to_us")
            )
            axes.hlines(finding.evidence["before"] / scale, start, at, color=INK, linewidth=1.8)
            axes.hlines(finding.evidence["after"] / scale, at, end, color=POOR, linewidth=1.8)
            axes.axvline(at, color=MUTED, linewidth=1.0, linestyle="--")
        axes.set_ylabel(unit)
        _dates(axes)
        out.append((finding.sentence, _svg(figure)))
    return out


def _scale(measure: str, middle: float) -> tuple[float, str]:
    if measure == "failed":
        return 0.01, "% failed"
    if measure.endswith(("_s", "_ms")):
        each = 1000.0 if measure.endswith("_ms") else 1.0
        for unit, size in (("days", 86_400.0), ("h", 3600.0), ("min", 60.0)):
            if middle / each >= 2 * size:
                return size * each, unit
        return each, "s"
    return 1.0, _short(measure, 24)


def _short(text: str, most: int = 44) -> str:
    return text if len(text) <= most else text[: most // 2 - 1] + "…" + text[-(most // 2) :]


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 -- an extra, and slow to load
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    return figure, axes


def _dates(axes: Any) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415

    locator = AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.margins(x=0.01)


def _svg(figure: Any) -> str:
    """The picture as an SVG element: text as text, and the same bytes for the same picture."""
    import matplotlib  # noqa: PLC0415

    out = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hindsight", "font.family": "sans-serif"}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"(fill|stroke): (#[0-9a-f]{6})\b",
        lambda found: f"{found[1]}: var(--p-{_SWAPPED[found[2]]}, {found[2]})" if found[2] in _SWAPPED else found[0],
        text,
    )
    # Ids must be the picture's own: several stand in one page.
    mark = "p" + hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'\bid="([^"]+)"', rf'id="{mark}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{mark}-", text)
    return re.sub(
        r"<svg ", '<svg role="img" ', re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"', r"\1", text), count=1
    )
