"""The live view: what is on the screen, in 80 by 24 cells, and what is printed where there is no screen."""

from __future__ import annotations

import io
import re
import time
from dataclasses import dataclass, replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from flows.live import KEPT_PATTERNS, KEPT_WARNINGS, LiveStats, Snapshot
from flows.view import LiveView, RateMeter, redact, render, status_line, summary

NOW = 1_767_606_930.0
URL = "postgresql://hindsight:s3cret@127.0.0.1:5555/hindsight"


@dataclass(frozen=True)
class Found:
    pattern_id: str = "p1"
    pattern_name: str = "high_cpu_usage"
    severity: str = "high"
    confidence: float = 0.93
    entity: str = "web-1"
    measure: str = "cpu_usage"
    explanation: str = "97.2 % is above 80 % for 20 s."
    opened_us: int = int((NOW - 4) * 1e6)
    is_active: bool = True
    latency_s: float | None = 0.8


def filled() -> LiveStats:
    live = LiveStats(clock=lambda: NOW)
    live.record_batch("file:/data/spool/host.jsonl/0", 400, 390, 2, 5, 3, int((NOW - 1.5) * 1e6), 4, 12)
    live.record_batch("file:/data/spool/git.jsonl/0", 1000, 1000, 0, 0, 0, int((NOW - 90_000) * 1e6), 70, 1)
    live.record_written(1390, [0.1] * 98 + [4.0, 9.0])
    live.record_queue(2, 8)
    live.record_pattern(Found())
    return live


def screen(snapshot: Snapshot, width: int = 80, height: int = 24) -> str:
    console = Console(record=True, width=width, height=height, file=io.StringIO(), force_terminal=True)
    console.print(render(snapshot, 12.5, URL, width, height))
    return console.export_text()


def test_screen_has_every_figure() -> None:
    text = screen(filled().snapshot(), width=120)
    for piece in (
        "12.5 events/s", "read 1,400", "applied 1,390", "late 2", "dead letters 5", "duplicates 3", "series 74",
        "open panes 13", "rows written 1,390", "queue 2/8", "event→row 100 ms/4.0 s", "event→pattern 800 ms/800 ms",
        "host.jsonl", "watermark   1.5 s ago", "git.jsonl", "watermark    1d1h ago", "patterns found: 1",
        "(0.93) high_cpu_usage in web-1 cpu_usage", "97.2 % is above 80 % for 20 s.",
    ):  # fmt: skip
        assert piece in text, piece


def test_no_password_on_screen() -> None:
    text = screen(filled().snapshot())
    assert "s3cret" not in text
    assert "hindsight:***@127.0.0.1:5555/hindsight" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60), (20, 5)])
def test_fits_whatever_comes(width: int, height: int) -> None:
    live = filled()
    live.note("demo: loading the CPU for 15 s so that there is something to see")
    for number in range(100):
        live.record_batch(f"topic.with.a.very.long.name.v1/{number}", 10**12, 1, 1, 1, 1, None, 10**9, 7)
        live.record_pattern(Found(pattern_id=str(number), explanation="a very long sentence. " * 20))
        live.warn(f"warning {number} " + "long " * 50)
    lines = screen(live.snapshot(), width, height).rstrip("\n").split("\n")
    assert len(lines) <= height
    assert max(cell_len(line) for line in lines) <= width


def test_patterns_newest_first_and_updated_in_place() -> None:
    live = filled()
    newer = Found(pattern_id="p2", pattern_name="spike", severity="medium", opened_us=int((NOW - 1) * 1e6))
    live.record_pattern(newer)
    live.record_pattern(Found(pattern_id="p0", pattern_name="of_last_year", opened_us=1, latency_s=None))
    live.record_pattern(replace(Found(), is_active=False, latency_s=None, explanation="It is over."))
    snapshot = live.snapshot()
    assert [pattern.pattern_id for pattern in snapshot.patterns] == ["p2", "p1", "p0"]
    assert snapshot.patterns_found == 3
    assert [pattern.latency_s for pattern in snapshot.patterns] == [0.8, 0.8, None]
    text = screen(snapshot)
    assert text.index("spike") < text.index("high_cpu_usage")
    assert "○ high" in text and "● medium" in text and "It is over." in text


def test_severity_is_coloured() -> None:
    console = Console(record=True, width=80, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(filled().snapshot(), 0, URL))
    styled = console.export_text(styles=True)
    assert "\x1b[1;31m● high" in styled


def test_text_from_outside_is_not_markup() -> None:
    live = filled()
    live.record_pattern(Found(pattern_id="p3", explanation="[bold]x[/bold] [red]", entity="a[b]"))
    assert "[bold]x[/bold] [red]" in screen(live.snapshot(), width=120)


