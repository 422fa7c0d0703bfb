"""Module 7, machine learning models: their registry, what they said, and whether that and advice were right."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from operators.identity import identity
from sql.store.errors import Conflict
from sql.store.page import Page
from sql.store.pool import Database
from sql.store.repository import Module, Repository
from sql.store.table import DERIVED, Json, Record, TableOf, derived
from sql.store.where import between, equals, one_of


class Model(Record, frozen=True, kw_only=True):
    """A version of a model."""

    id: uuid.UUID = DERIVED
    model_name: str
    model_type: str
    model_purpose: str
    algorithm_name: str
    model_version: str
    model_parameters: Json
    training_data_hash: str
    model_artifact_path: str
    created_at: datetime | None = None
    is_active: bool = False
    performance_metrics: Json | None = None


class ModelVersion(Record, frozen=True, kw_only=True):
    """The life of a version: candidate, then active or rejected, then retired."""

    id: uuid.UUID = DERIVED
    model_id: uuid.UUID
    model_name: str
    model_version: str
    previous_version_id: uuid.UUID | None = None
    stage: str = "candidate"
    artifact_sha256: str
    created_at: datetime | None = None
    activated_at: datetime | None = None
    retired_at: datetime | None = None
    decision: Json | None = None


class TrainingData(Record, frozen=True, kw_only=True):
    """What a model was trained on."""

    id: uuid.UUID = DERIVED
    model_id: uuid.UUID
    data_source: str
    data_hash: str
    feature_count: int
    sample_count: int
    data_quality_score: float
    feature_importance: Json | None = None
    training_start: datetime
    training_end: datetime | None = None
    validation_split: float
    test_split: float


class Prediction(Record, frozen=True, kw_only=True):
    """What a model said, and what came of it."""

    id: uuid.UUID
    model_id: uuid.UUID
    prediction_input: Json
    prediction_output: Json
    confidence_score: float
    prediction_timestamp: datetime
    actual_outcome: Json | None = None
    outcome_timestamp: datetime | None = None
    prediction_accuracy: float | None = None
    context_metadata: Json | None = None


class ModelMetric(Record, frozen=True, kw_only=True):
    """A measure of a model on a data set."""

    id: uuid.UUID = DERIVED
    model_id: uuid.UUID
    metric_name: str
    metric_value: float
    metric_type: str
    evaluation_dataset: str
    evaluation_timestamp: datetime
    evaluation_context: Json | None = None
    benchmark_comparison: float | None = None


class Feature(Record, frozen=True, kw_only=True):
    """A feature of a model, or with None as `model_id` one that the nightly flow computed for whichever wants it."""

    id: uuid.UUID = DERIVED
    model_id: uuid.UUID | None = None
    feature_name: str
    feature_type: str
    transformation_logic: str
    feature_importance: float | None = None
    correlation_with_target: float | None = None
    created_at: datetime | None = None
    is_active: bool = True
    performance_impact: Json | None = None


class PredictionAccuracy(Record, frozen=True, kw_only=True):
    """A judgement of a prediction."""

    id: uuid.UUID = DERIVED
    model_id: uuid.UUID
    prediction_id: uuid.UUID
    accuracy_score: float
    error_magnitude: float | None = None
    error_type: str | None = None
    measured_at: datetime
    feedback_source: str
    correction_applied: bool = False


class RecommendationEffect(Record, frozen=True, kw_only=True):
    """What became of a recommendation; improvements are in percent. Which event it shows is the stream's to say."""

    id: uuid.UUID = DERIVED
    recommendation_id: uuid.UUID
    recommendation_type: str
    implementation_status: str
    implementation_date: datetime | None = None
    measured_improvement: float | None = None
    expected_improvement: float | None = None
    effectiveness_score: float | None = None
    measurement_period: timedelta | None = None
    measured_at: datetime | None = None
    feedback_notes: str | None = None
    business_impact: Json | None = None


class DailyAccuracy(Record, frozen=True, kw_only=True):
    """How right a model's predictions of a day (UTC) were, on the average, as judged by one source."""

    day: datetime
    feedback_source: str
    judged: int
    accuracy: float
    error_magnitude: float | None


class ModelPerformance(msgspec.Struct, frozen=True):
    """A model, the latest of each of its measures by data set, and its accuracy by day."""

    model: Model
    metrics: list[ModelMetric]
    accuracy: list[DailyAccuracy]


ML_MODELS = TableOf(
    Model, "ml_models", kept=("created_at", "is_active"), identify=derived("ml_model", "model_name", "model_version")
)
MODEL_VERSIONS = TableOf(
    ModelVersion,
    "model_versions",
    kept=("created_at", "stage", "activated_at", "retired_at"),
    identify=derived("model_version", "model_name", "model_version"),
)
MODEL_TRAINING_DATA = TableOf(
    TrainingData, "model_training_data", identify=derived("model_training_data", "model_id", "data_source")
)
MODEL_PREDICTIONS = TableOf(Prediction, "model_predictions", time="prediction_timestamp")
MODEL_PERFORMANCE_METRICS = TableOf(
    ModelMetric,
    "model_performance_metrics",
    key=("model_id", "metric_name", "evaluation_dataset", "evaluation_timestamp"),
    time="evaluation_timestamp",
    identify=derived(
        "model_performance_metric", "model_id", "metric_name", "evaluation_dataset", "evaluation_timestamp"
    ),
)
FEATURE_ENGINEERING = TableOf(Feature, "feature_engineering", identify=derived("feature", "model_id", "feature_name"))
PREDICTION_ACCURACY_TRACKING = TableOf(
    PredictionAccuracy,
    "prediction_accuracy_tracking",
    key=("prediction_id", "feedback_source", "measured_at"),
    time="measured_at",
    identify=derived("prediction_accuracy", "prediction_id", "feedback_source", "measured_at"),
)
RECOMMENDATION_EFFECTIVENESS = TableOf(
    RecommendationEffect,
    "recommendation_effectiveness",
    identify=lambda row: identity("recommendation_effectiveness", f"{row.recommendation_id}/status"),
)


