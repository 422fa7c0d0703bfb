"""A picture of a series with its detections, as PNG or as one HTML file that needs no network."""

import base64
import html
import importlib.util
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from operators.patterns import Pattern
from operators.words import moment, number

COLOURS = {"info": "#8c8c8c", "low": "#5b8db8", "medium": "#e0a100", "high": "#d9622b", "critical": "#b3123a"}
"""One a severity, told apart also without red and green."""

MOST_POINTS = 20_000
"""Points that are drawn: of more, the least and the greatest of each stretch."""

LISTED = 200
"""Patterns in the table below the picture."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PlotError(click.ClickException):
    """The picture can't be made; one line."""


def check(path: Path) -> None:
    """Whether a picture can be made there.

    :raises click.UsageError: for another ending than .png, .svg or .html.
    :raises PlotError: when the library is missing.
    """
    if path.suffix not in (".png", ".svg", ".html"):
        raise click.UsageError(f"--plot {path}: the name must end in .png, .svg or .html")
    if importlib.util.find_spec("matplotlib") is None:
        raise PlotError("a plot needs matplotlib: pip install 'hindsight[report]'")


def plot_series(path: Path, title: str, points: Sequence[tuple[int, float]], patterns: Sequence[Pattern]) -> None:
    """Draw a series, given as (µs since 1970, value) in order, and mark from where to where each pattern lasted.

    :raises PlotError: when the file can't be written.
    """
    check(path)
    picture = _draw(title, points, patterns, "svg" if path.suffix == ".svg" else "png")
    try:
        if path.suffix == ".html":
            path.write_text(_page(title, picture, points, patterns), encoding="utf-8")
        else:
            path.write_bytes(picture)
    except OSError as problem:
        raise PlotError(f"--plot {path}: {problem.strerror}") from None


def thin(points: Sequence[tuple[int, float]], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """At most `most` points that look the same: the least and the greatest of each stretch, in order of time.

    >>> thin([(0, 1.0), (1, 9.0), (2, 5.0), (3, 5.0), (4, 0.0), (5, 4.0)], most=4)
    [(0, 1.0), (1, 9.0), (3, 5.0), (4, 0.0)]
    """
    if len(points) <= most:
        return list(points)
    stretches = max(1, most // 2)
    kept = []
    for index in range(stretches):
        stretch = points[index * len(points) // stretches : (index + 1) * len(points) // stretches]
        if stretch:
            ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
            kept += sorted(ends)
    return kept


def _when(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)


def _draw(title: str, points: Sequence[tuple[int, float]], patterns: Sequence[Pattern], form: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 -- an extra, and slow to load
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(13, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    shown = thin(points)
    axes.plot([_when(at) for at, _ in shown], [value for _, value in shown], color="#1f3b57", linewidth=0.8, zorder=2)
    ends = points[-1][0] if points else 0
    least = (ends - points[0][0]) / 300 if points else 0
    named: set[str] = set()
    for pattern in patterns:
        until = max(pattern.resolved_us or ends, pattern.last_observed_us, pattern.opened_us + int(least))
        label = None if pattern.severity in named else pattern.severity
        named.add(pattern.severity)
        colour = COLOURS[pattern.severity]
        span = (_when(pattern.opened_us), _when(until))
        axes.axvspan(*span, color=colour, alpha=0.28, linewidth=0, label=label, zorder=1)
        axes.plot([_when(pattern.peak_us)], [pattern.peak_value], "o", color=colour, markersize=5, zorder=3)
    locator = AutoDateLocator(tz=UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=UTC))
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel("time, UTC")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    if named:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, title="severity")
    out = io.BytesIO()
    figure.savefig(out, format=form, dpi=110)
    return out.getvalue()


_STYLE = """
:root { color-scheme: light dark; } body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem;
padding: 0 1rem; } img { width: 100%; height: auto; background: #fff; } table { border-collapse: collapse; width: 100%;
} th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #8884; vertical-align: top; }
td.n { white-space: nowrap; } .s { font-weight: 600; }
"""


def _page(title: str, picture: bytes, points: Sequence[tuple[int, float]], patterns: Sequence[Pattern]) -> str:
    span = f"{moment(points[0][0])} to {moment(points[-1][0])}, {len(points)} values" if points else "no values"
    rows = "".join(
        f'<tr><td class="n">{moment(one.opened_us)}</td>'
        f'<td class="s" style="color:{COLOURS[one.severity]}">{one.severity}</td>'
        f"<td>{number(one.confidence)}</td><td>{html.escape(one.pattern_type)}</td>"
        f"<td>{html.escape(one.explanation)}</td></tr>"
        for one in patterns[:LISTED]
    )
    more = f"<p>… and {len(patterns) - LISTED} more.</p>" if len(patterns) > LISTED else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{html.escape(title)}</h1><p>{span}; {len(patterns)} patterns.</p>"
        f'<img alt="{html.escape(title)} over time, patterns shaded by severity" '
        f'src="data:image/png;base64,{base64.b64encode(picture).decode()}">'
        "<table><thead><tr><th>opened</th><th>severity</th><th>confidence</th><th>detector</th>"
        f"<th>what was seen</th></tr></thead><tbody>{rows}</tbody></table>{more}</html>\n"
    )
