"""The settings of the nightly flow, and of what it hands to the stream: part of `flows.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings

RULES_FILE = Path("nightly/sequence-rules.json")
"""The default file of rules, below the data folder."""


def _none(value: object) -> object:
    return None if value == "" else value


class NightlySettings(BaseSettings):
    """Where mined rules are, and Spark for a history that is past one machine."""

    # --- sequences
    sequence_rules: Annotated[Path | None, BeforeValidator(_none)] = Field(
        None,
        description="File of rules for sequences (JSON): `hindsight nightly` writes it, the stream reads it, and again "
        "when it has changed. Empty: `nightly/sequence-rules.json` in the data folder, if it is there. A file that is "
        "named must be there.",
    )
    nightly_keep_days: int = Field(
        7,
        ge=1,
        le=3650,
        description="Days after which `hindsight nightly` deletes what an earlier night kept to go on from; reports "
        "stay for 90.",
    )

    # --- nightly on Spark
    spark_master: str = Field(
        "local[*]",
        min_length=1,
        description="Spark that `hindsight nightly --engine spark` counts on: `local[N]` for N cores of this machine, "
        "or a cluster (`spark://HOST:PORT`, `yarn`, `k8s://…`).",
    )
    spark_dir: Annotated[Path | None, BeforeValidator(_none)] = Field(
        None,
        description="Folder for the files that Spark reads. Every machine of a cluster must see it under this path. "
        "Empty: the night's folder.",
    )
