"""The live terminal view: panels in a terminal, one status line every few seconds elsewhere.

:func:`render` and :func:`status_line` are pure functions of a :class:`~flows.live.Snapshot`;
:class:`LiveView` is the thread that draws them.
"""

from __future__ import annotations

import contextlib
import os
import textwrap
import threading
from collections import deque
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from flows.live import LiveStats, PatternLine, Quantiles, Snapshot

REDRAW_SECONDS = 0.4
LINE_SECONDS = 5.0
RATE_SECONDS = 10.0
"""Events a second are an average over this long."""

SEVERITY_STYLES = {"critical": "bold white on red", "high": "bold red", "medium": "yellow", "low": "cyan"}
_LATE_WATERMARK_S = 60.0
_UNITS = (("d", 86_400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1))


class RateMeter:
    """Events a second, from the cumulative counts of successive snapshots.

    >>> meter = RateMeter()
    >>> meter.update(at=0.0, count=0), meter.update(at=2.0, count=100)
    (0.0, 50.0)
    """

    def __init__(self, seconds: float = RATE_SECONDS) -> None:
        self._seconds = seconds
        self._points: deque[tuple[float, int]] = deque()

    def update(self, at: float, count: int) -> float:
        """Add a point and return the rate over the last seconds; a resumed count that jumps at first counts
        too."""
        self._points.append((at, count))
        while len(self._points) > 2 and at - self._points[0][0] > self._seconds:
            self._points.popleft()
        first_at, first = self._points[0]
        return max(count - first, 0) / (at - first_at) if at > first_at else 0.0


