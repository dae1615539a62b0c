"""What can't be right in what records say together: it is told wherever the figures stand, and a strict build fails."""

from collections.abc import Iterator

from bench.analyse.problems import problem_at
from bench.analyse.rows import Row
from bench.analyse.summary import beyond, figure, ragged, row_costs
from bench.registry import ProblemInfo, SuiteInfo

SAME = (0.95, 1.05)
"""Between these the baseline has to lie that is timed beside itself."""


def alarms(row: Row, info: SuiteInfo) -> list[str]:
    """What is wrong with a row, a sentence each, with the place in front."""
    problem = problem_at(info, row.board.point)
    place = f"{row.name} at {row.board.point} on {row.board.hardware}"
    found = [*_unequal(row, problem), *_out_of_bounds(row, problem), *_unlike_itself(row, problem)]
    return [f"{place}: {sentence}" for sentence in found]


def _unequal(row: Row, problem: ProblemInfo) -> Iterator[str]:
    """Seeds that sat another exam than each other, under one version of the suite."""
    for name in ragged(row):
        if name in problem.scores and not problem.scores[name].own_items:
            counts = [f"{len(record.quality[name].samples)} (seed {record.seed})" for record in row.ok]
            yield (
                f"{name}: its seeds scored unequal numbers of items, {', '.join(counts)}; the mean is over seeds, and "
                "is compared with no other"
            )


def _out_of_bounds(row: Row, problem: ProblemInfo) -> Iterator[str]:
    for name, metric in problem.metrics.items():
        found = figure(row, metric)
        if beyond(found, metric.bounds):
            least, most = metric.bounds
            yield f"{name} is {found.value:.6g}, which no {metric.title} can be: it lies within [{least:g}, {most:g}]"


def _unlike_itself(row: Row, problem: ProblemInfo) -> Iterator[str]:
    """Times of the baseline beside itself: what tells them apart is the instrument's."""
    if row.method != problem.baseline or row.variant != "default":
        return
    timed = {f"{workload}." for workload in problem.workloads}
    for name, cost in row_costs(row).items():
        is_time = name.endswith(".ratio") and any(name.startswith(workload) for workload in timed)
        if is_time and cost.value is not None and not SAME[0] <= cost.value <= SAME[1]:
            yield f"{name} of the baseline beside itself is {cost.value:.3g}, and not within {SAME[0]} to {SAME[1]}"
