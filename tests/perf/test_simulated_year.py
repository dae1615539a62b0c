"""A year of nights with real noise: does the nightly judge cry wolf, and does it find what was planted?

    python tests/perf/test_simulated_year.py --years 4                 the noise of the records as it comes
    python tests/perf/test_simulated_year.py --years 2 --contended     one night in five is busy from end to end

Needs `pip install asv` for the comparison; without it that part is left out. Noise comes from what was measured, none
from a formula:

- Within a run: the paired times of the committed records. Each simulated run takes all its series from one record of
  the same suite, so that a run on a busy machine is noisy in all of them; pairs are drawn in blocks of neighbours and
  go through the same interval as real ones. (Those records were made on two shared cores: half are busy runs.)
- Between runs: how far runs of the same thing lay apart; see `between_deviations`.
- Quality: real scores, one percent worse. Repeated runs agreed to the last digit, so their noise is none.

Every night runs every configuration once, and again as long as the judge asks for it, as `effbench nightly` does with
enough time. A change hits all series of a configuration, stays, and is found when any of them is told. What is told
without a change behind it is a false alarm; a night with one or more of them counts once.

asv's step detection (`asv.step_detect`, version 0.6) sees the same runs, those of a night as their mean with its error
as weight, and is asked after one, three and seven nights whether it reports a regression at or after the planted night.
For its false alarms it is asked every 30 nights; what it reports in more than one month counts once.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.analyse.regressions import Noise, Run, State, between_runs, follow, step, timed
from bench.measure.statistics import MIN_PAIRS, ratio_interval
from bench.nightly.night import MOST_RUNS
from bench.nightly.series import runs_of
from bench.publish.markdown import table
from bench.record import store
from bench.record.schema import Record, Samples
from bench.registry import open_registry

RESULTS = Path(__file__).resolve().parents[2] / "results"
REPEATED = Path(__file__).with_name("repeated_runs.json")
DAY, RERUN = 86_400.0, 300.0
NIGHTS = 365
DRAWS = 60
BLOCK = 4
QUIET = 0.012
BUSY = 0.2
SIZES = (0.02, 0.05, 0.10)
WITHIN = (1, 3, 7)
EARLIEST = 21
BLOCKS = ("random-block-drop", "unified-layer-skipping", "magnitude-drop", "layer-truncation")
"""Methods that leave whole blocks out, and nothing else."""
Rng = np.random.Generator


@dataclass(frozen=True)
class Real:
    """One record's noise: for each of its series, the deviations of DRAWS resampled runs and their errors."""

    deviations: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]

    @property
    def loud(self) -> float:
        return float(np.median([np.median(errors) for errors in self.errors.values()]))


@dataclass
class Board:
    """configurations: names of their series. noise: records of the suite to draw from, quiet ones first."""

    configurations: list[tuple[str, list[str]]]
    noise: dict[str, list[Real]]
    between: list[float]

    @property
    def watched(self) -> int:
        return sum(len(series) for _, series in self.configurations)

    def draw(self, suite: str, series: Sequence[str], busy: bool | None, rng: Rng) -> dict[str, tuple[float, float]]:
        """Deviation and error of each series in one run. busy: None draws from all records that have them all."""
        pool = [real for real in self.noise[suite] if real.deviations.keys() >= set(series)]
        half = len(pool) // 2
        pool = pool if busy is None else pool[half:] if busy else pool[:half]
        real, which = pool[rng.integers(len(pool))], rng.integers(DRAWS)
        drawn = {}
        for name in series:
            shift = self.between[rng.integers(len(self.between))]
            drawn[name] = (float(real.deviations[name][which]) + shift, float(real.errors[name][which]))
        return drawn


def real_board(rng: Rng) -> Board:
    """The board of the committed records: every timed configuration, with all its ratios that have an interval."""
    records, _ = store.read_all(RESULTS)
    repeated = json.loads(REPEATED.read_text())
    configurations, noise = [], defaultdict(list)
    for record in records:
        series = {
            _phase(record.suite, workload, phase): (timing.candidate, timing.baseline)
            for workload, phases in record.timings.items()
            for phase, timing in phases.items()
            if len(timing.candidate) >= MIN_PAIRS
        }
        if series and record.status == "ok":
            configurations.append((record.suite, sorted(series)))
            noise[record.suite].append(_real(series, rng))
    for pool in noise.values():
        pool.sort(key=lambda real: real.loud)
    return Board(configurations, noise, between_deviations(records, repeated))


