"""What the nightly flow found in history, and how its nights went."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import surveys
from api.documents import answers
from api.params import After, Flag, Limit, Text, Word
from api.services import Services, page_reply, reply
from sql.store.nights import Night, NightQuality


def router(services: Services) -> APIRouter:
    """The route over a store."""
    routes = APIRouter(tags=["findings"])
    store = services.store

    @routes.get("/findings", **answers(list[surveys.Finding], 409, 422, pages=True))
    def get_findings(
        request: Request,
        kinds: Annotated[list[Word] | None, Query()] = None,
        entity_part: Text | None = None,
        active: Flag | None = None,
        retired: Flag = False,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """What the nightly flow found, in sentences, the most significant first; empty until `hindsight nightly` has
        run. Those that nights no longer find are retired, and left out: `active=false` gives them alone, `retired=true`
        gives both."""
        page = store.patterns.listing(
            types=kinds,
            entity_part=entity_part,
            active=active if active is not None or retired else True,
            nightly=True,
            order="significance_score",
            limit=limit,
            after=after,
        )
        return page_reply(request, [surveys.finding_of(one) for one in page.items], page.next)

    @routes.get("/nights", **answers(list[Night], 422))
    def get_nights(limit: Limit = 30) -> Response:
        """Nights that the nightly flow worked through, the latest history first: when, how long, how it ended, and in
        `summary` what it read, found and stored."""
        return reply(store.nights.history(limit))

    @routes.get("/nights/quality", **answers(list[NightQuality], 422))
    def get_night_quality(limit: Limit = 100) -> Response:
        """What the data of the latest finished night were like, by table and source, the worst first: gaps, duplicates,
        impossible values, silence."""
        return reply(store.nights.quality(limit))

    return routes
