"""Analyses on demand, as jobs."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from api import shapes
from api.bodies import JSON, decoded
from api.documents import SECURED, answers, body
from api.examples import ANALYSIS
from api.params import After, Limit
from api.problems import Problem
from api.routes.feedback import Zoned
from api.services import ADMIN, Services, allowed, caller_of, page_reply, reply
from operators.identity import identity
from sql.store.api import Analysis
from sql.store.where import equals

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
Word = Annotated[str, msgspec.Meta(max_length=200)]


class AnalysisRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to analyse: patterns that opened in [start_date, end_date), found as the realtime flow would.

    The detectors learn from all that came before, or from `learn_days` before the start. `sensitivity` stands for the
    setting of that name. With `store` the patterns are stored, which takes the scope admin.
    """

    start_date: Zoned
    end_date: Zoned | None = None
    entity: Name | None = None
    measure: Name | None = None
    pattern_types: Annotated[list[Word], msgspec.Meta(max_length=100)] | None = None
    confidence_threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.7
    sensitivity: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    learn_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] | None = None
    store: bool = False


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["analyses"])
    analyses = services.store.analyses

    @routes.post(
        "/patterns/analyze",
        **answers(shapes.AnalysisStarted, 403, 408, 409, 413, 415, 422, status=202),
        **body((JSON, AnalysisRequest, {"a day of one machine": ANALYSIS})),
    )
    async def post_analysis(
        request: Request,
        idempotency_key: Annotated[
            str | None, Header(max_length=200, description="The same again begins no second analysis.")
        ] = None,
    ) -> Response:
        """Begin an analysis of a range of time; `GET /analyses/{id}` says how far it is. It survives a restart. Takes a
        token with the scope write."""
        caller = allowed(request, "write")
        wanted = await decoded(request, AnalysisRequest, services.config.body_seconds)
        end = wanted.end_date or datetime.now(UTC)
        if wanted.start_date >= end:
            raise Problem(422, "bad-request", "body.end_date: it is not after start_date")
        if wanted.store:
            allowed(request, ADMIN)
        if services.runner is None:
            raise Problem(503, "no-analyses", "This API analyses nothing.", headers={"Retry-After": "60"})
        job = identity("analysis", f"{caller.name}\0{idempotency_key}") if idempotency_key else uuid.uuid4()
        asked = msgspec.to_builtins(msgspec.structs.replace(wanted, end_date=end))
        begun = await run_in_threadpool(_ask, job, asked, caller.name)
        services.runner.wake()
        url = f"{request.scope['state']['prefix']}/analyses/{begun.id}"
        started = shapes.AnalysisStarted(task_id=begun.id, status="started", url=url)
        return reply(started, 202, {"Location": url, "Cache-Control": "no-store"})

    def _ask(job: uuid.UUID, asked: dict[str, object], name: str) -> Analysis:
        with services.store.database.write():
            there = analyses.analyses.first([equals("id", job)], order="id")
            if there is None and analyses.waiting() >= services.config.analyses_waiting:
                raise Problem(
                    429, "too-many-analyses", "Too many analyses wait; try again later.", headers={"Retry-After": "30"}
                )
            return analyses.ask_for(job, asked, name)

    @routes.get("/analyses", **answers(list[shapes.AnalysisState], 409, 422, pages=True))
    def get_analyses(
        request: Request,
        statuses: Annotated[
            list[Literal["queued", "running", "succeeded", "failed", "cancelled"]] | None, Query()
        ] = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Analyses, the latest first, without their results."""
        page = analyses.listing(statuses=list(statuses) if statuses else None, limit=limit, after=after)
        items = [state_of(msgspec.structs.replace(one, result=None)) for one in page.items]
        return _unkept(page_reply(request, items, page.next))

    @routes.get("/analyses/{analysis_id:uuid}", **answers(shapes.AnalysisState, 404, 422))
    def get_analysis(analysis_id: uuid.UUID) -> Response:
        """How far an analysis is, and in the end what it found."""
        return _unkept(reply(state_of(analyses.analyses.get(analysis_id))))

    @routes.delete(
        "/analyses/{analysis_id:uuid}",
        **answers(shapes.AnalysisState, 403, 404, 422, status=202),
        openapi_extra=SECURED,
    )
    def cancel_analysis(request: Request, analysis_id: uuid.UUID) -> Response:
        """Cancel an analysis: it ends within seconds. One that has ended stays as it is. Takes a token with the scope
        write for one's own, admin for those of others."""
        allowed(request, "write")
        if analyses.analyses.get(analysis_id).requested_by != caller_of(request).name:
            allowed(request, ADMIN)
        return _unkept(reply(state_of(analyses.cancel(analysis_id)), 202))

    return routes


def state_of(job: Analysis) -> shapes.AnalysisState:
    """A job as it is shown."""
    assert job.requested_at is not None
    return shapes.AnalysisState(
        id=job.id,
        status=job.status,
        progress=job.progress,
        request=job.request,
        requested_by=job.requested_by,
        requested_at=job.requested_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempts=job.attempts,
        result=job.result,
        error=job.error,
    )


def _unkept(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
