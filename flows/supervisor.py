"""All of Hindsight in one process: database, collectors, the realtime flow and the view, started and ended
in order."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import logging.handlers
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
from rich.console import Console

from flows.collectors import Collectors
from flows.databases import API_SPOOL, embedded_folder
from flows.demo import LOAD_AFTER_SECONDS, LOAD_SECONDS, CpuLoad
from flows.live import LiveStats
from flows.page import Page, PageError
from flows.settings import Settings
from flows.stopping import StopSignals
from flows.view import LiveView, duration, redact, summary
from sinks.embedded import EmbeddedError, EmbeddedPostgres
from sinks.migrate import MigrationError, migrate
from sources.git import GitError
from sources.spool import SpoolLockedError

LOG = logging.getLogger(__name__)
SUMMARY_PATTERNS = 12
"""Patterns listed at the end, the newest."""

LOG_BYTES = 4 << 20


class RunFlow(Protocol):
    """The realtime flow, as :func:`flows.realtime.run` is; tests bring their own."""

    def __call__(
        self,
        settings: Settings,
        *,
        inputs: list[Path],
        follow: bool,
        stop: Callable[[], bool],
        live: LiveStats,
    ) -> dict[str, Any]:
        """Run until `stop()`, and return the totals."""


@dataclass(frozen=True)
class Plan:
    """What to run. `database_url=None` is the embedded server; `duration_s=None` runs until a signal."""

    settings: Settings
    database_url: str | None = None
    recovery_dir: Path | None = None
    host_interval_s: float | None = 5.0
    """Seconds between samples of this machine; `None` = no samples."""
    repo: Path | None = None
    repo_required: bool = False
    """Whether a `repo` that is no git repository is an error, and not only worth a warning."""
    duration_s: float | None = None
    load_after_s: float | None = None
    """Seconds after which the demo's load begins; `None` = no load."""
    load_s: float = LOAD_SECONDS
    page: bool = False
    """Whether the HTTP API and its page are served."""


def demo_plan(plan: Plan, **changes: Any) -> Plan:
    """The plan with the demo's load in it."""
    return Plan(**{**vars(plan), "load_after_s": LOAD_AFTER_SECONDS, **changes})


def supervise(plan: Plan, run_flow: RunFlow, console: Console | None = None) -> int:
    """Run it all until a signal or the plan's end, and print a summary; returns the exit status.

    The status is 0, or 1 when a bounded run has applied nothing. Raises `click.ClickException` with one line for
    everything that stands in the way. Whatever happens, collectors, view and database are ended, in that order.
    """
    console = console or Console()
    with _folder_lock(plan.settings.data_dir), StopSignals(on_second=lambda: _restore(console)) as stop:
        live = LiveStats()
        with contextlib.ExitStack() as ends, _one_line():
            collectors = Collectors(plan.settings.data_dir / "spool", live.warn)
            ends.callback(collectors.stop)
            _add_collectors(plan, collectors, live)
            url = _database(plan, ends)
            if stop.requested:
                click.echo("stopped before it began", err=True)
                return 0
            settings = plan.settings.model_copy(
                update={"database_url": url, "recovery_dir": plan.recovery_dir or _recovery_dir(plan)}
            )
            view = LiveView(live, url, console)
            ends.callback(view.stop)
            ends.callback(collectors.stop)  # the first to end, though it was the first to be made
            load = CpuLoad(live.note, after=plan.load_after_s or 0, seconds=plan.load_s)
            ends.callback(load.stop)

            began = time.monotonic()
            ends.enter_context(_logging_to(settings.data_dir / "up.log", live))
            collectors.start()
            if plan.page:
                _serve_page(settings, url, ends, live)
            view.start()
            if plan.load_after_s is not None:
                load.start()

            def done() -> bool:
                return stop.requested or (plan.duration_s is not None and time.monotonic() - began >= plan.duration_s)

            totals = run_flow(settings, inputs=collectors.spools, follow=True, stop=done, live=live)
            seconds = time.monotonic() - began
        _summary(console, plan, url, totals, live, seconds)
        bounded = plan.duration_s is not None and not stop.signal
        return 1 if bounded and not totals["applied"] else 0


def _database(plan: Plan, ends: contextlib.ExitStack) -> str:
    """The URL of the migrated database; an embedded server ends with `ends`."""
    if plan.database_url is not None:
        migrate(plan.database_url)
        return plan.database_url
    folder = embedded_folder(plan.settings)
    if not (folder / "cluster").exists():
        click.echo(f"making a database in {folder} …", err=True)
    server = EmbeddedPostgres(folder)
    ends.callback(server.close)
    url = server.start(leave_running=False)
    migrate(url)
    return url


