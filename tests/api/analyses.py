"""Works of analyses, for their process imports a module's function."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from api.config import Progress


class WrongError(Exception):
    one_line = True


def quick(url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    progress(0.5)
    return {"asked": request["entity"]}


def failing(url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    raise WrongError("no such\nentity") if request["entity"] == "said" else ValueError("postgresql://me:secret@db")


def endless(url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Until it is stopped; `request["entity"]` is a file that says that it has begun."""
    Path(request["entity"]).touch()
    while True:
        progress(0.25)
        time.sleep(0.05)


def killed_once(url: str, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Its process ends without a word the first time."""
    mark = Path(request["entity"])
    if mark.exists():
        return {"asked": "again"}
    mark.touch()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError
