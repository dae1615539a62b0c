"""Which runs are worth a clock: of every board the first methods, the best controls, and the baseline beside them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bench import measure
from bench.analyse.elsewhere import scoring
from bench.analyse.floors import guessing
from bench.analyse.rows import Row, make_rows
from bench.analyse.summary import figure, value_of
from bench.record.environment import hardware_class
from bench.record.schema import Record
from bench.registry import Registry, SuiteInfo
from bench.registry.key import is_todays
from bench.run.plan import Job, Selection, make_plan
from bench.run.wanted import Configuration, reference_point

CONTROLS = 2
"""So many of the best simple ones of a board: a margin is told over the first."""


def top_jobs(registry: Registry, selection: Selection, records: Iterable[Record], count: int) -> list[Job]:
    """Timed runs of a suite, one seed each: of each problem the baseline, then point by point the best controls and
    the first `count` methods by the primary score, as the records of today's code have it, wherever they ran.

    selection: without seeds. What is no better than guessing is not among them, nor is a reference. Raises as
    `make_plan`.
    """
    info = registry.suite(selection.suite)
    jobs = make_plan(registry, replace(selection, seeds=(0,), timed=True))
    asked = {_configuration(job): job for job in jobs if info.problem_of(job.point).workloads}
    boards = _boards(registry, info, asked, records)
    chosen = [job for job in asked.values() if _is_baseline(info, job)]
    for point in info.points:
        chosen += [asked[row.method, row.variant, point] for row in _first(registry, info, boards[point], count)]
    return list(dict.fromkeys(chosen))


def _boards(
    registry: Registry, info: SuiteInfo, asked: Mapping[Configuration, Job], records: Iterable[Record]
) -> dict[str, list[Row]]:
    """The rows of each point that records of today's code make; where a time is the budget, those of this hardware."""
    newest: dict[Configuration, dict[tuple[int, str], Record]] = defaultdict(dict)
    for record in sorted(records, key=lambda record: record.started):
        job = asked.get(_configuration(record))
        if job is None or (record.suite, record.scale, record.base) != (job.suite, job.scale, job.base):
            continue
        elsewhere = record.hardware != hardware_class(job.device, job.threads)
        if record.status != "ok" or (info.points[record.point].clock and elsewhere):
            continue
        if is_todays(registry, record, measure.VERSION):
            newest[_configuration(record)][record.seed, record.hardware] = record
    boards: dict[str, list[Row]] = defaultdict(list)
    for (_, _, point), runs in newest.items():
        scored = scoring(runs.values(), lambda _: False)
        boards[point] += make_rows(record.model_copy(update={"hardware": ""}) for record in scored)
    return boards


def _first(registry: Registry, info: SuiteInfo, rows: Sequence[Row], count: int) -> list[Row]:
    """The best of a board's controls, and of its methods; the best first."""
    if not rows:
        return []
    problem = info.problem_of(rows[0].board.point)
    score = problem.primary
    guesses = guessing(rows, score, registry.trivial(info.slug), registry.stochastic(info.slug))
    sign = 1 if score.better == "lower" else -1
    serious = [row for row in rows if row.name not in guesses and row.method != problem.baseline]
    serious = [row for row in serious if figure(row, score).value is not None]
    best = sorted(serious, key=lambda row: (sign * value_of(figure(row, score)), row.name))
    kinds = {row: registry.method(info.slug, row.method).card.kind for row in best}
    first = {kind: [row for row in best if kinds[row] == kind] for kind in ("control", "method")}
    chosen = [*first["control"][:CONTROLS], *first["method"][:count]]
    return [row for row in best if row in chosen]


def _is_baseline(info: SuiteInfo, job: Job) -> bool:
    """Whether the job is of its problem's baseline, at the only point where that runs if there is one."""
    problem = info.problem_of(job.point)
    return job.method == problem.baseline and reference_point(info, problem.name) in (None, job.point)


def _configuration(of: Job | Record) -> Configuration:
    return of.method, of.variant, of.point