def redact(url: str) -> str:
    """The URL without its password, be it before the host or a parameter.

    >>> redact("postgresql://me:secret@localhost:5432/db?sslmode=require&password=x")
    'postgresql://me:***@localhost:5432/db?sslmode=require&password=***'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(unreadable URL)"
    user, at, place = parts.netloc.rpartition("@")
    if ":" in user:
        user = user.partition(":")[0] + ":***"
    query = "&".join(
        "password=***" if item.startswith("password=") else item for item in parts.query.split("&") if item
    )
    return urlunsplit(parts._replace(netloc=user + at + place, query=query))


def duration(seconds: float | None) -> str:
    """Seconds as a person says them.

    >>> duration(0.0123), duration(8.2), duration(75), duration(90_000), duration(None)
    ('12 ms', '8.2 s', '1m15s', '1d1h', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for unit, size, smaller, step in _UNITS:
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // step}{smaller}"
    return f"{whole}s"


def status_line(snapshot: Snapshot, rate: float) -> str:
    """Everything in one plain line, for a log or a dumb terminal."""
    parts = [
        f"{duration(snapshot.uptime_s)} up",
        f"{rate:,.1f} events/s",
        *(f"{name.replace('_', ' ')} {snapshot.total(name):,}" for name in _COUNTS),
        f"series {snapshot.total('series'):,}",
        f"panes {snapshot.total('open_panes'):,}",
        f"rows {snapshot.rows:,}",
        f"patterns {snapshot.patterns_found:,}",
        f"event->row {_quantiles(snapshot.row_latency)}",
    ]
    if snapshot.patterns:
        parts.append(f"newest: {snapshot.patterns[0].severity} {snapshot.patterns[0].title}")
    return " | ".join(parts)


_COUNTS = ("read", "applied", "late", "dead_letters", "duplicates")


def render(snapshot: Snapshot, rate: float, url: str, width: int = 80, height: int = 24) -> Group:
    """The whole screen, at most `width` by `height` cells; the list of patterns takes what the rest
    leaves."""
    head = [
        Text.assemble(
            ("Hindsight", "bold"), f"  up {duration(snapshot.uptime_s)}  ",
            (f"{rate:,.1f} events/s", "bold green"), f"  {snapshot.clock.astimezone():%H:%M:%S}  Ctrl-C stops",
        ),
        *_page(snapshot.page),
        Text(f"database {redact(url)}", style="dim"),
        _counts(snapshot),
        Text(
            f"series {snapshot.total('series'):,}  open panes {snapshot.total('open_panes'):,}"
            f"  rows written {snapshot.rows:,}  queue {snapshot.queue_depth}/{snapshot.queue_capacity}"
        ),
        Text(
            f"latency p50/p99  event→row {_quantiles(snapshot.row_latency)}"
            f"  event→pattern {_quantiles(snapshot.pattern_latency)}"
        ),
    ]  # fmt: skip
    if snapshot.note:
        head.append(Text(snapshot.note, style="bold magenta"))
    inputs = _inputs(snapshot, width, rows=max(1, min(len(snapshot.partitions), height // 5)))
    warnings = [Text(f"! {text}", style="yellow") for text in snapshot.warnings[: 2 if height >= 20 else 1]]
    # One row more for each title.
    left = height - len(head) - len(inputs) - len(warnings) - 1
    patterns = _patterns(snapshot, width, rows=max(left, 1))
    lines = [*head, *inputs, *patterns, *warnings][:height]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


class LiveView:
    """A thread that shows a :class:`~flows.live.LiveStats` until it is stopped.

    In a terminal it redraws in place on the alternate screen, which :meth:`stop` leaves; elsewhere (a pipe,
    a log, `TERM=dumb`) it prints one line every few seconds. A console that goes away ends the view, never
    the flow.
    """

    def __init__(
        self,
        live: LiveStats,
        url: str,
        console: Console | None = None,
        *,
        line_seconds: float = LINE_SECONDS,
    ) -> None:
        self._live = live
        self._url = url
        self._console = console or Console()
        self._line_seconds = line_seconds
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._meter = RateMeter()

    @property
    def is_rich(self) -> bool:
        """Whether the console can be drawn on in place."""
        return is_rich(self._console)

    def start(self) -> None:
        """Start drawing."""
        target = self._draw if self.is_rich else self._print
        self._thread = threading.Thread(target=self._run, args=(target,), name="view", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Draw no more and leave the terminal as it was; no-op when not started or stopped already."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
            self._thread = None

    def _run(self, target: Callable[[], None]) -> None:
        # The terminal may be closed under us (EIO, a broken pipe): nobody is left to tell.
        with contextlib.suppress(OSError, ValueError):
            target()

    def _draw(self) -> None:
        with Live(
            self._screen(), console=self._console, screen=True, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False,
        ) as display:  # fmt: skip
            while not self._ended.wait(REDRAW_SECONDS):
                display.update(self._screen(), refresh=True)

    def _screen(self) -> RenderableType:
        snapshot = self._live.snapshot()
        rate = self._meter.update(snapshot.at, snapshot.total("read"))
        return render(snapshot, rate, self._url, self._console.width, self._console.height)

    def _print(self) -> None:
        said: str | None = None
        told: set[str] = set()
        while not self._ended.wait(self._line_seconds):
            snapshot = self._live.snapshot()
            rate = self._meter.update(snapshot.at, snapshot.total("read"))
            for text in reversed(snapshot.warnings):
                if text not in told:
                    told.add(text)
                    self._line(f"warning: {text}")
            told &= set(snapshot.warnings)
            if snapshot.note and snapshot.note != said:
                self._line(snapshot.note)
            said = snapshot.note
            self._line(status_line(snapshot, rate))

    def _line(self, text: str) -> None:
        self._console.file.write(text + "\n")
        self._console.file.flush()


def is_rich(console: Console) -> bool:
    """Whether the console is a terminal that can be drawn on in place."""
    return console.is_terminal and not console.is_dumb_terminal and os.environ.get("TERM", "") not in ("", "dumb")


def _page(address: str) -> list[Text]:
    """The address, short enough for a line; a click on it, where the terminal knows that, takes the token along."""
    if not address:
        return []
    return [Text.assemble("page ", (address.partition("#")[0], f"bold cyan link {address}"))]


def _counts(snapshot: Snapshot) -> Text:
    text = Text()
    for name in _COUNTS:
        count = snapshot.total(name)
        style = "bold red" if name == "dead_letters" and count else ""
        text.append(f"{name.replace('_', ' ')} {count:,}  ", style=style)
    return text


def _inputs(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """Watermark age by input, one line each, the most behind first when there is no room for all."""
    keys = sorted(snapshot.partitions, key=lambda key: (-(snapshot.watermark_age_s(key) or 0.0), key))
    lines = []
    for key in keys[:rows]:
        partition, age = snapshot.partitions[key], snapshot.watermark_age_s(key)
        name = set_cell_size(_short(key), min(max(width // 3, 12), 30))
        style = "yellow" if age is not None and age > _LATE_WATERMARK_S else "green"
        lines.append(
            Text.assemble(f"  {name} ", "watermark ", (f"{duration(age):>7} ago", style), f"  read {partition.read:,}")
        )
    if len(keys) > rows:
        lines[-1].append(f"  (+{len(keys) - rows} more)", style="dim")
    return lines


def _patterns(snapshot: Snapshot, width: int, rows: int) -> list[Text]:
    """The title and at most `rows` lines: a pattern's facts, and below them its sentence in two at most."""
    title = Text(f"── patterns found: {snapshot.patterns_found:,} ", style="bold")
    title.append("─" * max(width - cell_len(title.plain), 0))
    lines: list[Text] = []
    for pattern in snapshot.patterns:
        words = textwrap.wrap(pattern.explanation, max(width - 4, 8), max_lines=2, placeholder=" …")
        if len(lines) + 1 + len(words) > rows:
            break
        mark = "●" if pattern.is_active else "○"
        lines.append(
            Text.assemble(
                (f"{mark} {pattern.severity:<8}", SEVERITY_STYLES.get(pattern.severity, "")),
                f" {_when(pattern, snapshot)} ({pattern.confidence:.2f}) ",
                (pattern.title, "bold"),
            )
        )
        lines += [Text(f"    {line}") for line in words]
    if not snapshot.patterns:
        lines.append(Text("  none yet", style="dim"))
    return [title, *lines]


def summary(patterns: tuple[PatternLine, ...]) -> Group:
    """Severity, confidence, time and title of the patterns, for the end of a run: a line each, cut at its end."""
    return Group(
        *(
            Text.assemble(
                (f"{pattern.severity:<8}", SEVERITY_STYLES.get(pattern.severity, "")),
                f"  {pattern.confidence:.2f}  {pattern.opened.astimezone():%Y-%m-%d %H:%M:%S}  {pattern.title}",
                no_wrap=True,
                overflow="ellipsis",
            )
            for pattern in patterns
        )
    )


def _when(pattern: PatternLine, snapshot: Snapshot) -> str:
    opened, now = pattern.opened.astimezone(), snapshot.clock.astimezone()
    return f"{opened:%H:%M:%S}" if opened.date() == now.date() else f"{opened:%Y-%m-%d %H:%M}"


def _quantiles(quantiles: Quantiles | None) -> str:
    return "-" if quantiles is None else f"{duration(quantiles.p50)}/{duration(quantiles.p99)}"


def _short(key: str) -> str:
    """A file's partition by the file's name: `file:/a/b/host.jsonl/0` is `host.jsonl`.

    >>> _short("file:/data/spool/host.jsonl/0"), _short("hindsight.events.task.v1/3")
    ('host.jsonl', 'hindsight.events.task.v1/3')
    """
    return key.removesuffix("/0").rpartition("/")[2] if key.startswith("file:") else key
