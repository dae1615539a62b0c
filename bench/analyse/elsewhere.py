"""A ranking of all hardware: the same code and seed score the same everywhere, to rounding, which moves a score about
as much as another seed does. So of each seed one record tells the scores, wherever it ran; what is timed never
crosses."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.analyse.problems import problem_at
from bench.analyse.rows import Row
from bench.analyse.summary import row_costs
from bench.record.schema import Build, Record
from bench.registry import SuiteInfo


def scoring(runs: Iterable[Record], is_stale: Callable[[Record], bool]) -> list[Record]:
    """Of each seed of one configuration the record that tells its scores: a successful one of today's code, else any of
    today's code, else a successful one; of several the newest. Seeds that ran with other hyper-parameters than the
    newest of them (of today's, if there is one) are left out, as their mean would describe no method.

    runs: the newest record of each seed on each hardware.
    """
    best: dict[int, tuple[tuple[bool, bool, bool], Record]] = {}
    for run in sorted(runs, key=lambda run: (run.started, run.hardware, run.id)):
        fresh, ok = not is_stale(run), run.status == "ok"
        value = (fresh and ok, fresh, ok)
        if run.seed not in best or value >= best[run.seed][0]:
            best[run.seed] = value, run
    _, newest = max(best.values(), key=lambda found: (found[0][1], found[1].started))
    return [run for _, (_, run) in sorted(best.items()) if run.hyperparameters == newest.hyperparameters]


def timing(scored: Record, own: Mapping[int, Record]) -> Record | None:
    """The record whose times stand beside these scores on a hardware: that hardware's own of the same seed, if it
    succeeded with the same hyper-parameters. own: of each seed."""
    found = own.get(scored.seed)
    agrees = found is not None and found.status == "ok" and found.hyperparameters == scored.hyperparameters
    return found if agrees else None


def beside(scored: Record, timed: Record | None, hardware: str, info: SuiteInfo) -> Record:
    """The record as it counts on a hardware: its scores and the exact figures of its result, and of what hangs on the
    machine that of `timed`, which ran there.

    Its environment still names the hardware that its scores come from.
    """
    if timed is scored:
        return scored
    scores = problem_at(info, scored.point).scores
    own = timed.quality if timed else {}
    return scored.model_copy(
        update={
            "hardware": hardware,
            "quality": {name: samples for name, samples in scored.quality.items() if name in scores}
            | {name: samples for name, samples in own.items() if name not in scores},
            "timings": timed.timings if timed else {},
            "throughput": timed.throughput if timed else {},
            "energy": timed.energy if timed else {},
            "memory": timed.memory if timed else {},
            "build": _build(scored, timed),
        }
    )


def _build(scored: Record, timed: Record | None) -> Build | None:
    """What the build took on the machine, not a number where it did not run there; what it drew is the same on all."""
    own = timed.build if timed else None
    if scored.build is None or own is not None:
        return own
    return scored.build.model_copy(
        update={"seconds": math.nan, "processor_seconds": None, "peak_memory_bytes": math.nan}
    )


def of_hardware(rows: Sequence[Row]) -> frozenset[str]:
    """Names of the costs of these rows that hang on the hardware: all that was not counted or weighed."""
    exact = {name for row in rows for record in row.records for name in record.figures}
    return frozenset(name for row in rows for name in row_costs(row) if name not in exact)
