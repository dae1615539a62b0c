"""The pages of one ranking: its table and pictures, all pairs, and the downloads."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bench.analyse.floors import Floors, silenced
from bench.analyse.pairs import pairwise
from bench.analyse.problems import problem_at, same_problem
from bench.analyse.rows import Board, Row
from bench.publish import board_data
from bench.publish.charts import Chart
from bench.publish.context import Section
from bench.publish.frontier_view import Figure
from bench.publish.pairs_view import make_pairs
from bench.publish.paths import board_address, pairs_address
from bench.publish.pictures import draw
from bench.publish.table_view import Table


def write_board(
    section: Section, table: Table, rows: Sequence[Row], points: Sequence[Mapping[str, Any]], charts: Sequence[Chart]
) -> list[str]:
    """Write all of them; the addresses of the pages. points: of the section, for the links between its boards. charts:
    the pictures that the suite declares, of this board."""
    pages, problem, controls = section.context.pages, table.problem, section.controls
    by_name = {row.name: row for row in rows}
    rows = [by_name[line.name] for line in table.lines]
    metrics = board_data.board_metrics(rows, problem)
    found = board_data.figures(rows, metrics)
    score, *costs = problem.primaries
    guesses = {by_name[line.name]: line.guessing for line in table.lines if line.guessing}
    stale = {by_name[line.name] for line in table.lines if line.stale}
    base = board_address(table.board)
    figures = draw(section, rows, problem.primaries, base, guesses, stale)
    bottom = np.array([row in guesses for row in rows])
    stochastic = section.context.registry.stochastic(section.place.suite)
    pairs = {metric.name: silenced(pairwise(rows, metric, stochastic), bottom) for metric in (score, *costs)}
    view = make_pairs(rows, pairs, problem, controls)
    hardware = _hardware(section, table.board)
    shared = {"table": table, "problem": problem, **section.shared}
    written = [
        pages.page("board.html", f"{base}.html", figures=figures, charts=charts, points=points, hardware=hardware,
                   name=base.rsplit("/", 1)[-1], pairs=view is not None, **shared),
        pages.text(f"{base}.json", board_data.as_json(table, metrics, found)),
        pages.text(f"{base}.csv", board_data.as_csv(table, metrics, found)),
        pages.text(f"{base}.js", board_data.as_script(table, metrics, found, problem, pairs[score.name])),
        pages.text(f"{base}.pairs.js", board_data.pairs_script([line.name for line in table.lines], problem, pairs)),
        *(figure.file for figure in figures),
    ]  # fmt: skip
    if view is not None:
        written.append(pages.page("pairs.html", pairs_address(table.board), view=view, margin=score.margin, **shared))
    return written


def _hardware(section: Section, board: Board) -> list[tuple[str, str]]:
    """The same board on each kind of hardware that has one: name and address. Its scores are the same on all."""
    at = (board.point, section.version)
    found = {entry.hardware for entry in section.others if (entry.point, entry.suite_version) == at}
    return [(name, f"{board_address(replace(board, hardware=name))}.html") for name in sorted({*found, board.hardware})]


def figures_of(section: Section, rows: Sequence[Row], stale: Collection[Row], floors: Floors) -> list[Figure]:
    """One picture for each problem and primary cost. stale: rows that are not of today's code. floors: of all rows."""
    problems: list[list[Row]] = []
    for row in rows:
        point = row.board.point
        group = next((each for each in problems if same_problem(section.info, each[0].board.point, point)), None)
        if group is None:
            problems.append([row])
        else:
            group.append(row)
    figures = []
    for number, group in enumerate(problems, start=1):
        primaries = problem_at(section.info, group[0].board.point).primaries
        points = {row.board.point for row in group}
        guesses = {row: said for row in group if (said := floors.of(row)) is not None}
        place = f": {group[0].board.point}" if len(problems) > 1 and len(points) == 1 else ""
        base = f"{section.place.address.removesuffix('.html')}.{number}"
        drawn = draw(section, group, primaries, base, guesses, stale)
        figures += [replace(figure, title=figure.title + place) for figure in drawn]
    return figures
