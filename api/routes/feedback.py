"""What people say: verdicts on patterns, and what became of recommendations."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import shapes
from api.bodies import JSON, decoded
from api.documents import answers, body
from api.examples import OUTCOME, VERDICT
from api.services import Services, allowed, reply
from api.tokens import Caller
from sql.store.models import RecommendationEffect
from sql.store.store import Store

OPPORTUNITY = {
    "pending": "identified",
    "implemented": "completed",
    "partially_implemented": "in_progress",
    "rejected": "dismissed",
}
"""What a recommendation's status means for the opportunity that it is of."""

Note = Annotated[str, msgspec.Meta(max_length=4000, pattern=r"^[^\x00]*$")]
Zoned = Annotated[datetime, msgspec.Meta(tz=True)]


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a pattern was right."""

    pattern_id: uuid.UUID
    verdict: Literal["true_positive", "false_positive", "expected"]
    note: Note | None = None


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a recommendation."""

    recommendation_id: uuid.UUID
    status: Literal["pending", "implemented", "rejected", "partially_implemented"]
    implemented_at: Zoned | None = None
    note: Note | None = None


class _Which(msgspec.Struct):
    pattern_id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def router(services: Services) -> APIRouter:
    """The route over a store."""
    routes = APIRouter(tags=["feedback"])
    store = services.store

    @routes.post(
        "/feedback",
        **answers(shapes.FeedbackStored, 403, 404, 408, 413, 415, 422, status=201),
        **body((JSON, [Verdict, Outcome], {"verdict": VERDICT, "recommendation": OUTCOME})),
    )
    async def post_feedback(request: Request) -> Response:
        """Say whether a pattern was right (detection learns from it within half a minute), or what became of a
        recommendation. It is signed with the token's name. Takes a token with the scope write."""
        caller = allowed(request, "write")
        seconds = services.config.body_seconds
        which = await decoded(request, _Which, seconds)
        if which.pattern_id is not msgspec.UNSET:
            verdict = await decoded(request, Verdict, seconds)
            return reply(await run_in_threadpool(_judge, store, verdict, caller), 201)
        outcome = await decoded(request, Outcome, seconds)
        return reply(await run_in_threadpool(_note, store, outcome, caller), 201)

    return routes


def _judge(store: Store, said: Verdict, caller: Caller) -> shapes.FeedbackStored:
    store.patterns.label(said.pattern_id, said.verdict, actor=caller.name, note=said.note)
    return shapes.FeedbackStored(pattern_id=said.pattern_id, verdict=said.verdict, actor=caller.name)


def _note(store: Store, said: Outcome, caller: Caller) -> shapes.FeedbackStored:
    with store.database.write():
        found = store.performance.opportunities.get(said.recommendation_id)
        store.performance.opportunities.update(found.id, {"status": OPPORTUNITY[said.status]})
        store.models.effects.save(
            RecommendationEffect(
                recommendation_id=found.id,
                recommendation_type=found.opportunity_type,
                implementation_status=said.status,
                implementation_date=said.implemented_at,
                expected_improvement=found.potential_improvement,
                feedback_notes=said.note,
            )
        )
    return shapes.FeedbackStored(recommendation_id=found.id, status=said.status, actor=caller.name)
