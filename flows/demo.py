"""The demo's load: real, bounded, and announced on the screen."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable

SECONDS = 110.0
"""How long a demo runs."""

LOAD_AFTER_SECONDS = 30.0
LOAD_SECONDS = 15.0
SAMPLE_SECONDS = 1.0
"""Seconds between two samples of this machine in a demo."""

_BUSY = """
import os, sys, time
end, parent = time.monotonic() + float(sys.argv[1]), int(sys.argv[2])
os.nice(10)
while time.monotonic() < end and os.getppid() == parent:
    sum(range(50_000))
"""
"""Ends by itself, and with its parent however that ends; yields to everybody else."""


class CpuLoad:
    """One busy process a core, for `seconds`, from `after` seconds after :meth:`start`.

    `say(text)` is told when the load begins and, with an empty text, when it has ended.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        *,
        after: float = LOAD_AFTER_SECONDS,
        seconds: float = LOAD_SECONDS,
        cores: int | None = None,
    ) -> None:
        self._say = say
        self._after = after
        self._seconds = seconds
        self._cores = cores or os.cpu_count() or 1
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-load", daemon=True)

    def start(self) -> None:
        """Start the clock."""
        self._thread.start()

    def stop(self) -> None:
        """End the load, if it runs; no-op when stopped or never started."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        if self._ended.wait(self._after):
            return
        self._say(
            f"demo: loading the CPU for {self._seconds:.0f} s so that there is something to see"
            f" (a busy process on each of {self._cores} cores)"
        )
        command = [sys.executable, "-I", "-S", "-c", _BUSY, str(self._seconds), str(os.getpid())]
        with contextlib.ExitStack() as processes:
            for _ in range(self._cores):
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
                processes.callback(process.wait)
                processes.callback(process.kill)
            self._ended.wait(self._seconds)
        self._say("")
