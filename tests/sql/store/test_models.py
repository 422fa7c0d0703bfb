from __future__ import annotations

import threading
import uuid

import msgspec
import pytest

from sql.store import models
from sql.store.errors import Conflict, NotFound, Refused
from sql.store.pool import Database
from sql.store.store import Store
from tests.sql.store.samples import DAY, T0, fill, sample


def register(store: Store, name: str, version: str) -> models.ModelVersion:
    model = sample(models.ML_MODELS, model_name=name, model_version=version)
    return store.models.register(model, "d" * 64, training=[sample(models.MODEL_TRAINING_DATA)])


def test_the_life_of_a_model(store: Store) -> None:
    first, second, third = (register(store, "life", str(n)) for n in (1, 2, 3))
    assert first.stage == "candidate"
    assert store.models.active("life") is None
    assert store.models.listing(name="life", active=True).items == []
    store.models.activate(first.id, at=T0)
    assert store.models.activate(second.id, decision={"why": "better"}, at=T0 + DAY).decision == {"why": "better"}
    assert [m.model_version for m in store.models.listing(name="life", active=True).items] == ["2"]
    gone = store.models.versions.get(first.id)
    assert (gone.stage, gone.retired_at) == ("retired", T0 + DAY)
    assert store.models.activate(second.id).activated_at == T0 + DAY
    assert register(store, "life", "2").stage == "active"
    assert register(store, "life", "4").previous_version_id == second.id
    store.models.activate(first.id, at=T0 + 2 * DAY)
    active = store.models.active("life")
    assert active
    assert (active.model_version, active.retired_at) == ("1", None)
    assert store.models.reject(third.id, {"why": "worse"}).stage == "rejected"
    with pytest.raises(Conflict, match="rejected"):
        store.models.activate(third.id)
    with pytest.raises(Conflict):
        store.models.reject(first.id, {})
    assert {version.model_version for version in store.models.versions_of("life")} == {"1", "2", "3", "4"}
    assert store.models.training_data.get(
        sample(models.MODEL_TRAINING_DATA, model_id=first.model_id).id
    ).model_id == first.model_id  # fmt: skip
    with pytest.raises(NotFound):
        store.models.activate(uuid.uuid4())


def test_one_version_is_active_however_many_are_activated_at_once(store: Store) -> None:
    versions = [register(store, "race", str(number)) for number in range(6)]
    failed: list[BaseException] = []

    def activate(version: models.ModelVersion) -> None:
        try:
            store.models.activate(version.id)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=activate, args=[version]) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    stages = [version.stage for version in store.models.versions_of("race")]
    assert sorted(stages) == ["active"] + ["retired"] * 5
    assert len(store.models.listing(name="race", active=True).items) == 1


def test_predictions_and_their_accuracy(store: Store, database: Database) -> None:
    model_id = register(store, "seer", "1").model_id
    said = fill(
        database, models.MODEL_PREDICTIONS, 3, lambda n: {"model_id": model_id, "prediction_timestamp": T0 + n * DAY,
                                                          "outcome_timestamp": None},
    )  # fmt: skip
    assert store.models.predictions_of(model_id, since=T0 + DAY).items == said[:0:-1]
    for number, prediction in enumerate(said):
        store.models.record_outcome(prediction, {"failed": True}, number / 2, at=T0 + 3 * DAY)
    assert store.models.predictions.get(said[2].id, near=said[2].prediction_timestamp).prediction_accuracy == 1.0
    with pytest.raises(NotFound):
        store.models.record_outcome(msgspec.structs.replace(said[0], id=uuid.uuid4()), {}, 1.0, at=T0 + DAY)
    with pytest.raises(Refused):
        store.models.record_outcome(said[0], {}, 1.5, at=T0 + 3 * DAY)
    for day, value in ((0, 0.5), (1, 0.75)):
        store.models.metrics.create(
            sample(
                models.MODEL_PERFORMANCE_METRICS, model_id=model_id, metric_name="pr_auc", metric_value=value,
                evaluation_timestamp=T0 + day * DAY,
            )
        )  # fmt: skip
    found = store.models.performance(model_id, T0, T0 + 4 * DAY)
    assert found.model.model_name == "seer"
    assert [(m.metric_name, m.metric_value) for m in found.metrics] == [("pr_auc", 0.75)]
    (day,) = found.accuracy
    assert (day.day.date(), day.judged, day.accuracy) == ((T0 + 3 * DAY).date(), 3, 0.5)
    with pytest.raises(NotFound):
        store.models.performance(uuid.uuid4(), T0, T0 + DAY)
    effect = store.models.effects.create(sample(models.RECOMMENDATION_EFFECTIVENESS, recommendation_id=model_id))
    assert store.models.effects_of(model_id) == [effect]
