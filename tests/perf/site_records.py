"""Many records, as years of nightly runs leave them: 94 methods of five suites, or 235 of twenty, four machines, six
points, seeds, nights.

Figures are drawn once for each configuration and a few nights; a record of about 10 kB has the samples of a real one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bench import measure
from bench.contract import Card, Claim, Limits, OperatingPoint
from bench.record.schema import Build, Environment, Record, Samples, Timing
from bench.registry import Listed, Registry, SuiteInfo
from bench.registry.content import Contents
from bench.registry.key import Run, key_of
from bench.registry.metrics import Metric
from tests.bench.analyse.record_factory import make_info, make_problem
from tests.bench.publish.site_factory import Files

FIVE = {"language": 40, "tuning": 22, "operators": 14, "diffusion": 10, "sampling": 8}
LAYOUTS = {"five": FIVE, "twenty": FIVE | {f"area-{number}": 10 if number <= 6 else 9 for number in range(1, 16)}}
"""Methods of each suite."""
HARDWARE = ("cpu-test-1t", "cpu-test-8t", "nvidia-h100-80gb", "nvidia-h200")
POINTS = ("unlimited", "size-75", "size-50", "size-25", "compute-75", "compute-50")
START = datetime(2020, 1, 1, tzinfo=UTC)
VERSIONS = {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6"}
NIGHTS = 4
"""Nights whose samples differ; later ones repeat them, so that making the records takes seconds."""


@dataclass(frozen=True)
class Configuration:
    """One method at one point on one machine, with its seeds."""

    suite: str
    method: str
    variant: str
    hardware: str
    point: str
    seeds: int
    quality: float
    """Shift of the log perplexity."""
    cost: float
    failing: bool


@cache
def make_registry(layout: str = "five") -> Registry:
    """The suites and methods of the records."""
    sizes = LAYOUTS[layout]
    suites = {suite: _info(suite) for suite in sizes}
    listed = [_method(suite, number) for suite, size in sizes.items() for number in range(size)]
    texts = {each.place: f"class Made:\n    slug = {each.slug!r}\n    samples: int = 256\n" for each in listed}
    for suite in sizes:
        texts[PurePosixPath("suites", suite, "main.py")] = f"NAME = {suite!r}\n"
    tree = Files(texts)
    return Registry(tree, suites, {(each.suite, each.slug): each for each in listed}, (), Contents(tree))


def configurations(seed: int = 0, layout: str = "five") -> list[Configuration]:
    """Every configuration, in an order that does not depend on how many records are made."""
    rng = np.random.default_rng(seed)
    found = []
    for suite, size in LAYOUTS[layout].items():
        for number in range(size):
            seeds = 3 if number % 3 == 0 else 1
            for variant in ("default", "wide") if number % 3 == 1 else ("default",):
                for hardware in HARDWARE:
                    for point in POINTS:
                        draw = rng.normal(0, 0.3), float(rng.uniform(0.3, 1.1)), bool(rng.random() < 0.08)
                        found.append(Configuration(suite, f"{suite}-{number}", variant, hardware, point, seeds, *draw))
    return found


def write(folder: Path, records: int, layout: str = "five") -> int:
    """Write so many records, night after night; returns how many configurations they have."""
    found = configurations(layout=layout)
    blocks: dict[tuple[int, int], str] = {}
    files: dict[Path, list[str]] = {}
    for count, (night, i, seed) in enumerate(_schedule(found)):
        if count == records:
            break
        each = found[i]
        path = folder / each.hardware / each.suite / f"{each.method}.jsonl"
        at = i, night % NIGHTS
        if at not in blocks:
            blocks[at] = _record_text(each, np.random.default_rng(at))
        files.setdefault(path, []).append(_line(each, blocks[at], night, seed, count))
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(lines)
    return len(found)


def add(folder: Path, records: int, spread: bool) -> None:
    """Append so many newer records: of one machine and suite, as a night leaves them, or spread over everything."""
    found = configurations()
    chosen = found if spread else [c for c in found if c.hardware == HARDWARE[0] and c.suite == "operators"]
    rng = np.random.default_rng(1)
    for count in range(records):
        each = chosen[int(rng.integers(len(chosen)))]
        path = folder / each.hardware / each.suite / f"{each.method}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            block = _record_text(each, np.random.default_rng([count, 0]))
            file.write(_line(each, block, 100_000, 0, 10**9 + count))


def _schedule(found: list[Configuration]) -> Iterator[tuple[int, int, int]]:
    night = 0
    while True:
        for i, each in enumerate(found):
            for seed in range(each.seeds):
                yield night, i, seed
        night += 1


def _line(each: Configuration, block: str, night: int, seed: int, count: int) -> str:
    started = START + timedelta(days=night, seconds=count % 80_000)
    name = f'"id":"{count:016x}","key":"{_key(each, seed)}","seed":{seed},"started":"{started.isoformat()}"'
    command = (
        f"effbench run --suite {each.suite} --method {each.method}:{each.variant} --point {each.point} --seed {seed}"
    )
    return f'{{{name},"command":"{command}",{block}}}\n'


@cache
def _key(each: Configuration, seed: int) -> str:
    run = Run(
        each.suite, each.method, each.variant, each.point, "full", "some-model", seed, each.hardware, 1, VERSIONS
    )  # fmt: skip
    layout = "five" if each.suite in FIVE else "twenty"
    return key_of(make_registry(layout), run, measure.VERSION)


def _record_text(each: Configuration, rng: np.random.Generator) -> str:
    """Everything but the identity of a record, as JSON."""
    hard = np.random.default_rng(7).normal(5.5, 0.5, 50)
    words = np.full(50, 140.0)
    losses = (hard + each.quality + rng.normal(0, 0.05, 50)) * words
    status: Any = "failed" if each.failing else "ok"

    def right(n: int) -> Samples:
        return Samples(samples=(rng.random(n) < 0.4 - 0.1 * each.quality).astype(float).tolist())

    def times(n: int, level: float) -> Timing:
        base = level * np.exp(rng.normal(0, 0.02, n))
        own = base * each.cost * np.exp(rng.normal(0, 0.01, n))
        return Timing(candidate=own.tolist(), baseline=base.tolist(), units=64, unit="token", converged=True)

    environment = Environment(
        hardware=each.hardware, cpu="Test CPU", cores=2, threads=1, memory_bytes=2**34, platform="Linux", python="3.11",
        versions=VERSIONS, commit="0" * 40, dirty=False,
    )  # fmt: skip
    values: dict[str, Any] = {} if each.failing else {
        "quality": {
            "perplexity": Samples(samples=losses.tolist(), weights=words.tolist(), aggregate="exp_mean"),
            "cloze": right(200), "names": right(118), "sentences": right(109),
        },
        "timings": {"prefill": {"latency": times(7, 0.9)}, "decode": {"ttft": times(8, 1.0), "tpot": times(63, 0.05)}},
        "memory": {"peak": float(rng.uniform(1e9, 2e9))},
        "figures": {"stored_ratio": each.cost, "flops_ratio": each.cost**0.5, "stored_bytes": 2e8 * each.cost},
        "build": Build(seconds=float(rng.uniform(5, 500)), peak_memory_bytes=float(rng.uniform(1e8, 1e9))),
    }  # fmt: skip
    record = Record(
        id="", key="", suite=each.suite, suite_version="1", method=each.method, variant=each.variant, point=each.point,
        scale="full", base="some-model", seed=0, hardware=each.hardware, status=status, environment=environment,
        reason="it did not converge" if each.failing else None, hyperparameters={"samples": 256, "block": 8},
        started=START, seconds=120.0, command="", log="loading\nbuilding\nevaluating\n" * 8, **values,
    )  # fmt: skip
    plain = json.loads(record.model_dump_json(exclude={"id", "key", "seed", "started", "command"}))
    return json.dumps(plain, separators=(",", ":"))[1:-1]


def _info(suite: str) -> SuiteInfo:
    scores = [Metric("perplexity", "Perplexity per word", primary=True)]
    scores += [Metric(name, name.title(), better="higher") for name in ("cloze", "names", "sentences")]
    costs = [
        Metric("stored_ratio", "Stored bytes against dense", primary=True),
        Metric("flops_ratio", "FLOPs against dense", primary=True),
        Metric("decode.tpot.ratio", "Time per token against dense", primary=True),
        Metric("prefill.latency.ratio", "Prefill time against dense", primary=True),
        Metric("stored_bytes", "Stored bytes", "B"), Metric("memory.peak", "Peak memory", "B"),
        Metric("decode.tpot", "Time per token", "s"), Metric("build.seconds", "Time to build", "s"),
        Metric("build.peak_memory_bytes", "Peak memory of the build", "B"),
    ]  # fmt: skip
    points = {name: OperatingPoint(name, name, "main", Limits()) for name in POINTS}
    problem = make_problem("main", scores, costs, suite, baseline=f"{suite}-0")
    return make_info(
        slug=suite, title=suite.title(), summary="A suite of the benchmark.", baseline=f"{suite}-0", points=points,
        problems={"main": problem}, timing={"full": {}}, notice="",
    )  # fmt: skip


def _method(suite: str, number: int) -> Listed:
    claims = (
        Claim("Better than the control.", "Table 1", "perplexity", versus=f"{suite}-3"),
        Claim("As good as the baseline.", "Table 2", "perplexity", relation="same"),
        Claim("Faster than the baseline.", "Figure 3", "decode.tpot.ratio"),
    )
    card = Card(
        f"{suite}-{number}", f"Method {number}", "Author (2024). A paper.", control=number in (0, 3, 6), claims=claims
    )  # fmt: skip
    module = f"methods.{suite}.family.method_{number}"
    place = PurePosixPath(*module.split(".")).with_suffix(".py")
    variants: dict[str, dict[str, Any]] = {"default": {}, "wide": {}}
    return Listed(suite, module, "Made", "family", place, card, "Drops what matters least.", variants, {})
