"""A wish to stop, from a signal or from the program itself, as something to ask for and to wait on."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """Inside the block a first signal only sets the flag; a second one calls `on_second` and ends the
    process.

    Works in the main thread alone, as signal handlers do. Leaving the block restores the handlers.

    >>> with StopSignals() as stop:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     stop.wait(5), stop.requested
    (True, True)
    """

    def __init__(self, on_second: Callable[[], None] = lambda: None) -> None:
        self._on_second = on_second
        # Written before the flag is set, read after: 0 = the program's own wish.
        self.signal = 0
        self._flag = threading.Event()
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether to stop."""
        return self._flag.is_set()

    def request(self) -> None:
        """Ask to stop; a signal that comes afterwards is still a first one."""
        self._flag.set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until a wish to stop; returns whether there is one."""
        return self._flag.wait(seconds)

    def __enter__(self) -> Self:
        for number in SIGNALS:
            # `nohup` asks that the end of the terminal be ignored.
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            try:
                self._on_second()
            finally:
                os._exit(128 + number)
        self.signal = number
        self._flag.set()
