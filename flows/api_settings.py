"""The settings of the HTTP API: part of `flows.settings.Settings`, in a file of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode


class ApiSettings(BaseSettings):
    """What `hindsight api` is told."""

    # --- HTTP API
    api_host: str = Field("127.0.0.1", min_length=1, description="Address on which the HTTP API is served.")
    api_port: int = Field(8000, ge=0, le=65_535, description="Port of the HTTP API; 0 = any that is free.")
    api_require_token: bool = Field(
        False, description="Whether reading through the HTTP API takes a token; writing always does."
    )
    api_pool_size: int = Field(
        16, ge=1, le=500, description="Connections to the database: requests that the API works on at a time."
    )
    api_query_seconds: float = Field(
        10.0, gt=0, le=3600, description="Seconds that a statement of the API may take in the database."
    )
    api_cache_seconds: float = Field(
        1.0, ge=0, le=3600, description="Seconds for which the API gives the same answer again; 0 = none."
    )
    api_max_body_bytes: int = Field(
        8_388_608, ge=1024, le=1_073_741_824, description="Greatest size of a request's body in bytes."
    )
    api_rate_per_second: float = Field(
        50.0, ge=0, description="Requests a second of one token, or one address, in the long run; 0 = no limit."
    )
    api_rate_burst: int = Field(200, ge=1, description="Requests of one token or address that may come at once.")
    api_rate_loopback: bool = Field(False, description="Whether callers on the same machine are limited in rate too.")
    api_cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins, separated by commas, whose pages may use the API in a browser, such as "
        "`https://portal.example.org`. Empty: none.",
    )
    api_flow_metrics: Annotated[tuple[str, ...], NoDecode] = Field(
        ("http://127.0.0.1:9464/metrics",),
        description="Where flows serve their metrics, separated by commas: the API's page shows their lag and "
        "watermarks. Empty: nowhere.",
    )
    api_trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses, separated by commas, of proxies whose `X-Forwarded-For` is believed.",
    )

    @field_validator("api_flow_metrics", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        if isinstance(value, str):
            value = tuple(address.strip() for address in value.split(",") if address.strip())
        if isinstance(value, tuple) and not all(re.fullmatch(r"https?://[^\s@]+", str(one)) for one in value):
            raise ValueError("must be addresses such as http://127.0.0.1:9464/metrics, separated by commas")
        return value

    @field_validator("api_cors_origins", mode="before")
    @classmethod
    def _origins(cls, value: object) -> object:
        if isinstance(value, str):
            value = [origin.strip() for origin in value.split(",") if origin.strip()]
        if isinstance(value, Iterable):
            value = tuple(value)
            for origin in value:
                if not re.fullmatch(r"https?://[^\s/*?#@]+", str(origin)):
                    raise ValueError("must be origins such as https://portal.example.org, separated by commas")
        return value
