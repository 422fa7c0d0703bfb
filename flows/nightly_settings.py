"""The settings of what the nightly flow hands to the stream: part of `flows.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings


def _none(value: object) -> object:
    return None if value == "" else value


class NightlySettings(BaseSettings):
    """What a process is told about mined rules."""

    # --- sequences
    sequence_rules: Annotated[Path | None, BeforeValidator(_none)] = Field(
        None,
        description="File of rules for sequences (JSON), such as `hindsight nightly` writes it; read when a process "
        "starts. Empty: none are looked for.",
    )