def _serve_page(settings: Settings, url: str, ends: contextlib.ExitStack, live: LiveStats) -> None:
    """Serve the page for as long as all runs; without it everything else works all the same."""
    page = Page(settings, url)
    ends.callback(page.stop)
    try:
        address = page.start()
        live.serve(address)
        # The view covers the screen, and has no room for the token.
        click.echo(f"page: {address}", err=True)
    except (PageError, OSError) as problem:
        live.warn(str(problem))


def _recovery_dir(plan: Plan) -> Path:
    """One for each database: with a new one the spools are read from their beginning."""
    if plan.database_url is None:
        return plan.settings.data_dir / "recovery"
    name = hashlib.sha256(redact(plan.database_url).encode()).hexdigest()[:12]
    return plan.settings.data_dir / f"recovery-{name}"


def _add_collectors(plan: Plan, collectors: Collectors, live: LiveStats) -> None:
    if plan.host_interval_s is not None:
        collectors.add_host(plan.host_interval_s)
    if plan.repo is not None:
        try:
            collectors.add_git(plan.repo)
        except GitError as error:
            if plan.repo_required:
                raise
            live.warn(f"no code history: {error}")
    if not collectors.spools:
        raise click.ClickException("there is nothing to collect: no host samples, and no git repository")
    (plan.settings.data_dir / "spool" / API_SPOOL).touch()


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """The parts' errors as the command line's."""
    try:
        yield
    except (EmbeddedError, MigrationError, GitError, SpoolLockedError) as error:
        raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def _folder_lock(folder: Path) -> Iterator[None]:
    """One `up` a data folder. The lock ends with the process, so `kill -9` leaves nothing to clear away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise click.ClickException(f"cannot use {folder}: {error.strerror or error}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise click.ClickException(
                f"another `hindsight up` (process {owner or 'unknown'}) uses {folder.absolute()};"
                " stop it, or give another --data-dir"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _logging_to(path: Path, live: LiveStats) -> Iterator[None]:
    """Log lines go to a file, and warnings to the view as well: on stderr they would tear the screen."""
    root = logging.getLogger()
    before = list(root.handlers)
    file = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1, delay=True)
    formatter = next((handler.formatter for handler in before if handler.formatter), None)
    file.setFormatter(formatter or logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.handlers[:] = [file, _ToView(live)]
    try:
        yield
    finally:
        root.handlers[:] = before
        file.close()


class _ToView(logging.Handler):
    def __init__(self, live: LiveStats) -> None:
        super().__init__(logging.WARNING)
        self._live = live

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._live.warn(record.getMessage())
        except Exception:
            self.handleError(record)


def _restore(console: Console) -> None:
    """Give the terminal back before the process ends at once."""
    if console.is_terminal:
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), b"\x1b[?1049l\x1b[?25h")


def _summary(console: Console, plan: Plan, url: str, totals: dict[str, Any], live: LiveStats, seconds: float) -> None:
    """What happened and where to look next; a reader that is gone (a closed terminal) is no failure."""
    snapshot = live.snapshot()
    earlier = int(totals.get("resumed_at", 0))
    resumed = f"  ({earlier:,} of them in earlier runs)" if earlier else ""
    parts = " + ".join(
        f"{name.replace('_', ' ')} {totals[name]:,}" for name in ("applied", "late", "dead_letters", "duplicates")
    )
    found = f"patterns found {snapshot.patterns_found:,} (with earlier runs {totals['patterns']:,})"
    lines = [
        f"Hindsight ran for {duration(seconds)}.",
        f"  read {totals['read']:,} = {parts}{resumed}",
        f"  rows written {snapshot.rows:,}, {found}",
    ]
    lines += [f"  warning: {text}" for text in snapshot.warnings[:5]]
    with contextlib.suppress(OSError, ValueError):
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
        if snapshot.patterns:
            shown = snapshot.patterns[:SUMMARY_PATTERNS]
            more = snapshot.patterns_found - len(shown)
            console.print("\nPatterns found" + (f" ({more:,} more in the database)" if more else "") + ":")
            console.print(summary(shown))
        console.print(f"\n{_next_steps(plan, url)}", markup=False, highlight=False, soft_wrap=True)


def _next_steps(plan: Plan, url: str) -> str:
    if plan.database_url is not None:
        return f"Where to look next:\n  hindsight status --database-url {redact(url)}\n  psql {redact(url)}"
    folder = embedded_folder(plan.settings)
    query = "SELECT opened_at, severity, explanation FROM detected_patterns ORDER BY opened_at DESC"
    return (
        f"Where to look next (the database is {folder}, at {redact(url)} while it runs):\n"
        f'  url=$(hindsight database start --data-dir "{folder}")\n'
        '  hindsight status --database-url "$url"\n'
        f'  psql "$url" -c "{query}"\n'
        f'  hindsight database stop --data-dir "{folder}"'
    )
