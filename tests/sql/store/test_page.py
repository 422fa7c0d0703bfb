from __future__ import annotations

import base64
import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sql.store import page as pages
from sql.store.errors import BadCursor, BadRequest
from sql.store.models import RECOMMENDATION_EFFECTIVENESS
from sql.store.pool import Database
from sql.store.repository import Repository
from sql.store.tasks import TASKS, Tasks
from sql.store.where import equals, one_of
from tests.sql.store.samples import T0, sample


@pytest.mark.parametrize("limit", [0, -1, 1001, 10**9])
def test_limits(database: Database, limit: int) -> None:
    with pytest.raises(BadRequest, match="from 1 to 1000"):
        Tasks(database).listing(limit=limit)


VALUES = st.one_of(st.none(), st.sampled_from([-1.5, 0.0, 0.1, 2.0, 1e300]))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    old=st.lists(VALUES, max_size=12),
    inserted=st.lists(st.lists(VALUES, max_size=3), max_size=6),
    limit=st.integers(1, 5),
    descending=st.booleans(),
)
def test_each_old_row_comes_once_and_in_order_whatever_is_inserted(
    database: Database, old: list[Any], inserted: list[list[Any]], limit: int, descending: bool
) -> None:
    repository = Repository(database, RECOMMENDATION_EFFECTIVENESS)
    kind = str(uuid.uuid4())  # rows of this example only

    def put(value: Any) -> Any:
        row = sample(
            RECOMMENDATION_EFFECTIVENESS,
            recommendation_id=uuid.uuid4(),
            recommendation_type=kind,
            effectiveness_score=value,
        )
        return repository.create(row)

    rows = [put(value) for value in old]
    seen, after = [], None
    while True:
        found = repository.page(
            [equals("recommendation_type", kind)],
            order="effectiveness_score",
            descending=descending,
            limit=limit,
            after=after,
        )
        assert len(found.items) <= limit
        assert found.next is None or len(found.items) == limit
        seen += found.items
        after = found.next
        for value in inserted.pop() if inserted else []:
            put(value)
        if after is None:
            break
    ids = [row.id for row in seen]
    assert len(ids) == len(set(ids))
    assert {row.id for row in rows} <= set(ids)

    def rank(row: Any) -> tuple[bool, float, int]:
        sign = -1 if descending else 1
        value = row.effectiveness_score
        return value is None, 0 if value is None else sign * value, sign * row.id.int

    assert [row.id for row in sorted(seen, key=rank)] == ids


@pytest.mark.parametrize("order", ["external_id", "updated_at", "priority", "id", "created_at", "complexity_score"])
def test_all_types_of_columns_order(database: Database, order: str) -> None:
    repository = Repository(database, TASKS)
    project = str(uuid.uuid4())
    for number in range(7):
        repository.create(
            sample(
                TASKS, external_id=f"{project}/é\U0001f600{number % 3}/{number}", project_name=project,
                priority=number % 2,
                updated_at=T0 + timedelta(microseconds=number % 3), created_at=None if number % 4 == 0 else T0,
                complexity_score=0.1 * number,
            )
        )  # fmt: skip
    seen, after = [], None
    while True:
        found = repository.page([equals("project_name", project)], order=order, limit=2, after=after)
        seen += found.items
        if not (after := found.next):
            break
    assert len({row.id for row in seen}) == len(seen) == 7
    assert seen == repository.page([equals("project_name", project)], order=order).items


def test_a_cursor_is_good_for_its_listing_only(database: Database) -> None:
    repository = Repository(database, TASKS)
    for number in range(3):
        repository.save(sample(TASKS, external_id=f"cursor {number}", status=f"s{number % 2}"))
    conditions = [one_of("status", ["s0", "s1"])]
    cursor = repository.page(conditions, order="updated_at", limit=1).next
    assert cursor
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert repository.page([None, one_of("status", ("s1", "s0"))], order="updated_at", limit=2, after=cursor).items
    for other in (
        lambda: repository.page([], order="updated_at", after=cursor),
        lambda: repository.page([one_of("status", ["s0"])], order="updated_at", after=cursor),
        lambda: repository.page(conditions, order="created_at", after=cursor),
        lambda: repository.page(conditions, order="updated_at", descending=False, after=cursor),
        lambda: Repository(database, RECOMMENDATION_EFFECTIVENESS).page(order="id", after=cursor),
    ):
        with pytest.raises(BadCursor, match="another listing"):
            other()


def forged(*parts: Any) -> str:
    import msgspec

    return base64.urlsafe_b64encode(msgspec.json.encode(list(parts))).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x", "é", "%", "AAAA", "a" * 20_000, "W10", forged(), forged(1, "tasks"), forged(1, 2, []),
        forged("1", "t", []),
        forged(2, "t", ["2026-01-05T00:00:00Z", str(uuid.UUID(int=1))]), forged(1, "t", []),
        forged(1, "t", ["2026-01-05T00:00:00Z"]), forged(1, "t", ["2026-01-05T00:00:00", str(uuid.UUID(int=1))]),
        forged(1, "t", ["1; DROP TABLE tasks", str(uuid.UUID(int=1))]), forged(1, "t", [None, str(uuid.UUID(int=1))]),
        forged(1, "t", ["2026-01-05T00:00:00Z", "1"]), forged(1, "t", ["2026-01-05T00:00:00Z", {"a": 1}]),
    ],
)  # fmt: skip
def test_a_broken_or_forged_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursor):
        pages.decode(cursor, "t", [datetime, uuid.UUID])


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_a_bad_cursor_at_worst(noise: bytes) -> None:
    for text in (noise.decode("latin-1"), base64.urlsafe_b64encode(noise).decode().rstrip("=")):
        with pytest.raises(BadCursor):
            pages.decode(text, "t", [datetime, uuid.UUID])


def test_an_index_serves_a_page(database: Database) -> None:
    from sql.store import statements
    from sql.store.where import where

    with database.write() as connection:
        connection.execute(
            "INSERT INTO tasks (id, external_id, title, status, updated_at, event_time, event_id)"
            " SELECT gen_random_uuid(), g, 't', 's', now() - g * interval '1 s', now(), g"
            " FROM generate_series(1, 20000) AS g"
        )
        connection.execute("ANALYZE tasks")
        condition, _ = where([])
        text = statements.page(TASKS, condition.as_string(), ("updated_at", "id"), descending=True, behind=True)
        values = [datetime.now(T0.tzinfo) - timedelta(seconds=10_000), uuid.UUID(int=1), 101]
        plan = "\n".join(row[0] for row in connection.cursor().execute(b"EXPLAIN (ANALYZE) " + text.as_bytes(), values))
    assert "idx_tasks_updated_at" in plan
    assert "Seq Scan" not in plan
    assert "Index Cond" in plan
