"""What an Ingester does with events that cannot be delivered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streams.config.values import Age, Open, Spec, Window


class Retry(Spec):
    """How often, and how soon, a delivery is tried again."""

    max_attempts: int = Field(default=3, description="Attempts in all.")
    backoff: str = Field(default="exponential", description="How the waits grow.")
    backoff_base: str = Field(default="1s", description="The first wait.")


class Replay(Spec):
    """How dead letters are tried again."""

    enabled: bool = Field(default=False, description="Whether to try them again.")
    interval: Window = Field(default="5m", description="How often to look.")
    max_batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="Letters per look."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=10, description="Letters at once."
    )
    max_replay_age: Age = Field(default="24h", description="Age of the oldest letter to try.")
    max_replay_count: Annotated[int, Field(ge=0)] = Field(
        default=3, description="Tries per letter; 0 is without end."
    )


class DeadLetters(Spec):
    """Where events go that cannot be delivered."""

    enabled: bool = Field(default=False, description="Whether to keep them.")
    destination: Open = Field(default=None, description="Where to keep them.")
    replay: Replay | None = Field(default=None, description="How they are tried again.")


class FailureLogging(Spec):
    """What is logged of a failure."""

    include_body: bool = Field(default=False, description="Whether the event is logged with it.")
    level: Literal["debug", "info", "warn", "error"] = Field(
        default="error", description="Level of the log record."
    )


class ErrorHandling(Spec):
    """What is done with events that cannot be delivered."""

    strategy: Literal["fail-fast", "retry", "dlq"] = Field(
        default="fail-fast", description="What is done with them."
    )
    retry: Retry | None = Field(default=None, description="Read for strategy retry.")
    dlq: DeadLetters | None = Field(default=None, description="Read for strategy dlq.")
    logging: FailureLogging | None = Field(default=None, description="What is logged.")