def test_control_characters_from_outside_do_not_reach_the_terminal() -> None:
    live = filled()
    live.record_pattern(Found(pattern_id="p3", explanation="x\x1b[2Jy\nz", entity="a\tb"))
    live.warn("bad \x1b]0;title\x07 topic")
    snapshot = live.snapshot()
    for text in (screen(snapshot), status_line(snapshot, 0.0), *snapshot.warnings):
        assert "\x1b" not in text.replace("\x1b[0m", "") and "\x07" not in text
    assert len(status_line(snapshot, 0.0).splitlines()) == 1


def test_lists_are_bounded_and_counts_are_not() -> None:
    live = LiveStats()
    for number in range(KEPT_PATTERNS + 10):
        live.record_pattern(Found(pattern_id=str(number)))
        live.warn(str(number))
    snapshot = live.snapshot()
    assert len(snapshot.patterns) == KEPT_PATTERNS
    assert snapshot.patterns_found == KEPT_PATTERNS + 10
    assert len(snapshot.warnings) == KEPT_WARNINGS


def test_a_repeated_warning_is_shown_once() -> None:
    live = LiveStats()
    for _ in range(3):
        live.warn("the database is away")
    assert len(live.snapshot().warnings) == 1


def test_rate_is_over_the_last_seconds() -> None:
    meter = RateMeter(seconds=5)
    rates = [meter.update(at=float(second), count=second * 100) for second in range(10)]
    assert rates[-1] == pytest.approx(100)
    for second in range(10, 20):
        last = meter.update(at=float(second), count=900)
    assert last == 0


def test_one_line_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    live = filled()
    live.warn("the broker is away")
    live.note("demo: loading")
    view = LiveView(live, URL, Console(file=out, width=80), line_seconds=0.02)
    assert not view.is_rich
    view.start()
    deadline = time.monotonic() + 5
    while out.getvalue().count("read 1,400") < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    view.stop()
    printed = out.getvalue()
    assert "\x1b" not in printed
    assert printed.count("the broker is away") == 1 and printed.count("demo: loading") == 1
    line = next(line for line in printed.splitlines() if "read 1,400" in line)
    assert "dead letters 5" in line and "patterns 1" in line and "high_cpu_usage" in line
    view.stop()
    assert out.getvalue() == printed


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert not LiveView(filled(), URL, Console(file=io.StringIO(), force_terminal=True)).is_rich


def test_a_terminal_is_drawn_on_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out = io.StringIO()
    view = LiveView(filled(), URL, Console(file=out, force_terminal=True, width=80, height=24))
    view.start()
    deadline = time.monotonic() + 5
    while "high_cpu_usage" not in out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    view.stop()
    printed = out.getvalue()
    assert "high_cpu_usage" in printed
    assert printed.rindex("\x1b[?1049l") > printed.rindex("\x1b[?1049h")
    assert printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l")


class Closed(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


def test_a_terminal_that_goes_away_ends_the_view_quietly(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView(filled(), URL, Console(file=Closed(), width=80), line_seconds=0.01)
    view.start()
    time.sleep(0.1)
    view.stop()
    assert capsys.readouterr().err == ""


def test_summary_has_a_line_for_each_pattern() -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(summary(filled().snapshot().patterns))
    for number in range(3):
        live = filled()
        live.record_pattern(Found(pattern_id=f"long{number}", pattern_name="a very long name " * 20))
    console.print(summary(live.snapshot().patterns))
    lines = console.export_text().splitlines()
    assert len(lines) == 2 + 1 and max(map(cell_len, lines)) <= 160
    assert any("high" in line and "0.93" in line and "high_cpu_usage in web-1 cpu_usage" in line for line in lines)


def test_on_a_narrow_screen_only_the_title_of_a_summary_is_cut() -> None:
    live = filled()
    live.record_pattern(Found(pattern_id="long", severity="critical", pattern_name="a very long name " * 20))
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(summary(live.snapshot().patterns))
    lines = console.export_text().splitlines()
    assert max(map(cell_len, lines)) <= 80
    assert any(
        re.match(r"critical  0\.93  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  a very long name", line) for line in lines
    ), lines


def test_redact_keeps_what_is_no_secret() -> None:
    assert redact("postgresql://localhost/analytics") == "postgresql://localhost/analytics"
    assert redact("postgresql://me@h/d") == "postgresql://me@h/d"
    assert redact("postgresql://me:a:b@h/d") == "postgresql://me:***@h/d"
