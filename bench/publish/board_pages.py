"""The pages of one ranking: its table and pictures, all pairs, and the downloads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analyse.elsewhere import of_hardware
from bench.analyse.floors import Floors, silenced
from bench.analyse.pairs import Pairs, pairwise
from bench.analyse.problems import problem_at, same_problem
from bench.analyse.rows import Row
from bench.publish import board_data
from bench.publish.charts import Chart
from bench.publish.context import Section
from bench.publish.frontier_view import Figure
from bench.publish.pairs_view import make_pairs
from bench.publish.paths import board_address, pairs_address
from bench.publish.pictures import draw
from bench.publish.ranking import Ranking
from bench.registry.metrics import Metric


def write_board(
    section: Section,
    ranking: Ranking,
    points: Sequence[Mapping[str, Any]],
    charts: Sequence[Chart],
    stale: Collection[Row],
    group: Sequence[Ranking],
) -> list[str]:
    """Write all of them; the addresses of the pages. points: of the section, for the links between its boards. charts:
    the pictures that the suite declares, of this board. stale: rows that are not of today's code. group: the rankings
    of the same problem."""
    pages, table = section.context.pages, ranking.chief
    problem, score = table.problem, table.problem.primary
    found = board_data.figures_of(ranking)
    base = board_address(ranking.board)
    figures = _figures(section, ranking, base, stale)
    metrics, pairs = _pairs(section, ranking, ranking.rows)
    other = _baseline(ranking, group)
    names, extra, all_pairs = [line.name for line in table.lines], None, pairs
    if other is not None:
        extra = board_data.beside(other, board_data.figures_of(other), ranking)
        names = [*names, extra["name"]]
        all_pairs = _pairs(section, ranking, _with_baseline(ranking, other))[1]
    view = make_pairs(ranking.rows[ranking.first], pairs, metrics, problem, section.controls)
    shared = {"ranking": ranking, "table": table, "problem": problem, **section.shared}
    written = [
        pages.page("board.html", f"{base}.html", figures=figures, charts=charts, points=points,
                   name=base.rsplit("/", 1)[-1], pairs=view is not None, **shared),
        pages.text(f"{base}.json", board_data.as_json(ranking, found)),
        pages.text(f"{base}.csv", board_data.as_csv(ranking, found)),
        pages.text(f"{base}.js", board_data.as_script(ranking, found, pairs[score.name])),
        pages.text(f"{base}.pairs.js", board_data.pairs_script(
            names, {name: metric.title for name, metric in metrics.items()}, all_pairs, extra)),
        *(figure.file for figure in figures),
    ]  # fmt: skip
    if view is not None:
        address = pairs_address(ranking.board)
        written.append(pages.page("pairs.html", address, view=view, margin=score.margin, **shared))
    return written


def _figures(section: Section, ranking: Ranking, base: str, stale: Collection[Row]) -> list[Figure]:
    """The score against what all hardware shares, then against the times of each."""
    score, *costs = ranking.chief.problem.primaries
    guesses = {line.name: line.guessing for line in ranking.chief.lines if line.guessing}

    def drawn(hardware: str, costs: Sequence[Metric], named: str) -> list[Figure]:
        rows = ranking.rows[hardware]
        guessing = {row: guesses[row.name] for row in rows if row.name in guesses}
        return draw(section, rows, score, costs, base, guessing, stale, named)

    shared = drawn(ranking.first, [cost for cost in costs if cost.name not in ranking.apart], ranking.board.hardware)
    times = [cost for cost in costs if cost.name in ranking.apart]
    return [*shared, *(figure for name in ranking.tables for figure in drawn(name, times, name))]


def _baseline(ranking: Ranking, group: Sequence[Ranking]) -> Ranking | None:
    """Where the baseline has its result that has none here: within a budget it has none."""

    def has(each: Ranking) -> bool:
        return any(line.name == each.chief.problem.baseline for line in each.chief.ok)

    return None if has(ranking) else next((each for each in group if has(each)), None)


def _with_baseline(ranking: Ranking, other: Ranking) -> dict[str, list[Row]]:
    """The rows on each hardware, and the baseline's of the other point after them, where that ran there."""
    name = ranking.chief.problem.baseline
    found = {hardware: [row for row in rows if row.name == name] for hardware, rows in other.rows.items()}
    return {hardware: [*rows, *found.get(hardware, [])] for hardware, rows in ranking.rows.items()}


