"""A first look, and Hindsight itself: flows, watermarks, lag, and the records that could not be used."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from msgspec.structs import asdict

from api import surveys
from api.documents import answers
from api.params import After, Limit, Text, When, Word
from api.routes.insight import quality_of
from api.services import Services, page_reply, reply
from sql.store.stream import DeadLetter

SAMPLE = 2000
"""Characters of a dead letter that are shown."""


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["system"])
    store = services.store

    @routes.get("/overview", **answers(surveys.Overview, 422))
    def get_overview(days: Annotated[int, Query(ge=1, le=90, description="Days of patterns by day.")] = 30) -> Response:
        """What is open, how much is watched, how fast patterns are known, what became of the records, and patterns by
        day up to the last one."""
        with store.database.read():
            numbers = store.overview.numbers()
            return reply(
                surveys.Overview(
                    **{name: getattr(numbers, name) for name in numbers.__struct_fields__},
                    now=datetime.now(UTC),
                    quality=quality_of(store.stream.quality()).total,
                    days=store.overview.pattern_days(days),
                )
            )

    @routes.get("/system", **answers(surveys.System))
    def get_system() -> Response:
        """The flows that this API knows of (by the setting `ANALYTICS_API_FLOW_METRICS`), with their watermarks, lag
        and latencies, and what became of each input's records."""
        return reply(
            surveys.System(
                now=datetime.now(UTC),
                flows=services.flows.states(),
                quality=quality_of(store.stream.quality()),
                streams=services.feed.listeners,
            )
        )

    @routes.get("/dead-letters", **answers(list[surveys.DeadLetterShape], 409, 422, pages=True))
    def get_dead_letters(
        request: Request,
        topic: Text | None = None,
        reasons: Annotated[list[Word] | None, Query()] = None,
        start_date: When | None = None,
        end_date: When | None = None,
        limit: Limit = 50,
        after: After = None,
    ) -> Response:
        """Records that could not be used, the latest first, each with its reason and the beginning of its bytes."""
        page = store.stream.listing(
            topic=topic, reasons=reasons, since=start_date, until=end_date, limit=limit, after=after
        )
        return page_reply(request, [letter_of(one) for one in page.items], page.next)

    return routes


def letter_of(found: DeadLetter) -> surveys.DeadLetterShape:
    """A dead letter as it is shown."""
    value = found.record_value
    kept = {name: one for name, one in asdict(found).items() if name in surveys.DeadLetterShape.__struct_fields__}
    return surveys.DeadLetterShape(
        **kept,
        bytes=None if value is None else len(value),
        sample=None if value is None else value[: 4 * SAMPLE].decode(errors="replace")[:SAMPLE],
    )
