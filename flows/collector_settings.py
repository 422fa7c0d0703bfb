"""The settings of the collectors of CI: part of `flows.settings.Settings`."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class CollectorSettings(BaseSettings):
    """What `hindsight collect github-actions --listen` is told."""

    # --- webhooks
    github_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Secret with which GitHub signs the webhooks that `hindsight collect github-actions --listen` "
        "takes. Never shown, and no option: others see a command line.",
    )
