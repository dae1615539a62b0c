"""The record: everything one run left behind. Versioned; published as JSON Schema; statistics are not stored."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
"""The value of Record.schema_version that this code writes and reads."""

Status = Literal["ok", "over_budget", "failed", "timeout", "out_of_memory", "unsupported"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")


class Samples(_Strict):
    """Samples of one score, in the order of the data; see bench.contract.Score for how they become a value."""

    samples: list[float]
    weights: list[float] | None = None
    aggregate: Literal["mean", "exp_mean", "max"] = "mean"


class Timing(_Strict):
    """Paired times of one phase of one workload, in seconds: candidate[i] and baseline[i] ran next to each other.

    units: work done per sample, counted in `unit`. converged: whether the interval of the ratio became as narrow as
    asked before the time was up. dropped: trials thrown away (throttled). realised: False where the method has no
    kernel here that really saves, so its speed says nothing about the method.
    """

    candidate: list[float]
    baseline: list[float]
    units: float
    unit: str
    converged: bool
    dropped: int = 0
    realised: bool = True


class Build(_Strict):
    """What it took to build: wall seconds, peak process memory above the level before (bytes), supplies drawn."""

    seconds: float
    peak_memory_bytes: float
    drawn: dict[str, int] = Field(default_factory=dict)


class Environment(_Strict):
    """Where it ran. `versions` of libraries, `device` facts (driver, clocks...) as far as they can be read."""

    hardware: str
    cpu: str
    cores: int
    threads: int
    memory_bytes: int
    gpu: str | None = None
    device: dict[str, str] = Field(default_factory=dict)
    platform: str
    python: str
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None


class Outcome(_Strict):
    """What the process of a run finds out; the rest of a record is known before.

    reason: why the status is not ok. figures: exact figures of the result by name. memory: named peaks in bytes.
    """

    model_config = ConfigDict(frozen=False)

    status: Status
    reason: str | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Samples] = Field(default_factory=dict)
    figures: dict[str, float] = Field(default_factory=dict)
    timings: dict[str, dict[str, Timing]] = Field(default_factory=dict)
    memory: dict[str, float] = Field(default_factory=dict)
    build: Build | None = None


class Record(Outcome):
    """One run. `key` is the hash of all inputs (suite, method, hyper-parameters, point, scale, base, seed,
    environment): a record whose key is not today's is stale.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    id: str
    key: str
    suite: str
    suite_version: str
    method: str
    variant: str
    point: str
    scale: str
    base: str
    seed: int
    hardware: str
    environment: Environment
    started: datetime
    seconds: float
    command: str
    log: str = ""
