"""What panels ask: the data sources, SQL and PromQL as query targets, and annotations by SQL."""

from __future__ import annotations

from textwrap import dedent

from grafana_foundation_sdk.builders import prometheus
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

POSTGRES = model.DataSourceRef(type_val="grafana-postgresql-datasource", uid="hindsight-postgres")
"""The database, read by a login with the role hindsight_reader; provisioned under this uid."""
PROMETHEUS = model.DataSourceRef(type_val="prometheus", uid="hindsight-prometheus")
"""Prometheus; provisioned under this uid."""


FAILED_SHARE = "count(*) FILTER (WHERE failed) / nullif(count(*) FILTER (WHERE failed IS NOT NULL), 0)::float8 AS share"
"""Share of failures among what succeeded or failed, of the rows of a view with a column failed; null of none."""
SEVERITY_COUNTS = """count(*) FILTER (WHERE severity = 'critical') AS critical,
    count(*) FILTER (WHERE severity = 'high') AS high, count(*) FILTER (WHERE severity = 'medium') AS medium,
    count(*) FILTER (WHERE severity IN ('low', 'info')) AS low"""
"""Numbers by severity, a column each."""


class SqlQuery(Dataquery):
    """A query of Grafana's PostgreSQL data source, for which the SDK has no type.

    ``form`` is ``table`` or ``time_series``. A time series has a column ``time``, and a column ``metric`` that names
    the series where there are several.
    """

    def __init__(self, sql: str, form: str, ref: str) -> None:
        self.sql = dedent(sql).strip()
        self.form = form
        self.ref = ref

    def to_json(self) -> dict[str, object]:
        """The target as Grafana stores it."""
        return {
            "datasource": POSTGRES,
            "editorMode": "code",
            "format": self.form,
            "rawQuery": True,
            "rawSql": self.sql,
            "refId": self.ref,
        }


class Ask(Builder[Dataquery]):
    """A builder that gives what it was given."""

    def __init__(self, query: Dataquery, source: model.DataSourceRef) -> None:
        self.query = query
        self.source = source

    def build(self) -> Dataquery:
        """The query."""
        return self.query


def sql(text: str, ref: str = "A") -> Ask:
    """A table by SQL.

    >>> sql("SELECT 1 AS one").build().to_json()["format"]
    'table'
    """
    return Ask(SqlQuery(text, "table", ref), POSTGRES)


def sql_series(text: str, ref: str = "A") -> Ask:
    """Time series by SQL: ``time``, perhaps ``metric``, and values; sorted by time, or Grafana refuses them."""
    return Ask(SqlQuery(text, "time_series", ref), POSTGRES)


def prom(expression: str, legend: str = "", ref: str = "A") -> Ask:
    """Time series by PromQL; ``legend`` names them from their labels, as in ``{{topic}}``."""
    query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).range().datasource(PROMETHEUS)
    return Ask(query.build(), PROMETHEUS)


def prom_now(expression: str, legend: str = "", ref: str = "A", *, table: bool = False) -> Ask:
    """The value of a PromQL expression now; ``table`` gives a row a series, labels as columns."""
    query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(ref).instant().datasource(PROMETHEUS)
    if table:
        query = query.format(PromQueryFormat.TABLE)
    return Ask(query.build(), PROMETHEUS)


class SqlAnnotation(model.AnnotationQuery):
    """Marks on time series by SQL; the SDK's own type knows only Grafana's annotations by tag.

    The statement gives ``time``, perhaps ``timeend``, ``text`` and ``tags`` (separated by commas).
    """

    def __init__(self, name: str, colour: str, text: str, *, enable: bool) -> None:
        super().__init__(name=name, datasource=POSTGRES, enable=enable, icon_color=colour)
        self.query = SqlQuery(text, "table", "Anno")

    def to_json(self) -> dict[str, object]:
        """The annotation as Grafana stores it."""
        return super().to_json() | {"target": self.query}


class Annotated(Builder[model.AnnotationQuery]):
    """A builder that gives the annotation it was given."""

    def __init__(self, annotation: model.AnnotationQuery) -> None:
        self.annotation = annotation

    def build(self) -> model.AnnotationQuery:
        """The annotation."""
        return self.annotation


LIVE = "NOT starts_with(detection_algorithm, 'nightly: ')"
"""Patterns of the stream: what keeps happening by the nightly flow is not what goes wrong now."""


def patterns_of(condition: str) -> Annotated:
    """Patterns of medium severity and worse that opened in the range and meet the condition."""
    return Annotated(
        SqlAnnotation(
            "Patterns",
            "orange",
            f"""
            SELECT opened_at AS time, resolved_at AS timeend, explanation AS text,
                severity || ',' || pattern_class AS tags
            FROM patterns
            WHERE $__timeFilter(detected_at) AND severity IN ('medium', 'high', 'critical')
                AND verdict IS DISTINCT FROM 'false_positive' AND {LIVE} AND {condition}
            ORDER BY opened_at DESC
            LIMIT 200
            """,
            enable=True,
        )
    )


def deployments() -> Annotated:
    """What was deployed in the range; off until somebody switches it on."""
    return Annotated(
        SqlAnnotation(
            "Deployments",
            "blue",
            """
            SELECT execution_end AS time,
                pipeline_name || ' ' || status || coalesce(' ' || left(commit_sha, 10), '') AS text,
                status AS tags
            FROM deployments
            WHERE $__timeFilter(execution_start) AND execution_end IS NOT NULL
            ORDER BY execution_end DESC
            LIMIT 200
            """,
            enable=False,
        )
    )
