"""The record: everything one run left behind. Versioned; published as JSON Schema; statistics are not stored."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
"""The value of Record.schema_version that this code writes and reads."""

Status = Literal["ok", "over_budget", "failed", "timeout", "out_of_memory", "unsupported"]
FAILURES: tuple[Status, ...] = ("failed", "timeout", "out_of_memory")
"""Ends that are no answer to what was asked. Over a limit, or not made for it, is one."""

Isolation = Literal["none", "bubblewrap"]


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
    asked before the time was up. warm_up: pairs thrown away until the times had settled. dropped: pairs thrown away
    because the machine was throttled or disturbed (bench.measure.paired says when). realised: False where the method
    has no kernel here that really saves, so its speed says nothing about the method. graph: replayed as a CUDA graph.
    device_candidate, device_baseline: the same steps by the device's own clock (CUDA events), in seconds.
    flops, bytes: what one sample of the candidate executes and must at least move, as counted on untimed steps; the
    fewest that were seen. None where it was not counted. waited: share of the wall time of both sides that other
    processes took, and that is not in the times. cores: processor seconds of all threads of the candidate, per one of
    the thread that calls it. unfinished: median seconds (CUDA) that other streams of the device worked on after the one
    that the candidate was called on.
    """

    candidate: list[float]
    baseline: list[float]
    units: float
    unit: str
    converged: bool
    warm_up: int = 0
    dropped: int = 0
    realised: bool = True
    graph: bool = False
    device_candidate: list[float] | None = None
    device_baseline: list[float] | None = None
    flops: float | None = None
    bytes: float | None = None
    waited: float = 0.0
    cores: float | None = None
    unfinished: float | None = None


class Batch(_Strict):
    """One batch size that was tried: units per second and peak bytes, or the reason why it gave none."""

    batch: int
    per_second: float | None = None
    peak_bytes: float | None = None
    reason: str | None = None


class Throughput(_Strict):
    """Best batch of each side within the memory limit, and paired times there: seconds per unit of work."""

    unit: str
    memory_limit_bytes: float
    candidate_batch: int
    baseline_batch: int
    candidate: list[float]
    baseline: list[float]
    candidate_tried: list[Batch]
    baseline_tried: list[Batch]


class Energy(_Strict):
    """Joules per unit of work, candidate and baseline by turns. source: the meter, "nvml" or "rapl"."""

    candidate: list[float]
    baseline: list[float]
    unit: str
    source: str


class Build(_Strict):
    """What it took to build: seconds by the clock and of all processors, peak memory above the level before (bytes) of
    the whole process tree, supplies drawn. Records made before builders were processes have the clock alone.
    """

    seconds: float
    processor_seconds: float | None = None
    peak_memory_bytes: float
    drawn: dict[str, int] = Field(default_factory=dict)


class Environment(_Strict):
    """Where it ran. `versions` of libraries; facts of the device (driver, clocks, throttle reasons, limits...) as far
    as they can be read, before the run (`device`) and after it (`device_after`). isolation: what the method's code was
    kept in.
    """

    hardware: str
    cpu: str
    cores: int
    threads: int
    memory_bytes: int
    gpu: str | None = None
    device: dict[str, str] = Field(default_factory=dict)
    device_after: dict[str, str] = Field(default_factory=dict)
    platform: str
    python: str
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    isolation: Isolation = "none"


class Outcome(_Strict):
    """What the process of a run finds out; the rest of a record is known before.

    reason: why the status is not ok. figures: exact figures of the result by name. memory: named peaks in bytes.
    timings: by workload and phase. throughput, energy: by workload; a workload that is not there was not measured.
    missing: figures that could not be had, each with the reason. disturbed: something outside of the run has ended it,
    so that it is no answer, and is run again.
    """

    model_config = ConfigDict(frozen=False)

    status: Status
    reason: str | None = None
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    quality: dict[str, Samples] = Field(default_factory=dict)
    figures: dict[str, float] = Field(default_factory=dict)
    timings: dict[str, dict[str, Timing]] = Field(default_factory=dict)
    throughput: dict[str, Throughput] = Field(default_factory=dict)
    energy: dict[str, Energy] = Field(default_factory=dict)
    memory: dict[str, float] = Field(default_factory=dict)
    missing: dict[str, str] = Field(default_factory=dict)
    build: Build | None = None
    disturbed: bool = False


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