def _pairs(
    section: Section, ranking: Ranking, rows: Mapping[str, Sequence[Row]]
) -> tuple[dict[str, Metric], dict[str, Pairs]]:
    """All pairs by the primary score and costs, by a name of each; times on each hardware that has them. rows: on each
    hardware."""
    stochastic = section.context.registry.stochastic(section.place.suite)
    guesses = {line.name for line in ranking.chief.lines if line.guessing}
    metrics, pairs = {}, {}

    def add(metric: Metric, hardware: str, name: str, title: str) -> None:
        metrics[name] = replace(metric, title=title)
        bottom = np.array([row.name in guesses for row in rows[hardware]], dtype=bool)
        pairs[name] = silenced(pairwise(rows[hardware], metric, stochastic), bottom)

    for metric in ranking.chief.problem.primaries:
        if metric.name not in ranking.apart:
            add(metric, ranking.first, metric.name, metric.title)
    for side in ranking.sides:
        for metric in side.chief:
            add(metric, side.hardware, f"{metric.name}@{side.hardware}", f"{metric.title}, {side.hardware}")
    return metrics, pairs


def groups_of(section: Section, rankings: Sequence[Ranking]) -> list[list[Ranking]]:
    """Those that are budgets on one problem, in the same settings, together."""
    groups: list[list[Ranking]] = []
    for ranking in rankings:
        alike = (each for each in groups if _alike(section, each[0], ranking))
        group = next(alike, None)
        if group is None:
            groups.append([ranking])
        else:
            group.append(ranking)
    return groups


def write_explorers(section: Section, groups: Sequence[Sequence[Ranking]]) -> list[tuple[str, str]]:
    """The data of the explorer over all points of each problem: address and what it is called."""
    stochastic = section.context.registry.stochastic(section.place.suite)
    written = []
    for number, group in enumerate(groups, start=1):
        problem = group[0].chief.problem
        lines = [(r, i) for r in group for i, line in enumerate(r.chief.lines) if line.status == "ok"]
        rows = [ranking.rows[ranking.first][i] for ranking, i in lines]
        bottom = np.array([bool(ranking.chief.lines[i].guessing) for ranking, i in lines], dtype=bool)
        pairs = silenced(pairwise(rows, problem.primary, stochastic), bottom)
        text = board_data.over_points(group, [board_data.figures_of(ranking) for ranking in group], pairs)
        address = f"{section.place.address.removesuffix('.html')}.{number}.js"
        alone = f": {group[0].board.point}" if len(group) == 1 else ""
        on = f" on {group[0].board.hardware}" if group[0].board.hardware else ""
        written.append((section.context.pages.text(address, text), f"{problem.title}{alone}{on}"))
    return written


def figures_of(
    section: Section, groups: Sequence[Sequence[Ranking]], stale: Collection[Row], floors: Mapping[str, Floors]
) -> list[Figure]:
    """Over the points of each problem: a picture for each primary cost that all hardware shares, and one on each
    hardware for the others. stale: rows that are not of today's code. floors: of all rows, by hardware."""
    figures = []
    for number, group in enumerate(groups, start=1):
        base = f"{section.place.address.removesuffix('.html')}.{number}"
        place = f": {group[0].board.point}" if len(groups) > 1 and len(group) == 1 else ""
        drawn = _over_points(section, group, base, stale, floors)
        figures += [replace(figure, title=figure.title + place) for figure in drawn]
    return figures


def _alike(section: Section, one: Ranking, other: Ranking) -> bool:
    same = same_problem(section.info, one.board.point, other.board.point)
    return same and one.board.hardware == other.board.hardware


def _over_points(
    section: Section, group: Sequence[Ranking], base: str, stale: Collection[Row], floors: Mapping[str, Floors]
) -> list[Figure]:
    score, *costs = problem_at(section.info, group[0].board.point).primaries
    hardware = list(dict.fromkeys(name for ranking in group for name in ranking.tables))
    rows = {name: [row for ranking in group for row in ranking.rows.get(name, ())] for name in hardware}
    chief = [row for ranking in group for row in ranking.rows[ranking.first]]
    apart = of_hardware([row for each in rows.values() for row in each])

    def drawn(rows: Sequence[Row], costs: Sequence[Metric], named: str) -> list[Figure]:
        guesses = {row: said for row in rows if (said := floors[row.board.hardware].of(row)) is not None}
        return draw(section, rows, score, costs, base, guesses, stale, named)

    figures = drawn(chief, [cost for cost in costs if cost.name not in apart], group[0].board.hardware)
    times = [cost for cost in costs if cost.name in apart]
    return [*figures, *(figure for name in hardware for figure in drawn(rows[name], times, name))]
