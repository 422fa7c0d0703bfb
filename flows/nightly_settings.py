"""The settings of the nightly flow, and of what it hands to the stream: part of `flows.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings


def _none(value: object) -> object:
    return None if value == "" else value


class NightlySettings(BaseSettings):
    """Where mined rules are, and Spark for a history that is past one machine."""

    # --- sequences
    sequence_rules: Annotated[Path | None, BeforeValidator(_none)] = Field(
        None,
        description="File of rules for sequences (JSON), such as `hindsight nightly` writes it; read when a process "
        "starts. Empty: none are looked for.",
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
