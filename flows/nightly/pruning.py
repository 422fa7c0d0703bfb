"""Old nights' files: what they kept to go on from is of no use once they are long done."""

import logging
import re
import shutil
import time
from pathlib import Path

log = logging.getLogger(__name__)

REPORT = "report.html"
"""The report in a night's folder."""

REPORT_DAYS = 90.0
"""Days that it is kept for, from its last change."""

_NIGHT = re.compile(r"\d{4}-\d\d-\d\d-[0-9a-f]{12}")
_DAY_S = 86_400.0


def prune(folder: Path, days: float, now_s: float | None = None) -> int:
    """Delete the files of nights in `folder` that nothing has touched for `days`; how many nights lost theirs.

    Reports stay for `REPORT_DAYS`. Other files and folders are none of ours. What can't be deleted is logged and left.
    """
    now = time.time() if now_s is None else now_s
    gone = 0
    for night in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not (_NIGHT.fullmatch(night.name) and night.is_dir() and not night.is_symlink()):
            continue
        try:
            gone += _prune(night, now - days * _DAY_S, now - max(days, REPORT_DAYS) * _DAY_S)
        except OSError as problem:
            log.warning("files of an old night stay: %s", problem)
    return gone


def _prune(night: Path, before_s: float, reports_before_s: float) -> bool:
    touched = max([path.stat().st_mtime for path in night.rglob("*") if path.name != REPORT], default=0.0)
    report = night / REPORT
    if touched >= before_s:
        return False
    keeps = report.is_file() and report.stat().st_mtime >= reports_before_s
    if not keeps:
        shutil.rmtree(night)
        return True
    others = [path for path in night.iterdir() if path.name != REPORT]
    for path in others:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return bool(others)
