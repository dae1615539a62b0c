"""What a worker process hands back: the part of a record that only it can know."""

from typing import Any

from pydantic import BaseModel, Field

from bench.record.schema import Build, Samples, Status, Timing


class Outcome(BaseModel):
    """See bench.record.schema.Record for the fields."""

    status: Status
    reason: str | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Samples] = Field(default_factory=dict)
    figures: dict[str, float] = Field(default_factory=dict)
    timings: dict[str, dict[str, Timing]] = Field(default_factory=dict)
    memory: dict[str, float] = Field(default_factory=dict)
    build: Build | None = None
