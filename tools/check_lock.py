"""Check, offline, that ``requirements.lock`` and ``requirements-spark.lock`` pin what ``pyproject.toml`` asks for.

Every requirement (run time, build, extras; the extras of `APART` in a lock of their own) has a pin with hashes that
satisfies it on each supported Python and system, and the files name no place to download from. Run as ``python -m
tools.check_lock``.
"""

from __future__ import annotations

import itertools
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHONS = ("3.11", "3.12")
SYSTEMS = ("linux", "darwin")
APART = ("spark",)
"""Extras with a lock of their own, ``requirements-EXTRA.lock``: what `make setup` does not bring."""

PLACES = ("://", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", "file:")
"""What names a place to download from."""


def problems(lock: str, project: str, extra: str = "") -> Iterator[str]:
    """One line for each thing that is wrong; ``lock`` and ``project`` are the texts of the two files.

    With ``extra`` the lock is that of this extra alone.

    >>> project = '[build-system]\\nrequires = []\\n[project]\\ndependencies = ["a>=2"]'
    >>> list(problems("a==2.1 --hash=sha256:0", project))
    []
    >>> list(problems("a==1.0 --hash=sha256:0", project))[0]
    'a>=2 is not met on Python 3.11, linux: the lock has 1.0'
    >>> list(problems("a==2.1", project))
    ['a==2.1 has no hash']
    >>> more = project + '\\n[project.optional-dependencies]\\nspark = ["b>=1"]\\n'
    >>> list(problems("a==2.1 --hash=sha256:0", more)), list(problems("b==1.1 --hash=sha256:0", more, "spark"))
    ([], [])
    >>> list(problems("a==2.1 --hash=sha256:0", more.replace("spark", "more")))[0]
    'b>=1 is not met on Python 3.11, linux: the lock has no pin'
    """
    for place in PLACES:
        if place in lock:
            yield f"the lock holds {place!r}"
    pins: dict[str, list[Requirement]] = {}
    joined = re.sub(r"\\\n", " ", lock)
    for line in joined.splitlines():
        text, _, hashes = line.partition("--hash=")
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        try:
            pin = Requirement(text)
        except InvalidRequirement:
            yield f"{text!r} is not a pinned requirement"
            continue
        pins.setdefault(canonicalize_name(pin.name), []).append(pin)
        if not re.fullmatch(r"==[^*,]+", str(pin.specifier)):
            yield f"{text} is not pinned to one version"
        if not hashes.startswith("sha256:"):
            yield f"{text} has no hash"
    for wanted, python, system in itertools.product(_requirements(project, extra), PYTHONS, SYSTEMS):
        environment = {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "sys_platform": system,
            "extra": "",
        }
        if wanted.marker and not wanted.marker.evaluate(environment):
            continue
        found = [
            next(iter(pin.specifier)).version
            for pin in pins.get(canonicalize_name(wanted.name), [])
            if not pin.marker or pin.marker.evaluate(environment)
        ]
        if len(found) != 1 or not wanted.specifier.contains(found[0], prereleases=True):
            has = ", ".join(found) or "no pin"
            yield f"{wanted} is not met on Python {python}, {system}: the lock has {has}"


def _requirements(project: str, extra: str) -> list[Requirement]:
    """Everything the project asks for that is to be in the lock, or in that of an extra."""
    table = tomllib.loads(project)
    extras = table["project"].get("optional-dependencies", {})
    if extra:
        return [Requirement(text) for text in extras[extra]]
    locked = [wanted for name, wanted in extras.items() if name not in APART]
    lists = [table["build-system"]["requires"], table["project"].get("dependencies", []), *locked]
    return [Requirement(text) for text in itertools.chain.from_iterable(lists)]


def main() -> int:
    """Print what is wrong to stderr; the exit status is 1 if anything is."""
    root = Path(__file__).resolve().parent.parent
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    wrong = False
    for name, extra in (("requirements.lock", ""), *((f"requirements-{extra}.lock", extra) for extra in APART)):
        for problem in problems((root / name).read_text(encoding="utf-8"), project, extra):
            print(f"{name}: {problem} ('make lock' makes it anew)", file=sys.stderr)
            wrong = True
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
