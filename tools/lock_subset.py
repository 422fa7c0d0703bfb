"""Print the part of ``requirements.lock`` that a set of extras needs, pins and hashes as they stand.

The lock is one for everything, tests and tools as well; an image or a server needs less. Which package needs which
stands in the lock's own comments (``# via``). Needs Python alone:
``python tools/lock_subset.py --extra api --extra nightly``.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def normal(requirement: str) -> str:
    """The normal form of the name that a requirement begins with (PEP 503).

    >>> normal("psycopg[binary,pool]>=3.2")
    'psycopg'
    >>> normal("Typing_Extensions==4")
    'typing-extensions'
    """
    name = re.match(r"[\w.-]+", requirement)
    if name is None:
        raise ValueError(f"{requirement!r} names no package")
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def blocks(lock: str) -> list[tuple[str, str, set[str]]]:
    r"""Each pin of a lock: its name, its lines, and the packages that need it.

    >>> [(name, pin, users)] = blocks("b==1 \\\n    --hash=sha256:0\n    # via\n    #   A\n    #   c\n")
    >>> name, pin, sorted(users)
    ('b', 'b==1 \\\n    --hash=sha256:0\n', ['a', 'c'])
    """
    found = []
    for text in re.findall(r"^[^\s#].*\n(?:[ \t]+.*\n)*", lock, re.M):
        pin = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
        users = re.findall(r"#\s+(?:via\s+)?([\w.-]+)", text)
        found.append((normal(text), pin, {normal(user) for user in users if user != "via"}))
    return found


def subset(lock: str, wanted: Iterable[str]) -> str:
    r"""The pins of the wanted packages, and of all that these need.

    Raises KeyError for a wanted package that the lock has not.

    >>> lock = "a==1 --hash=sha256:0\n    # via p\nb==2 --hash=sha256:1\n    # via a\nc==3 --hash=sha256:2\n"
    >>> print(subset(lock, ["A"]), end="")
    a==1 --hash=sha256:0
    b==2 --hash=sha256:1
    """
    pins = blocks(lock)
    chosen = {normal(name) for name in wanted}
    missing = chosen - {name for name, _, _ in pins}
    if missing:
        raise KeyError(f"the lock has no {', '.join(sorted(missing))}")
    before = set[str]()
    while before != chosen:
        before = set(chosen)
        chosen |= {name for name, _, users in pins if users & chosen}
    return "".join(pin for name, pin, _ in pins if name in chosen)


def wanted_by(project: str, extras: Sequence[str]) -> list[str]:
    """What a project (the text of its pyproject.toml) needs to run, with some extras.

    Raises KeyError for an extra that it has not.

    >>> wanted_by('[project]\\ndependencies = ["a>=1"]\\n[project.optional-dependencies]\\nx = ["b"]', ["x"])
    ['a>=1', 'b']
    """
    table = tomllib.loads(project)["project"]
    return [*table["dependencies"], *(one for extra in extras for one in table["optional-dependencies"][extra])]


def main(arguments: Sequence[str]) -> int:
    """Print the part; the exit status is 2 if something that is asked for is not there."""
    parser = argparse.ArgumentParser(prog="lock_subset", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--extra", action="append", default=[], help="an extra of the project; may be repeated")
    parser.add_argument("--only", action="append", default=[], help="not the project but this package; may be repeated")
    chosen = parser.parse_args(arguments)
    root = Path(__file__).resolve().parent.parent
    try:
        names = chosen.only or wanted_by((root / "pyproject.toml").read_text(encoding="utf-8"), chosen.extra)
        print(subset((root / "requirements.lock").read_text(encoding="utf-8"), names), end="")
    except KeyError as problem:
        print(f"lock_subset: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
