"""Pipelines, tasks and exchanges between systems: how the work went in a range of time."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from api import surveys
from api.documents import answers
from api.params import After, Limit, Text, When
from api.services import Services, page_reply, reply
from sql.store.pipelines import PipelineExecution, RunHealth

SECOND = timedelta(seconds=1)

Statuses = Literal["running", "success", "failure", "error", "cancelled", "timeout", "skipped"]


def router(services: Services) -> APIRouter:
    """The routes over a store."""
    routes = APIRouter(tags=["work"])
    store = services.store

    @routes.get("/work", **answers(surveys.Work, 422))
    def get_work(
        start_date: When | None = None,
        end_date: When | None = None,
        days: Annotated[int, Query(ge=1, le=7300, description="Where no range is given: so many days.")] = 30,
    ) -> Response:
        """Each pipeline's runs, each project's attempts at tasks and each exchange between systems in a range of time,
        those with the most failures first. Without a range: so many days up to the last of each kind, for histories
        end at different times."""
        with store.database.read():
            last = store.overview.last_work()
            given = start_date is not None or end_date is not None

            def within(newest: datetime | None) -> tuple[datetime, datetime] | None:
                end = end_date or (datetime.now(UTC) if given else newest and newest + SECOND)
                start = start_date or (end and end - timedelta(days=days))
                return (start, end) if start and end and start < end else None

            runs, attempts, exchanges = within(last.run), within(last.attempt), within(last.exchange)
            return reply(
                surveys.Work(
                    last=last,
                    pipelines=store.pipelines.health(*runs) if runs else [],
                    tasks=store.tasks.flow(*attempts) if attempts else [],
                    integrations=store.integration.health(*exchanges) if exchanges else [],
                )
            )

    @routes.get("/steps", **answers(list[RunHealth], 422))
    def get_steps(pipeline_name: Annotated[Text, Query(min_length=1)], start_date: When, end_date: When) -> Response:
        """How the steps of a pipeline did in a range of time."""
        found = store.pipelines.step_health(pipeline_name, start_date, end_date) if start_date < end_date else []
        return reply(found)

    @routes.get("/runs", **answers(list[surveys.Run], 409, 422, pages=True))
    def get_runs(
        request: Request,
        pipeline_name: Text | None = None,
        statuses: Annotated[list[Statuses] | None, Query()] = None,
        start_date: When | None = None,
        end_date: When | None = None,
        limit: Limit = 100,
        after: After = None,
    ) -> Response:
        """Runs of pipelines, the latest first."""
        page = store.pipelines.listing(
            pipeline=pipeline_name, statuses=statuses, since=start_date, until=end_date, limit=limit, after=after
        )
        return page_reply(request, [run_of(one) for one in page.items], page.next)

    return routes


def run_of(found: PipelineExecution) -> surveys.Run:
    """A run as it is shown."""
    return surveys.Run(
        id=found.id,
        pipeline_name=found.pipeline_name,
        execution_id=found.execution_id,
        execution_start=found.execution_start,
        execution_end=found.execution_end,
        status=found.status,
        duration_seconds=found.total_duration,
        trigger_type=found.trigger_type,
        commit_sha=found.commit_sha,
    )
