"""What the nightly flow found in history."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from api import surveys
from api.documents import answers
from api.params import After, Flag, Limit, Text, Word
from api.services import Services, page_reply


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
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """What the nightly flow found, in sentences, the most significant first. Empty until `hindsight nightly` has
        run."""
        page = store.patterns.listing(
            types=kinds,
            entity_part=entity_part,
            active=active,
            nightly=True,
            order="significance_score",
            limit=limit,
            after=after,
        )
        return page_reply(request, [surveys.finding_of(one) for one in page.items], page.next)

    return routes