class Models(Module):
    """The registry of models and what belongs to it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.models = Repository(database, ML_MODELS)
        self.versions = Repository(database, MODEL_VERSIONS)
        self.training_data = Repository(database, MODEL_TRAINING_DATA)
        self.predictions = Repository(database, MODEL_PREDICTIONS)
        self.metrics = Repository(database, MODEL_PERFORMANCE_METRICS)
        self.features = Repository(database, FEATURE_ENGINEERING)
        self.accuracy = Repository(database, PREDICTION_ACCURACY_TRACKING)
        self.effects = Repository(database, RECOMMENDATION_EFFECTIVENESS)

    def register(self, model: Model, artifact_sha256: str, *, training: Collection[TrainingData] = ()) -> ModelVersion:
        """Store a new version of a model as a candidate; the same again changes nothing in its life.

        The `model_id` of the training data is set here.
        """
        with self.database.write():
            active = self.active(model.model_name)
            stored = self.models.save(msgspec.structs.replace(model, is_active=False))
            self.training_data.save_all(
                msgspec.structs.replace(data, id=DERIVED, model_id=stored.id) for data in training
            )
            version = ModelVersion(
                model_id=stored.id,
                model_name=stored.model_name,
                model_version=stored.model_version,
                artifact_sha256=artifact_sha256,
            )
            before = active.id if active else None
            if before == MODEL_VERSIONS.identified(version).id:
                before = self.versions.get(before).previous_version_id
            return self.versions.save(msgspec.structs.replace(version, previous_version_id=before))

    def activate(
        self, version_id: uuid.UUID, *, decision: Json | None = None, at: datetime | None = None
    ) -> ModelVersion:
        """Let a version work from now on, and retire the one before it: of a name one works at a time.

        A retired version may come back. A rejected one may not: :class:`Conflict`.
        """
        moment = at or datetime.now(UTC)
        with self.database.write() as connection:
            version = self.versions.get(version_id)
            # Whoever activates another version of the same name at this moment waits.
            connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"model {version.model_name}"])
            version = self.versions.get(version_id)
            if version.stage == "rejected":
                raise Conflict(f"{version.model_name} {version.model_version} was rejected")
            if version.stage == "active":
                return version
            before = self.active(version.model_name)
            if before is not None:
                retired = max(moment, before.activated_at or moment)
                self.versions.update(before.id, {"stage": "retired", "retired_at": retired})
                self.models.update(before.model_id, {"is_active": False})
            self.models.update(version.model_id, {"is_active": True})
            changes: dict[str, Any] = {"stage": "active", "activated_at": moment, "retired_at": None}
            if decision is not None:
                changes["decision"] = decision
            return self.versions.update(version.id, changes)

    def reject(self, version_id: uuid.UUID, decision: Json) -> ModelVersion:
        """Say of a candidate that it shall not work, and why; :class:`Conflict` if it is no candidate."""
        changes = {"stage": "rejected", "decision": decision}
        return self.versions.update(version_id, changes, expected={"stage": "candidate"})

    def active(self, model_name: str) -> ModelVersion | None:
        """The version of a model that works now."""
        return self.versions.first([equals("model_name", model_name), equals("stage", "active")], order="created_at")

    def versions_of(self, model_name: str) -> list[ModelVersion]:
        """All versions of a model, the newest first."""
        return self.versions.all([equals("model_name", model_name)], order="created_at", descending=True)

    def listing(
        self,
        *,
        name: str | None = None,
        types: Collection[str] | None = None,
        active: bool | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Model]:
        """Models, the newest first."""
        conditions = [equals("model_name", name), one_of("model_type", types), equals("is_active", active)]
        return self.models.page(conditions, order="created_at", limit=limit, after=after)

    def predictions_of(
        self,
        model_id: uuid.UUID,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[Prediction]:
        """What a model said in [since, until), the latest first."""
        conditions = [equals("model_id", model_id), *between("prediction_timestamp", since, until)]
        return self.predictions.page(conditions, order="prediction_timestamp", limit=limit, after=after)

    def record_outcome(
        self, prediction: Prediction, outcome: Json, accuracy: float, *, source: str = "automated", at: datetime
    ) -> PredictionAccuracy:
        """Store what came of a prediction and how right it was, 0 to 1; `source`: automated, human or system."""
        changes = {"actual_outcome": outcome, "outcome_timestamp": at, "prediction_accuracy": accuracy}
        with self.database.write():
            self.predictions.update(prediction.id, changes, near=prediction.prediction_timestamp)
            judgement = PredictionAccuracy(
                model_id=prediction.model_id,
                prediction_id=prediction.id,
                accuracy_score=accuracy,
                measured_at=at,
                feedback_source=source,
            )
            return self.accuracy.save(judgement)

    def performance(self, model_id: uuid.UUID, since: datetime, until: datetime) -> ModelPerformance:
        """A model's latest measures, and its accuracy by day in [since, until); raises `NotFound`."""
        with self.database.read():
            model = self.models.get(model_id)
            latest = self.ask("store_model_metrics", ModelMetric, model_id=model_id)
            days = self.ask("store_model_accuracy", DailyAccuracy, model_id=model_id, since=since, until=until)
            return ModelPerformance(model, latest, days)

    def effects_of(self, recommendation_id: uuid.UUID) -> list[RecommendationEffect]:
        """What became of a recommendation."""
        return self.effects.all([equals("recommendation_id", recommendation_id)], order="id")
