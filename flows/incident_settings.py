"""The settings of incidents: how patterns are grouped, and when nobody is told. Part of `flows.settings`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode

from operators.incident.changes import INHIBITORS, holidays, quiet_windows


class IncidentSettings(BaseSettings):
    """What a process is told about incidents; a part of :class:`flows.settings.Settings`."""

    incident_grouping_enabled: bool = Field(
        True, description="Group patterns into incidents, of which people are told; of several processes one does it."
    )
    incident_window_seconds: float = Field(
        300.0,
        ge=0,
        le=86_400,
        description="Seconds after the activity of a pattern in which another one of the same tree of entities still "
        "belongs to its incident. Series that come more seldom have their own cadence instead.",
    )
    incident_grace_seconds: float = Field(
        300.0, ge=0, le=86_400, description="Seconds for which all patterns must have ended before an incident has."
    )
    incident_burst_patterns: int = Field(
        4,
        ge=2,
        le=1000,
        description="Patterns of so many unrelated entities of one input within two minutes are one incident.",
    )
    incident_related_series: bool = Field(
        True,
        description="Look at series that hang together as a whole, by the minute: which follows which, and what is "
        "unusual about all of them together.",
    )
    incident_change_minutes: float = Field(
        60.0,
        ge=0,
        le=10_080,
        description="How long before an incident, in minutes, a deployment or a new configuration is named with it.",
    )
    incident_inhibited_by: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="What keeps incidents from being told, separated by commas: `quiet_hours`, `holidays`, `changes`. "
        "They are stored all the same, and critical ones are always told.",
    )
    quiet_hours: Annotated[list[Any], NoDecode] = Field(
        default_factory=list,
        description="Weekly windows as a JSON list: "
        '`[{"days": "mon-fri", "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}]`.',
    )
    holidays: Annotated[list[Any], NoDecode] = Field(
        default_factory=list,
        description="Dates as a JSON list, of one year or of each: "
        '`["2026-04-06", "12-25", {"date": "10-03", "zone": "Europe/Berlin", "name": "Unity Day"}]`.',
    )

    @field_validator("incident_inhibited_by", mode="before")
    @classmethod
    def _known_inhibitors(cls, value: object) -> object:
        if isinstance(value, str):
            value = [name.strip() for name in value.split(",") if name.strip()]
        if isinstance(value, Iterable):
            value = tuple(value)
            for name in value:
                if name not in INHIBITORS:
                    raise ValueError(f"must be of {', '.join(INHIBITORS)}, separated by commas")
        return value

    @field_validator("quiet_hours", "holidays", mode="before")
    @classmethod
    def _calendar(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                raise ValueError("must be a JSON list") from None
        (quiet_windows if info.field_name == "quiet_hours" else holidays)(value)
        return value
