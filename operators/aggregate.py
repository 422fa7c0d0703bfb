"""Panes of a partition: gathering points, closing panes, merging them into wider windows, showing them while idle."""

from operators import tables as t
from operators.judge import Judge
from operators.output import Aggregate, Output, rollup_row
from operators.state import PartitionState
from operators.windows import Stats

SECOND = 1_000_000
PUBLISHED_LEVEL = 60
"""Windows of this width, in seconds, go to the output topic: the database has the others."""
LEVELS = (10, 60, 300)
"""Widths of the windows that become rows, seconds. The base pane divides the first."""


class Panes:
    """The windows of one partition, over its state.

    A pane's row is complete each time it is written: replays and a partition that was shown while idle end in the same
    row. Wider windows are merged from panes that have closed.
    """

    def __init__(self, state: PartitionState, lane: tuple[int, int], judge: Judge, publish: bool) -> None:
        self.state = state
        self.lane = lane
        self.judge = judge
        self.publish = publish
        self.width = state.watermark.width
        self.base = self.width == LEVELS[0] * SECOND
        self.levels = [(level, level * SECOND) for level in LEVELS if level * SECOND > self.width]
        for level, _ in self.levels:
            state.wide.setdefault(level, {})

    def close(self, out: Output) -> None:
        """Close what the watermark has closed: rows, judgements, and no more room for late records."""
        state = self.state
        closed = state.watermark.closed
        for pane in sorted(pane for pane in state.panes if pane <= closed):
            self._close_pane(pane, out)
        for pane in [pane for pane in state.shown if pane <= closed]:
            del state.shown[pane]
        end = (closed + 1) * self.width
        for place, (level, width) in enumerate(self.levels):
            windows = state.wide[level]
            for number in sorted(number for number in windows if (number + 1) * width <= end):
                ended = windows.pop(number)
                for series, stats in ended.items():
                    self._write(series, level, number * width, stats, True, out)
                if place + 1 < len(self.levels):
                    self._merge_up(place + 1, number * width, ended)
        if state.watermark.time is not None:
            self.judge.closed(state.watermark.time, out)

    def _merge_up(self, place: int, start: int, ended: dict[int, Stats]) -> None:
        """A window that has ended becomes part of one at the next level; each value is merged once a level."""
        level, width = self.levels[place]
        window = self.state.wide[level].setdefault(start // width, {})
        for series, stats in ended.items():
            held = window.get(series)
            if held is None:
                window[series] = stats
            else:
                held.merge(stats)

    def close_all(self, out: Output) -> None:
        """The end of a file: every pane closes. Wider windows are written and kept, should the file grow some day."""
        state = self.state
        if state.panes:
            state.watermark.close_through(max(state.panes))
        self.close(out)
        self._show_wide(out)

    def show(self, until_us: int | None, out: Output) -> None:
        """Write and judge open panes that end by `until_us` (None: all), and leave them open.

        For an idle partition: its last panes would otherwise wait for a next record. A pane that gets more records
        afterwards is written again, complete, when it closes. Detectors look ahead on copies and learn nothing yet: a
        pattern that the complete pane does not bear out is taken back when it closes.
        """
        state = self.state
        fresh = False
        for pane, gathered in sorted(state.panes.items()):
            end = (pane + 1) * self.width
            if until_us is not None and end > until_us:
                continue
            points = sum(len(one.points) + (one.stats.n if one.stats else 0) for one in gathered.values())
            if state.shown.get(pane) == points:
                continue
            state.shown[pane] = points
            fresh = True
            told = state.early.setdefault(pane, [])
            for series, gathering in gathered.items():
                stats = gathering.result()
                slot = state.slots[series]
                if self.base:
                    self._write(series, LEVELS[0], pane * self.width, stats, False, out)
                told += [(series, detector) for detector in self.judge.foresee(slot, stats, end, out)]
        if fresh:
            self._show_wide(out)
            self.judge.due = True

    def _show_wide(self, out: Output) -> None:
        """Write every unfinished wider window as it stands: what has ended below it, and what is still open there."""
        below: dict[int, dict[int, Stats]] = {}
        for pane, gathered in self.state.panes.items():
            below[pane * self.width] = {series: gathering.result() for series, gathering in gathered.items()}
        for level, width in self.levels:
            merged: dict[int, dict[int, Stats]] = {}
            for number, window in self.state.wide[level].items():
                merged[number * width] = {series: stats.copy() for series, stats in window.items()}
            for start, window in below.items():
                into = merged.setdefault(start // width * width, {})
                for series, stats in window.items():
                    held = into.get(series)
                    if held is None:
                        into[series] = stats.copy()
                    else:
                        held.merge(stats)
            for start in sorted(merged):
                for series, stats in merged[start].items():
                    self._write(series, level, start, stats, False, out)
            below = merged

    def _close_pane(self, pane: int, out: Output) -> None:
        state = self.state
        gathered = state.panes.pop(pane)
        points = sum(len(one.points) + (one.stats.n if one.stats else 0) for one in gathered.values())
        changed = state.shown.get(pane) != points
        start = pane * self.width
        end = start + self.width
        ended: dict[int, Stats] = {}
        slots = state.slots
        write = self.base and changed
        for series, gathering in gathered.items():
            stats = Stats.of(gathering.points) if gathering.stats is None else gathering.result()
            if write:
                self._write(series, LEVELS[0], start, stats, True, out)
            self.judge.pane(slots[series], stats, end, out)
            ended[series] = stats
        for series, detector in set(state.early.pop(pane, ())):
            self.judge.settle(slots[series], detector, end, out)
        self._merge_up(0, start, ended)

    def _write(self, series: int, level: int, start: int, stats: Stats, final: bool, out: Output) -> None:
        key, row = rollup_row(series, start, self.lane, stats)
        out.replace(t.ROLLUPS[level], key, row)
        if self.publish and final and level == PUBLISHED_LEVEL:
            slot = self.state.slots[series]
            out.aggregates.append(Aggregate(slot.entity, slot.measure, level, start, stats.copy()))
