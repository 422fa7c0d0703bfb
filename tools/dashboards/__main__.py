"""Write the dashboards, or check that the files are current.

``python -m tools.dashboards`` writes ``docker/grafana/dashboards/*.json``; ``--check`` changes nothing and exits 1
if one is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from tools.dashboards import code, integrations, itself, machines, overview, patterns, pipelines, quality, tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path("docker/grafana/dashboards")
"""Where the files are, below the project's folder."""
BOARDS = (overview, patterns, pipelines, tasks, integrations, code, machines, quality, itself)
"""The modules, each with a ``build``."""


def files() -> dict[str, str]:
    """File name → JSON, for every dashboard."""
    made = {}
    for board in BOARDS:
        text = json.dumps(board.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False)
        made[f"{board.__name__.rpartition('.')[2]}.json"] = text + "\n"
    return made


def main(arguments: Sequence[str]) -> int:
    """Write or check (``--check``); 1 if a checked file is stale, or one is there that nobody writes."""
    folder = Path(__file__).resolve().parent.parent.parent / FOLDER
    made = files()
    stale = 0
    for name, text in made.items():
        path = folder / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if "--check" in arguments:
            print(f"{FOLDER / name} is not current: 'make docs' writes it", file=sys.stderr)
            stale = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {FOLDER / name}")
    for path in sorted(folder.glob("*.json")):
        if path.name not in made:
            print(f"{FOLDER / path.name} is written by nobody", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
