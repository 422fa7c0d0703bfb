"""Failures inside Bytewax, told in our words.

An exception that leaves a callback unwinds through Rust: its cause is lost on the way, and a panic with a stack trace
is printed. The guard keeps the exception and holds back what is printed meanwhile, for level debug.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

STDERR = 2


class Guard:
    """Keeps the first exception that one of the watched calls raised (StopIteration is none)."""

    def __init__(self) -> None:
        self.first: BaseException | None = None

    def call(self, function: Callable[P, R]) -> Callable[P, R]:
        """The function, watched."""

        @wraps(function)
        def watched(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except StopIteration:
                raise
            except BaseException as problem:
                if self.first is None:
                    self.first = problem
                raise

        return watched

    def watch(self, thing: T, *methods: str) -> T:
        """The same object with some of its methods watched."""
        for name in methods:
            setattr(thing, name, self.call(getattr(thing, name)))
        return thing

    def connector(self, thing: T) -> T:
        """A partitioned source or sink, and each part that it will build, watched."""
        build: Callable[..., Any] = thing.build_part  # type: ignore[attr-defined]

        def build_part(*args: Any) -> Any:
            part = build(*args)
            names = [name for name in ("next_batch", "write_batch", "snapshot", "close") if hasattr(part, name)]
            return self.watch(part, *names)

        thing.build_part = self.call(build_part)  # type: ignore[attr-defined]
        return self.watch(thing, "list_parts")


@contextmanager
def panics_held_back() -> Iterator[None]:
    """What native code writes to file descriptor 2 goes to a file meanwhile, and to the log (debug) at the end."""
    sys.stderr.flush()
    real = os.dup(STDERR)
    python = os.fdopen(os.dup(STDERR), "w", buffering=1, errors="backslashreplace")
    before = sys.stderr
    handlers = [h for h in logging.getLogger().handlers if getattr(h, "stream", None) is before]
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), STDERR)
        sys.stderr = python
        for handler in handlers:
            handler.setStream(python)  # type: ignore[attr-defined]
        try:
            yield
        finally:
            os.dup2(real, STDERR)
            os.close(real)
            sys.stderr = before
            for handler in handlers:
                handler.setStream(before)  # type: ignore[attr-defined]
            python.close()
            held.seek(0)
            if text := held.read(1 << 20).decode(errors="replace").strip():
                log.debug("printed by native code: %s", text)