def _phase(suite: str, workload: str, phase: str) -> str:
    """Operator workloads are named after problem and grid; small, middle and large grids are measured alike."""
    if suite != "operator-data":
        return f"{workload}.{phase}"
    size = int(workload.rpartition("-")[2])
    return "small" if size <= 32 else "middle" if size <= 56 and size != 48 else "large"


def _real(series: dict[str, tuple[list[float], list[float]]], rng: Rng) -> Real:
    deviations, errors = {}, {}
    for name, (candidate, baseline) in series.items():
        ours, theirs = np.array(candidate), np.array(baseline)
        centre = math.log(ratio_interval(candidate, baseline).value)
        drawn = []
        for _ in range(DRAWS):
            block = min(BLOCK, max(1, len(ours) // 6))
            starts = rng.integers(0, len(ours) - block + 1, size=math.ceil(len(ours) / block))
            index = (starts[:, None] + np.arange(block)).ravel()[: len(ours)]
            run = timed(0.0, ratio_interval(ours[index].tolist(), theirs[index].tolist()))
            drawn.append((run.value, run.error))
        grow = math.sqrt(len(ours) / (len(ours) - 1))  # what resampling few pairs takes off the spread
        deviations[name] = (np.array([value for value, _ in drawn]) - centre) * grow
        errors[name] = np.array([error for _, error in drawn])
    return Real(deviations, errors)


def _logarithms(candidate: list[float], baseline: list[float]) -> tuple[float, float]:
    """Logarithm of the ratio and its standard error, as the interval gives it."""
    ratio = ratio_interval(candidate, baseline)
    return math.log(ratio.value), (math.log(ratio.high) - math.log(ratio.low)) / (2 * 1.96)


def between_deviations(records: Sequence[Record], repeated: dict[str, dict[str, list[list[float]]]]) -> list[float]:
    """How far runs of the same thing lay from each other, beyond what one run can see of itself (log scale).

    Of the committed records: the baseline against itself, whose ratio is known to be 1, methods that drop as many
    equal blocks and so do the same work (equal FLOPs, bytes, parameters), and seeds of one method with the same work
    by the same code. Not other methods of equal FLOPs: a norm less is a difference that is there. Only quiet
    runs, as in the others the error within the run hides all else. And `repeated_runs.json`: two configurations run 10
    and 7 times in fresh processes on a busy machine, [log ratio, error] of each series, less the share of their spread
    that these errors explain.
    """
    alike: dict[tuple[str, ...], list[float]] = defaultdict(list)
    found: list[float] = []
    for record in records:
        work = [str(record.figures.get(name)) for name in ("flops", "stored_bytes", "parameters")]
        for name, (value, error) in _ratios(record).items():
            if error >= QUIET:
                continue
            if record.method in ("dense", "gmres"):
                found.append(value)
            elif record.suite == "lm-compression":
                same = (
                    "blocks"
                    if record.method in BLOCKS
                    else f"{record.method}:{record.variant} {record.environment.commit}"
                )
                alike[record.hardware, name, same, *work].append(value)
    for values in alike.values():
        if len(values) > 1:
            found += list(_centred(np.array(values)))
    for series in repeated.values():
        for runs in series.values():
            value, error = np.array(runs).T
            unexplained = max(0.0, 1 - float(np.mean(error**2) / value.var(ddof=1)))
            found += list(_centred(value) * math.sqrt(unexplained)) if unexplained else []
    return found


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Deviations from the mean, widened for the mean that was taken off."""
    return (values - values.mean()) * math.sqrt(len(values) / (len(values) - 1))


def _ratios(record: Record) -> dict[str, tuple[float, float]]:
    return {
        f"{workload}.{phase}": _logarithms(timing.candidate, timing.baseline)
        for workload, phases in record.timings.items()
        for phase, timing in phases.items()
        if len(timing.candidate) >= MIN_PAIRS
    }


@dataclass(eq=False)
class Watched:
    """One series through a year. told: nights on which it was said to be worse."""

    name: str
    state: State = field(default_factory=State)
    runs: list[Run] = field(default_factory=list)
    told: list[int] = field(default_factory=list)


@dataclass
class Plant:
    """A change of all series of a configuration from a night on, as a fraction."""

    night: int
    size: float


@dataclass
class Year:
    """What came of a year: series and plant of each configuration, and the runs that it took."""

    board: list[tuple[list[Watched], Plant]]
    runs: int

    def found(self, size: float) -> list[int | None]:
        """Nights until the plants of this size were told, 1: the first; None: never."""
        return [_nights_until(row, plant) for row, plant in self.board if plant.size == size]

    @property
    def false_alarms(self) -> int:
        """Nights on which something was told that was not planted, or told a second time."""
        nights: set[int] = set()
        for row, plant in self.board:
            for watched in row:
                nights |= {night for night in watched.told if night < plant.night}
                nights |= set([night for night in watched.told if night >= plant.night][1:])
        return len(nights)


def _nights_until(row: Sequence[Watched], plant: Plant) -> int | None:
    told = [night for watched in row for night in watched.told if night >= plant.night]
    return min(told) - plant.night + 1 if told else None


def simulate(board: Board, rng: Rng, *, nights: int = NIGHTS, contended: bool = False) -> Year:
    """A year in which every configuration changes once, the sizes in turn, at a random night."""
    order = rng.permutation(len(board.configurations))
    plants = [Plant(int(rng.integers(EARLIEST, nights - max(WITHIN))), SIZES[i % len(SIZES)]) for i in order]
    rows = [[Watched(name) for name in series] for _, series in board.configurations]
    noises: dict[str, Noise] = {}
    total = 0
    for night in range(nights):
        if night in (2, 4, 7, 14, 30) or night % 60 == 0:
            noises = _noises(rows, board.watched)
        busy = bool(rng.random() < BUSY) if contended else None
        for (suite, names), row, plant in zip(board.configurations, rows, plants, strict=True):
            shift = math.log1p(plant.size) if night >= plant.night else 0.0
            for again in range(MOST_RUNS):
                drawn = board.draw(suite, names, busy, rng)
                total += 1
                for watched in row:
                    deviation, error = drawn[watched.name]
                    run = Run(night * DAY + again * RERUN, deviation + shift, error)
                    watched.runs.append(run)
                    watched.state = step(watched.state, run, noises[watched.name])
                    watched.told += [night] if watched.state.verdict == "worse" else []
                if not any(watched.state.verdict in ("unclear", "suspected") for watched in row):
                    break
    return Year(list(zip(rows, plants, strict=True)), total)


def _noises(rows: list[list[Watched]], watched: int) -> dict[str, Noise]:
    alike = defaultdict(list)
    for row in rows:
        for series in row:
            alike[series.name].append(series.runs)
    return {name: Noise("speed", between_runs(runs, "speed"), watched) for name, runs in alike.items()}


def quality_found_first_night() -> tuple[int, int]:
    """How many of the committed configurations tell that their score became 1 % worse in the night it did, of how many.

    Each has ten equal nights, as repeated runs are; then 1 % is planted into the score's own samples.
    """
    infos = open_registry().suites
    found, planted = 0, 0
    for record in store.read_all(RESULTS)[0]:
        primary = infos[record.suite].problem_of(record.point).primary
        if record.status != "ok":
            continue
        score = record.quality[primary.name]
        if not any(score.samples) and score.aggregate != "exp_mean":  # nothing less than none right
            continue
        worse = _one_percent(score, primary.better)
        after = record.model_copy(update={"quality": {**record.quality, primary.name: worse}})
        runs: list[Run] = []
        for each, nights in ((record, range(10)), (after, [10, 10.01, 10.02, 10.03])):
            (run,) = [run for series, run in runs_of(each, infos[each.suite]).items() if series.kind == "quality"]
            runs += [Run(night * DAY, run.value, run.error) for night in nights]
        planted += 1
        found += follow(runs, Noise("quality", between_runs([], "quality"), 400)).verdict == "worse"
    return found, planted


def _one_percent(score: Samples, better: str) -> Samples:
    factor = 0.99 if better == "higher" else 1.01
    if score.aggregate != "exp_mean":
        return score.model_copy(update={"samples": [x * factor for x in score.samples]})
    weights = score.weights or [1.0] * len(score.samples)
    return score.model_copy(
        update={"samples": [x + w * math.log(factor) for x, w in zip(score.samples, weights, strict=True)]}
    )


def asv_found(row: Sequence[Watched], plant: Plant, threshold: float) -> list[bool]:
    """Whether asv reports a regression at or after the plant, asked after 1, 3 and 7 nights of it."""
    return [
        any(before >= plant.night - 2 for watched in row for before in _asv(watched, plant.night + n, threshold))
        for n in WITHIN
    ]


def asv_false_alarms(row: Sequence[Watched], plant: Plant, threshold: float) -> int:
    """Different regressions that asv reports before anything was planted, asked every 30 nights."""
    return sum(
        len({before for end in range(EARLIEST, plant.night, 30) for before in _asv(watched, end, threshold)})
        for watched in row
    )


def _asv(watched: Watched, nights: int, threshold: float) -> list[int]:
    """The last night before each regression that asv sees in the first so many nights."""
    from asv.step_detect import detect_regressions

    _, _, regressions = detect_regressions(_steps(watched, nights), threshold=threshold)
    return [before for before, *_ in regressions or []]


@cache
def _steps(watched: Watched, nights: int) -> list[tuple[int, int, float, float, float]]:
    from asv.step_detect import detect_steps

    means, weights = [], []
    for _, group in groupby((run for run in watched.runs if run.when < nights * DAY), key=lambda run: run.when // DAY):
        runs = [run for run in group if math.isfinite(run.error)]
        precision = sum(run.error**-2 for run in runs)
        means.append(math.exp(sum(run.value * run.error**-2 for run in runs) / precision))
        weights.append(math.sqrt(precision))
    steps: list[tuple[int, int, float, float, float]] = detect_steps(means, weights)
    return steps


def report(years: Sequence[Year], nights: int, asv: bool) -> str:
    """The tables, in Markdown."""
    total = nights * len(years)
    judges = [("effbench nightly", None), *([("asv, 5 %", 0.05), ("asv, 1 %", 0.01)] if asv else [])]
    found_rows, alarm_rows = [], []
    for name, threshold in judges:
        for size in SIZES:
            if threshold is None:
                nights_until = [n for year in years for n in year.found(size)]
                hits = [[n is not None and n <= within for within in WITHIN] for n in nights_until]
            else:
                rows = [(row, plant) for year in years for row, plant in year.board if plant.size == size]
                hits = [asv_found(row, plant, threshold) for row, plant in rows]
            shares = [f"{100 * float(np.mean(column)):.0f} %" for column in zip(*hits, strict=True)]
            found_rows.append([name, f"{100 * size:.0f} %", str(len(hits)), *shares])
        if threshold is None:
            alarms, over = sum(year.false_alarms for year in years), total
        else:
            boards = [(row, plant) for year in years for row, plant in year.board]
            alarms = sum(asv_false_alarms(row, plant, threshold) for row, plant in boards)
            over = total // 2  # it is asked up to the plants, which lie in the middle of the year on average
        alarm_rows.append([name, str(alarms), f"{100 * alarms / over:.2f}"])
    return "\n\n".join(
        [
            table(["judge", "change", "planted", *(f"within {n}" for n in WITHIN)], found_rows),
            table(["judge", "false alarms", "per 100 nights"], alarm_rows),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=int, default=4)
    parser.add_argument("--nights", type=int, default=NIGHTS)
    parser.add_argument("--contended", action="store_true", help="busy nights in place of busy runs")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    board = real_board(rng)
    spread = float(np.std(board.between))
    print(
        f"{len(board.configurations)} configurations, {board.watched} series of times; {len(board.between)} deviations"
    )
    print(f"between runs, standard deviation {100 * spread:.2f} %", flush=True)
    years = []
    for number in range(arguments.years):
        years.append(simulate(board, rng, nights=arguments.nights, contended=arguments.contended))
        print(f"year {number + 1}: {years[-1].false_alarms} false alarms, ", end="")
        print(f"{years[-1].runs / arguments.nights / len(board.configurations):.2f} runs a configuration", flush=True)
    try:
        import asv  # noqa: F401
    except ImportError:
        print(report(years, arguments.nights, asv=False))
    else:
        print(report(years, arguments.nights, asv=True))
    found, planted = quality_found_first_night()
    print(f"\nquality, 1 %: {found} of {planted} found the first night")


@pytest.mark.slow
def test_a_year_has_few_false_alarms_and_large_changes_are_found() -> None:
    rng = np.random.default_rng(0)
    nights = 120
    year = simulate(real_board(rng), rng, nights=nights)
    assert year.false_alarms <= 0.01 * nights
    assert all(n == 1 for n in year.found(0.10))
    assert all(n is not None and n <= 3 for n in year.found(0.05))
    found, planted = quality_found_first_night()
    assert found == planted


if __name__ == "__main__":
    main()
