from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sql.store.pool import Database
from sql.store.store import Store
from tests.sql.store.samples import TABLES, sample

PAGE = Path(__file__).parent.parent.parent.parent / "docs/python.md"


def test_the_example_runs(
    module_database: str, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from sql.store.patterns import DETECTED_PATTERNS

    store = Store(database)
    now = datetime.now(UTC)
    pattern = sample(
        DETECTED_PATTERNS, id=uuid.uuid4(), detected_at=now, opened_at=now, last_observed_at=now, entity="shop"
    )
    store.patterns.patterns.create(pattern)
    monkeypatch.setenv("ANALYTICS_DATABASE_URL", module_database)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    exec(example, {})
    assert "shop" in capsys.readouterr().out
    (label,) = store.patterns.detail(pattern.id).classifications
    assert (label.classification_value, label.actor) == ("expected", "ann")


def test_every_query_is_used_and_says_what_it_answers() -> None:
    folder = Path(__file__).parent.parent.parent.parent / "sql"
    code = "".join(path.read_text(encoding="utf-8") for path in (folder / "store").glob("*.py"))
    names = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "queries").glob("store_*.sql")}
    assert set(re.findall(r'"(store_\w+)"', code)) == set(names)
    assert all(text.startswith("-- ") and text.partition("\n")[0].endswith(".") for text in names.values())
    assert len(TABLES) > 30
